"""Crop rectangles as pure functions of image size, box and random numbers; many views at once.

A rectangle is ``(left, top, right, bottom)`` in whole pixels, right and bottom exclusive.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

TRIES = 10
# height and width in pixels, of one image or (V,) each
ImageSize = tuple[int, int] | Sequence[NDArray[np.integer]] | NDArray[np.integer]
# for all views, or one pair per view
Scale = tuple[float, float] | Sequence[tuple[float, float]] | NDArray[np.floating]


class CropNoise(NamedTuple):
    """The random numbers of ``V`` crops, all in [0, 1].

    Attributes:
        area: ``(V, TRIES)``, uniform: position in the area range, per try.
        aspect: ``(V, TRIES)``, uniform: position in the log aspect range, per try.
        center: ``(V, 2)``: horizontal and vertical position in the center's range; uniform, or
            Beta(alpha, alpha) for center suppression.
    """

    area: NDArray[np.float64]
    aspect: NDArray[np.float64]
    center: NDArray[np.float64]

    @classmethod
    def draw(cls, rng: np.random.Generator, num_views: int, alpha: float = 1.0) -> "CropNoise":
        """Draw for ``num_views`` crops; ``alpha`` is the center's Beta parameter, 1 being uniform."""
        area, aspect = rng.random((2, num_views, TRIES))
        return cls(area, aspect, rng.beta(alpha, alpha, size=(num_views, 2)))


def crop_sizes(
    image_size: ImageSize,
    noise: CropNoise,
    scale: Scale,
    ratio: tuple[float, float],
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """Sizes of RandomResizedCrop (Szegedy et al., 2015): area fraction uniform, aspect ratio log-uniform.

    The first try that fits into the image counts; if none does, the largest central crop whose
    aspect ratio is in ``ratio``.

    Args:
        image_size: (height, width) in pixels, of one image or ``(V,)`` each.
        scale: smallest and largest area as a fraction of the image, for all views, or one pair per view.
        ratio: smallest and largest width / height.

    Returns:
        widths ``(V,)``, heights ``(V,)`` in pixels, and ``(V,)`` whether a try fitted.
    """
    height, width = (np.reshape(side, (-1, 1)) for side in image_size)
    low, high = np.asarray(scale, dtype=np.float64).T[..., None]
    area = height * width * (low + (high - low) * noise.area)
    log_low, log_high = math.log(ratio[0]), math.log(ratio[1])
    aspect = np.exp(log_low + (log_high - log_low) * noise.aspect)
    sides = np.rint(np.sqrt([area * aspect, area / aspect])).astype(np.int64)  # (2, V, TRIES)
    fits = ((sides > 0) & (sides <= np.stack([width, height]))).all(axis=0)

    views, first = np.arange(len(fits)), fits.argmax(axis=1)
    widths, heights = sides[:, views, first]
    fitted = fits[views, first]
    limits = np.concatenate([height * ratio[1], width / ratio[0]], axis=1)
    fallback = np.minimum(np.concatenate([width, height], axis=1), np.rint(limits).clip(1)).astype(np.int64)
    return np.where(fitted, widths, fallback[:, 0]), np.where(fitted, heights, fallback[:, 1]), fitted


def random_crops(
    image_size: ImageSize,
    noise: CropNoise,
    scale: Scale = (0.2, 1.0),
    ratio: tuple[float, float] = (3 / 4, 4 / 3),
) -> NDArray[np.int64]:
    """RandomResizedCrop's rectangles ``(V, 4)``: anywhere in the image with equal probability."""
    image_height, image_width = image_size
    widths, heights, fitted = crop_sizes(image_size, noise, scale, ratio)
    slack_x, slack_y = image_width - widths, image_height - heights
    left = np.minimum((noise.center[:, 0] * (slack_x + 1)).astype(np.int64), slack_x)
    top = np.minimum((noise.center[:, 1] * (slack_y + 1)).astype(np.int64), slack_y)
    left = np.where(fitted, left, slack_x // 2)
    top = np.where(fitted, top, slack_y // 2)
    return np.stack([left, top, left + widths, top + heights], axis=1)


def contrastive_crops(
    image_size: ImageSize,
    box: NDArray[np.floating],
    noise: CropNoise,
    scale: Scale = (0.2, 1.0),
    ratio: tuple[float, float] = (3 / 4, 4 / 3),
) -> NDArray[np.int64]:
    """Center-suppressed crops of ContrastiveCrop (Peng et al., CVPR 2022, algorithm 1 and equation 5).

    Sizes as in :func:`crop_sizes`. The *center* is in the box: x = x0 + (x1 - x0) u with u from
    ``noise.center``; both ends of its range are clamped so that the crop stays inside the image. Rounding is
    that of the published code: down, and half a crop is ``size // 2``.

    Args:
        image_size: (height, width) in pixels, of one image or ``(V,)`` each.
        box: x0, y0, x1, y1 in fractions of the image, ``(4,)`` for all views or ``(V, 4)``.

    Returns:
        Rectangles ``(V, 4)``.
    """
    image_height, image_width = image_size
    widths, heights, fitted = crop_sizes(image_size, noise, scale, ratio)
    x0, y0, x1, y1 = np.asarray(box, dtype=np.float64).T[:4]  # a float32 would round the products
    left = _suppressed_start(image_width, widths, x0, x1, noise.center[:, 0])
    top = _suppressed_start(image_height, heights, y0, y1, noise.center[:, 1])
    left = np.where(fitted, left, (image_width - widths) // 2)
    top = np.where(fitted, top, (image_height - heights) // 2)
    return np.stack([left, top, left + widths, top + heights], axis=1)


def _suppressed_start(
    length: int | NDArray[np.integer],
    sizes: NDArray[np.int64],
    low: NDArray[np.float64],
    high: NDArray[np.float64],
    position: NDArray[np.float64],
) -> NDArray[np.int64]:
    """First pixel of crops of ``sizes`` along one axis, their centers between two fractions of ``length``."""
    slack = length - sizes
    half = sizes // 2
    first = np.minimum(np.maximum((length * low).astype(np.int64) - half, 0), slack)
    last = np.minimum(np.maximum((length * high).astype(np.int64) - half, 0), slack)
    return first + ((last - first) * position).astype(np.int64)


class RandomCrop:
    """Views anywhere in the image, whatever its boxes.

    Args:
        scale: smallest and largest area as a fraction of the image, for all views, or one pair per view.
        ratio: smallest and largest width / height.
    """

    def __init__(self, scale: Scale = (0.2, 1.0), ratio: tuple[float, float] = (3 / 4, 4 / 3)) -> None:
        for low, high in np.reshape(scale, (-1, 2)):
            if not 0 < low <= high <= 1:
                raise ValueError(f"scale must satisfy 0 < low <= high <= 1, got {scale}")
        if not 0 < ratio[0] <= ratio[1]:
            raise ValueError(f"ratio must satisfy 0 < low <= high, got {tuple(ratio)}")
        self.scale = scale
        self.ratio = ratio

    def __call__(
        self, rng: np.random.Generator, image_size: tuple[int, int], boxes: NDArray[np.floating], num_views: int
    ) -> NDArray[np.int64]:
        """Rectangles ``(num_views, 4)`` in an image of ``image_size`` (height, width) pixels.

        Args:
            boxes: ``(K, 5)`` x0, y0, x1, y1 in fractions of the image, and a score; K may be 0.
        """
        return random_crops(image_size, CropNoise.draw(rng, num_views), self.scale, self.ratio)

    def of_batch(
        self,
        rng: np.random.Generator,
        image_sizes: NDArray[np.integer],
        boxes: NDArray[np.floating],
        counts: NDArray[np.integer],
        num_views: int,
    ) -> NDArray[np.int64]:
        """Rectangles ``(B, num_views, 4)`` of a batch of images, drawn together.

        Args:
            image_sizes: ``(B, 2)`` height, width in pixels.
            boxes: ``(B, K, 5)``, as those of one image.
            counts: ``(B,)``, boxes of each.
        """
        noise = CropNoise.draw(rng, len(counts) * num_views)
        sizes = np.repeat(image_sizes, num_views, axis=0).T
        return random_crops(sizes, noise, self._scales(len(counts)), self.ratio).reshape(-1, num_views, 4)

    def _scales(self, images: int) -> Scale:
        """The scale of every view of this many images."""
        return self.scale if np.ndim(self.scale) == 1 else np.tile(self.scale, (images, 1))


class ContrastiveCrop(RandomCrop):
    """Centers in the image's box, pushed away from its middle; without a box exactly :class:`RandomCrop`.

    Args:
        alpha: Beta parameter of the center; below 1 suppresses the middle, 1 is uniform in the box.
    """

    def __init__(
        self,
        alpha: float = 0.1,
        scale: Scale = (0.2, 1.0),
        ratio: tuple[float, float] = (3 / 4, 4 / 3),
    ) -> None:
        super().__init__(scale, ratio)
        if not alpha > 0:
            raise ValueError(f"alpha must be positive, got {alpha}")
        self.alpha = alpha

    def __call__(
        self, rng: np.random.Generator, image_size: tuple[int, int], boxes: NDArray[np.floating], num_views: int
    ) -> NDArray[np.int64]:
        if len(boxes) == 0:
            return super().__call__(rng, image_size, boxes, num_views)
        noise = CropNoise.draw(rng, num_views, self.alpha)
        return contrastive_crops(image_size, boxes[0], noise, self.scale, self.ratio)

    def of_batch(
        self,
        rng: np.random.Generator,
        image_sizes: NDArray[np.integer],
        boxes: NDArray[np.floating],
        counts: NDArray[np.integer],
        num_views: int,
    ) -> NDArray[np.int64]:
        anywhere = super().of_batch(rng, image_sizes, boxes, counts, num_views)
        noise = CropNoise.draw(rng, len(counts) * num_views, self.alpha)
        sizes, every = (np.repeat(each, num_views, axis=0) for each in (image_sizes, boxes[:, 0]))
        suppressed = contrastive_crops(sizes.T, every, noise, self._scales(len(counts)), self.ratio)
        return np.where(counts[:, None, None] > 0, suppressed.reshape(-1, num_views, 4), anywhere)
