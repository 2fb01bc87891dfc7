"""An image -> what the model is fed: two views of it, or the whole of it. Thin steps of a data set's pipeline."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from PIL import Image
from torch import Tensor
from torchvision.transforms import v2

from ccrop.views.crop_protocol import BatchCrop, Crop
from ccrop.views.resampling import resized_crops

PADDING = (124, 116, 104)  # ImageNet's mean color
GRAY_PADDING = 114  # its mean, for any other number of channels


class CropViews:
    """Cuts the views of a pair, or more of several sizes, out of one decoded image.

    Takes a sample with ``image`` (a PIL image, or what is cropped and resized as one), ``clusters (K, 5)`` and ``rng``;
    gives ``views``, a list of ``(size, size, channels)`` uint8 tensors, ``rectangles (V, 4)`` in pixels and ``index``.
    Resizing is bilinear with antialiasing, as RandomResizedCrop does on PIL images.

    Args:
        crop: where the views lie.
        size: side of a view in pixels, or a sequence with that of each (multi-crop, as in SwAV).
        num_views: views per image, if all have the same size.
        augment: photometric augmentation of a PIL view in the worker; by default there is none here, and the
            model's preprocessor augments whole batches on its device.
    """

    def __init__(
        self,
        crop: Crop,
        size: int | Sequence[int],
        num_views: int = 2,
        augment: "ReferenceAugmentation | None" = None,
    ) -> None:
        self.crop = crop
        self.sizes = [size] * num_views if isinstance(size, int) else list(size)
        self.augment = augment

    def __call__(self, sample: dict[str, Any]) -> dict[str, Any]:
        image, rng = sample["image"], sample["rng"]
        if self.augment is not None and not isinstance(image, Image.Image):
            image = Image.fromarray(np.asarray(image))
        rectangles = self.crop(rng, (image.height, image.width), sample["clusters"], len(self.sizes))
        views = []
        for rectangle, size in zip(rectangles.tolist(), self.sizes, strict=True):
            view = image.crop(rectangle).resize((size, size), Image.Resampling.BILINEAR)
            if self.augment is not None:
                view = self.augment(view, rng)
            views.append(to_tensor(view))
        return dict(views=views, rectangles=torch.from_numpy(rectangles), index=sample["index"])

    def of_batch(
        self,
        rng: np.random.Generator,
        images: Tensor,
        image_sizes: NDArray[np.integer],
        boxes: NDArray[np.floating],
        counts: NDArray[np.integer],
    ) -> dict[str, Any]:
        """Views of a batch on the images' device; ``views`` and ``rectangles`` are as a loader stacks those of samples.

        Args:
            images: ``(B, C, H, W)`` uint8, each in the top left corner.
            image_sizes: ``(B, 2)`` height, width in pixels.
            boxes: ``(B, K, 5)``, ``counts (B,)`` of them.
        """
        assert isinstance(self.crop, BatchCrop)
        rectangles = torch.from_numpy(self.crop.of_batch(rng, image_sizes, boxes, counts, len(self.sizes)))
        moved = rectangles.to(images.device, non_blocking=True)
        views = [resized_crops(images, moved[:, view], side) for view, side in enumerate(self.sizes)]
        return dict(views=views, rectangles=rectangles)


class WholeImage:
    """The whole image at one size, for localization and evaluation.

    Gives ``images``, an ``(H, W, channels)`` uint8 tensor, ``index``, ``label`` where the data set knows it, and with
    ``keep_ratio`` also ``valid (4,)`` float32: x0, y0, x1, y1 of the image in fractions of the canvas.

    Args:
        size: (height, width) in pixels.
        keep_ratio: the image keeps its aspect ratio and is in the top left corner of the canvas, where the cells of
            its feature map begin as they do without padding; the rest has ImageNet's mean color, or that color's mean
            if there are not three channels, which normalizes to about zero. Otherwise the image is squashed, so that
            boxes in fractions of this image are boxes in fractions of the original.
    """

    def __init__(self, size: tuple[int, int], keep_ratio: bool = False) -> None:
        self.size = (size[0], size[1])
        self.keep_ratio = keep_ratio

    def __call__(self, sample: dict[str, Any]) -> dict[str, Any]:
        height, width = self.size
        image = sample["image"]
        inner = fitted_size((image.height, image.width), self.size) if self.keep_ratio else self.size
        if image.size != inner[::-1]:
            image = image.resize(inner[::-1], Image.Resampling.BILINEAR)
        pixels = to_tensor(image)
        if inner != self.size:
            color = PADDING if pixels.shape[2] == 3 else (GRAY_PADDING,) * pixels.shape[2]
            canvas = torch.tensor(color, dtype=torch.uint8).repeat(height, width, 1)
            canvas[: inner[0], : inner[1]] = pixels
            pixels = canvas
        result = dict(images=pixels, index=sample["index"])
        if self.keep_ratio:
            result["valid"] = torch.tensor([0.0, 0.0, inner[1] / width, inner[0] / height])
        if "label" in sample:
            result["label"] = sample["label"]
        return result


def fitted_size(image_size: tuple[int, int], size: tuple[int, int]) -> tuple[int, int]:
    """The largest (height, width) of an image's aspect ratio that fits into ``size``, in whole pixels, at least 1."""
    scale = min(length / side for length, side in zip(size, image_size, strict=True))
    height, width = (max(1, round(scale * side)) for side in image_size)
    return height, width


class ReferenceAugmentation:
    """SimSiam's photometric augmentation with torchvision's operations, one PIL view at a time.

    Flip 0.5, color jitter at 0.8, gray at 0.2, Gaussian blur of sigma 0.1 to 2.0 px (SimSiam, Chen & He,
    CVPR 2021, section 4). For exact comparisons; :class:`ccrop.models.ViewPreprocessor` is the fast twin.

    Args:
        jitter: brightness, contrast, saturation and hue of the color jitter.
        blur: probability of the blur; the CIFAR recipe has none.
    """

    def __init__(self, jitter: tuple[float, float, float, float] = (0.4, 0.4, 0.4, 0.1), blur: float = 0.5) -> None:
        self.steps = v2.Compose(
            [
                v2.RandomHorizontalFlip(0.5),
                v2.RandomApply([v2.ColorJitter(*jitter)], p=0.8),
                v2.RandomGrayscale(0.2),
                v2.RandomApply([v2.GaussianBlur(kernel_size=17, sigma=(0.1, 2.0))], p=blur),
            ]
        )

    def __call__(self, view: Image.Image, rng: np.random.Generator) -> Image.Image:
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(int(rng.integers(2**63)))
            return self.steps(view)


def to_tensor(image: Image.Image | ArrayLike) -> torch.Tensor:
    """The pixels of an image, PIL's or an array, ``(H, W, channels)`` uint8."""
    pixels = torch.from_numpy(np.array(image))
    return pixels[..., None] if pixels.ndim == 2 else pixels
