"""A pair of 224 px views of each image file."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from PIL import Image
from torch.nn import functional as F
from torchvision import transforms

from ccrop.datasets import ImageFolder
from ccrop.datasets.packing import pack_images
from ccrop.models import ViewPreprocessor
from ccrop.models.preprocessor import IMAGENET_MEAN, IMAGENET_STD
from ccrop.tools.benchmarks.peers import simsiam_on_pil
from ccrop.tools.benchmarks.timing import Call, Comparison
from ccrop.views import CropViews, RandomCrop

IMAGES, SIDE, PACKED = 16, 224, 384
WIDTH, HEIGHT = 640, 480  # COCO's


def comparisons() -> Iterator[Comparison]:
    with TemporaryDirectory() as root:
        folder, packed = Path(root, "files"), Path(root, "pack")
        draw(folder)
        pack_images(folder, packed, PACKED)
        files = sorted(folder.iterdir())
        dataset, mapped = (ImageFolder(each, pipeline=[CropViews(RandomCrop(), SIDE)]) for each in (folder, packed))
        preprocessor = ViewPreprocessor()
        published = partial(with_pil, files)
        yield Comparison(
            f"pair of {SIDE} px views, photometrics on a GPU",
            lambda: [dataset[index] for index in range(IMAGES)],
            {"published PIL pipeline": published},
            "ms per image",
            IMAGES,
        )
        yield Comparison(
            f"the same from a pack with sides of {PACKED} px",
            lambda: [mapped[index] for index in range(IMAGES)],
            {"published PIL pipeline": published},
            "ms per image",
            IMAGES,
        )
        yield Comparison(
            f"pair of {SIDE} px views, all on the CPU",
            lambda: augmented(dataset, preprocessor),
            {
                "published PIL pipeline": published,
                "lightly": with_lightly(files),
                "torchvision v2": partial(with_v2, files),
            },
            "ms per image",
            IMAGES,
        )


def draw(folder: Path) -> None:
    """Images of COCO's size and roughly its bytes per file: noise at all scales."""
    folder.mkdir()
    generator = torch.Generator().manual_seed(0)
    for number in range(IMAGES):
        pixels = torch.zeros(1, 3, HEIGHT, WIDTH)
        for octave in range(1, 8):
            noise = torch.randn(1, 3, HEIGHT // 2**octave, WIDTH // 2**octave, generator=generator)
            pixels += 2 ** (octave - 8) * F.interpolate(noise, (HEIGHT, WIDTH), mode="bicubic")
        levels = (128 + 50 * pixels).clamp(0, 255)[0].permute(1, 2, 0).numpy().astype(np.uint8)
        Image.fromarray(levels).save(folder / f"{number}.jpg", quality=90)


def augmented(dataset: ImageFolder, preprocessor: ViewPreprocessor) -> list[torch.Tensor]:
    """Both views of all images, as a batch that a model takes."""
    samples = [dataset[index]["views"] for index in range(IMAGES)]
    batch = dict(views=[torch.stack(views) for views in zip(*samples, strict=True)])
    return preprocessor(batch, training=True)["views"]


def with_pil(files: list[Path]) -> list[torch.Tensor]:
    augment = simsiam_on_pil(transforms.RandomResizedCrop(SIDE, scale=(0.2, 1.0)))
    views = []
    for file in files:
        with Image.open(file) as opened:
            image = opened.convert("RGB")
        views += [augment(image), augment(image)]
    return views


def with_lightly(files: list[Path]) -> Call | None:
    try:
        from lightly.transforms import SimSiamTransform
    except ImportError:
        return None
    transform = SimSiamTransform(input_size=SIDE)

    def views() -> list[list[torch.Tensor]]:
        found = []
        for file in files:
            with Image.open(file) as opened:
                found.append(transform(opened.convert("RGB")))
        return found

    return views


def with_v2(files: list[Path]) -> list[torch.Tensor]:
    """Tensors throughout."""
    from torchvision.io import decode_image
    from torchvision.transforms import v2

    augment = v2.Compose(
        [
            v2.RandomResizedCrop(SIDE, scale=(0.2, 1.0), antialias=True),
            v2.RandomHorizontalFlip(),
            v2.RandomApply([v2.ColorJitter(0.4, 0.4, 0.4, 0.1)], p=0.8),
            v2.RandomGrayscale(0.2),
            v2.RandomApply([v2.GaussianBlur(17, (0.1, 2.0))], p=0.5),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(IMAGENET_MEAN, IMAGENET_STD),
        ]
    )
    return [augment(image) for image in map(decode_image, map(str, files)) for _ in range(2)]
