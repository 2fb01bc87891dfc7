"""Overlapping views of a scene, and the transforms to find the same places in all of them."""

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from ccrop.views.transforms import CropViews

NO_BOX = np.zeros((1, 5))


class ScenePair:
    """Square views of one place of the scene, nearly at its own scale.

    The first view lies around one of the image's boxes, each equally likely, or anywhere if there is none; the others
    are shifted from it. Views are cut to the image's shorter side and kept inside the image.

    Args:
        side: of a view in pixels of the image, before zoom.
        zoom: smallest and largest factor on the side, log-uniform, per view.
        shift: largest distance between the centers of two views along each axis, in sides.
    """

    def __init__(self, side: int = 160, zoom: tuple[float, float] = (0.8, 1.25), shift: float = 0.3) -> None:
        if side < 1 or not 0 < zoom[0] <= zoom[1]:
            raise ValueError(f"side and zoom must be positive, and zoom (low, high), got {side} and {tuple(zoom)}")
        if not 0 <= shift < 1:
            raise ValueError(f"shift must be in [0, 1), or views might not overlap; got {shift}")
        self.side = side
        self.zoom = tuple(zoom)
        self.shift = shift

    def __call__(
        self, rng: np.random.Generator, image_size: tuple[int, int], boxes: NDArray[np.floating], num_views: int
    ) -> NDArray[np.int64]:
        """Rectangles ``(num_views, 4)``; see :meth:`ccrop.views.RandomCrop.__call__`."""
        some = boxes if len(boxes) else NO_BOX
        return self.of_batch(rng, np.array([image_size]), some[None], np.array([len(boxes)]), num_views)[0]

    def of_batch(
        self,
        rng: np.random.Generator,
        image_sizes: NDArray[np.integer],
        boxes: NDArray[np.floating],
        counts: NDArray[np.integer],
        num_views: int,
    ) -> NDArray[np.int64]:
        """Rectangles ``(B, num_views, 4)``; see :meth:`ccrop.views.RandomCrop.of_batch`."""
        num = len(counts)
        extent = image_sizes[:, None, ::-1]  # (B, 1, 2)
        smallest, largest = (math.log(zoom) for zoom in self.zoom)
        factors = np.exp(rng.uniform(smallest, largest, (num, num_views, 1)))
        sides = np.clip(np.rint(self.side * factors), 1, extent.min(axis=2, keepdims=True)).astype(np.int64)
        first = sides[:, :1]
        low, high = first / 2, extent - first / 2
        chosen = (rng.random(num) * counts).astype(np.int64)
        box = boxes[np.arange(num), chosen][:, None]
        near = (box[..., :2] + box[..., 2:4]) / 2 * extent + rng.uniform(-0.5, 0.5, (num, 1, 2)) * first
        middle = np.where(counts[:, None, None] > 0, near, rng.uniform(low, high)).clip(low, high)
        shifts = rng.uniform(-self.shift, self.shift, (num, num_views, 2)) * first
        shifts[:, 0] = 0
        start = np.clip(np.rint(middle + shifts - sides / 2), 0, extent - sides).astype(np.int64)
        return np.concatenate([start, start + sides], axis=2)


def crop_transforms(crops: NDArray[np.integer], image_sizes: ArrayLike) -> NDArray[np.float32]:
    """From fractions of images to fractions of crops ``(..., 4)``, in pixels: ``(..., 2, 3)``.

    Args:
        image_sizes: ``(..., 2)`` height, width in pixels.
    """
    sides = crops[..., 2:] - crops[..., :2]
    transforms = np.zeros((*crops.shape[:-1], 2, 3), dtype=np.float32)
    transforms[..., [0, 1], [0, 1]] = np.asarray(image_sizes)[..., ::-1] / sides
    transforms[..., 2] = -crops[..., :2] / sides
    return transforms


class SceneViews(CropViews):
    """:class:`ccrop.views.CropViews` that also says where the image's boxes are in each view.

    Adds ``transforms``, a list of ``(2, 3)`` from fractions of the image to fractions of a view, ``boxes``
    ``(max_boxes, 5)`` in fractions of the image, zero beyond the count, and ``counts``.

    Args:
        max_boxes: K of the localizer.
        crop, size, num_views: as of CropViews; the views are augmented on the device, which knows of its flips.
    """

    def __init__(self, crop: ScenePair, size: int, max_boxes: int, num_views: int = 2) -> None:
        super().__init__(crop, size, num_views)
        self.max_boxes = max_boxes

    def __call__(self, sample: dict[str, Any]) -> dict[str, Any]:
        found = sample["clusters"]
        if len(found) > self.max_boxes:
            raise self._too_many(f"image {sample['index']} has {len(found)} boxes")
        if self.augment is not None:
            raise ValueError("SceneViews cannot follow flips in the workers: set augment='device'")
        result = super().__call__(sample)
        image = sample["image"]
        transforms = torch.from_numpy(crop_transforms(result["rectangles"].numpy(), (image.height, image.width)))
        boxes = torch.zeros(self.max_boxes, 5)
        boxes[: len(found)] = torch.from_numpy(found)
        return result | dict(transforms=list(transforms), boxes=boxes, counts=len(found))

    def of_batch(
        self,
        rng: np.random.Generator,
        images: Tensor,
        image_sizes: NDArray[np.integer],
        boxes: NDArray[np.floating],
        counts: NDArray[np.integer],
    ) -> dict[str, Any]:
        result = super().of_batch(rng, images, image_sizes, boxes, counts)
        if boxes.shape[1] > self.max_boxes:
            raise self._too_many(f"images may have {boxes.shape[1]} boxes")
        transforms = torch.from_numpy(crop_transforms(result["rectangles"].numpy(), image_sizes[:, None]))
        padded = torch.zeros(len(boxes), self.max_boxes, 5)
        padded[:, : boxes.shape[1]] = torch.from_numpy(boxes)
        numbers = torch.from_numpy(counts).long()
        return result | dict(transforms=list(transforms.unbind(1)), boxes=padded, counts=numbers)

    def _too_many(self, found: str) -> ValueError:
        return ValueError(
            f"{found}, but SceneViews expects at most {self.max_boxes}: give it the localizer's max_boxes"
        )


class ScatterBoxes:
    """Moves each box to a random place of the image: a control that keeps the sizes and forgets the places."""

    def __call__(self, sample: dict[str, Any]) -> dict[str, Any]:
        boxes = sample["clusters"]
        sides = boxes[:, 2:4] - boxes[:, :2]
        start = (sample["rng"].random((len(boxes), 2)) * (1 - sides)).astype(boxes.dtype)
        return sample | dict(clusters=np.concatenate([start, start + sides, boxes[:, 4:]], axis=1))
