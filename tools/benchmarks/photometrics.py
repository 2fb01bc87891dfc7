"""Flip, color jitter, grayscale, blur and normalization of views, as in SimSiam."""

from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor

from ccrop.models import ViewPreprocessor
from ccrop.models.preprocessor import IMAGENET_MEAN, IMAGENET_STD
from ccrop.tools.benchmarks.peers import simsiam_on_pil
from ccrop.tools.benchmarks.timing import Call, Comparison

VIEWS, SIDE = 64, 128


def comparisons() -> Iterator[Comparison]:
    generator = torch.Generator().manual_seed(0)
    views = torch.randint(256, (VIEWS, SIDE, SIDE, 3), dtype=torch.uint8, generator=generator)
    preprocessor = ViewPreprocessor()
    yield Comparison(
        f"photometrics of {SIDE} px views",
        lambda: preprocessor(dict(views=[views]), training=True),
        {"kornia": with_kornia(views), "PIL": one_by_one(views)},
        "ms per view",
        VIEWS,
    )


def with_kornia(views: Tensor) -> Call | None:
    try:
        from kornia import augmentation
    except ImportError:
        return None
    steps = torch.nn.Sequential(
        augmentation.RandomHorizontalFlip(p=0.5),
        augmentation.ColorJitter(0.4, 0.4, 0.4, 0.1, p=0.8),
        augmentation.RandomGrayscale(p=0.2),
        augmentation.RandomGaussianBlur((17, 17), (0.1, 2.0), p=0.5),
        augmentation.Normalize(torch.tensor(IMAGENET_MEAN), torch.tensor(IMAGENET_STD)),
    )
    return partial(lambda batch: steps(batch.permute(0, 3, 1, 2).float() / 255), views)


def one_by_one(views: Tensor) -> Call:
    from PIL import Image

    augment, images = simsiam_on_pil(), [Image.fromarray(view.numpy()) for view in views]
    return partial(lambda pictures: torch.stack([augment(each) for each in pictures]), images)
