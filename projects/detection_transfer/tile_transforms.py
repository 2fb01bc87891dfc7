"""Transforms that train a detector on small tiles at the images' own scale, a fraction of them around an object."""

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmdet.registry import TRANSFORMS
from mmdet.structures import DetDataSample
from mmdet.structures.bbox import BaseBoxes
from mmengine.registry import FUNCTIONS
from mmengine.structures import InstanceData
from numpy.typing import NDArray

from ccrop.projects.detection_transfer.randomness import OwnRandomness


@TRANSFORMS.register_module()
class ObjectTile(OwnRandomness, BaseTransform):
    """A square tile near the image's own scale: with some probability around an object, otherwise anywhere.

    Most of an image with small objects is background, and a tile costs a fraction of an image. Objects of which
    too little remains are ignored, neither learned nor counted as background. An image smaller than the tile is padded
    at its right and bottom.

    Args:
        size: side of the tile in pixels.
        scale: range of the factor by which the image's pixels are magnified, drawn log-uniformly.
        object_prob: probability of a tile around an object.
        balanced: the object is of a category drawn uniformly from those in the image; otherwise each
            of the image's objects is equally likely.
        offset: largest distance of the object's center from the tile's, in sides of the tile.
        min_visible: fraction of an object's area that must be left.
        mirror: probabilities of a mirror image from left to right and from top to bottom.
        pad_value: of the padding, 0 to 255.

    Raises:
        ValueError: a size is less than a pixel, a scale is no range of positive numbers, or a probability is not in
            [0, 1].
    """

    def __init__(
        self,
        size: int = 128,
        scale: tuple[float, float] = (0.75, 1.33),
        object_prob: float = 0.5,
        balanced: bool = True,
        offset: float = 0.4,
        min_visible: float = 0.4,
        mirror: tuple[float, float] = (0.0, 0.0),
        pad_value: int = 114,
    ) -> None:
        if size < 1:
            raise ValueError(f"ObjectTile's size must be at least 1 pixel, got {size}")
        if not isinstance(scale, Sequence) or len(scale) != 2 or not 0 < scale[0] <= scale[1]:
            raise ValueError(f"ObjectTile's scale must be a range such as (0.75, 1.33), got {scale}")
        if not 0 <= object_prob <= 1:
            raise ValueError(f"ObjectTile's object_prob must be from 0 to 1, got {object_prob}")
        if not all(0 <= prob <= 1 for prob in mirror):
            raise ValueError(f"ObjectTile's mirror must be two numbers from 0 to 1, got {mirror}")
        self.size = size
        self.scale = scale
        self.object_prob = object_prob
        self.balanced = balanced
        self.offset = offset
        self.min_visible = min_visible
        self.mirror = mirror
        self.pad_value = pad_value

    def transform(self, results: dict) -> dict:
        image, boxes = results["img"], results["gt_bboxes"]
        wrapped = isinstance(boxes, BaseBoxes)
        corners = boxes.numpy() if wrapped else boxes
        window = max(1, round(self.size / np.exp(self.rng.uniform(*np.log(self.scale)))))
        corner = self._corner(image.shape[1::-1], window, corners, results["gt_bboxes_labels"])
        pixels = cut(image, corner[0], corner[1], window, self.size, self.pad_value)
        placed = (corners - np.tile(corner, 2)) * (self.size / window)
        for axis, probability in enumerate(self.mirror):
            if self.rng.random() < probability:
                pixels = np.flip(pixels, 1 - axis)
                placed[:, [axis, axis + 2]] = self.size - placed[:, [axis + 2, axis]]
        clipped = placed.clip(0, self.size)
        visible = area(clipped) / area(placed).clip(min=1e-6)
        kept = visible > 0
        clipped = clipped[kept].astype(np.float32)
        results["img"] = np.ascontiguousarray(pixels)
        results["img_shape"] = (self.size, self.size)
        results["scale_factor"] = (self.size / window,) * 2
        results["gt_bboxes"] = type(boxes)(clipped) if wrapped else clipped
        results["gt_bboxes_labels"] = results["gt_bboxes_labels"][kept]
        results["gt_ignore_flags"] = (results["gt_ignore_flags"] | (visible < self.min_visible))[kept]
        return results

    def _corner(
        self, image_size: tuple[int, int], window: int, boxes: NDArray[np.float32], labels: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """Left and top of a window in an image of (width, height)."""
        room = np.maximum(np.array(image_size) - window, 0)
        if not len(boxes) or self.rng.random() >= self.object_prob:
            return self.rng.integers(room + 1)
        if self.balanced:
            boxes = boxes[labels == self.rng.choice(np.unique(labels))]
        chosen = boxes[self.rng.integers(len(boxes))]
        center = (chosen[:2] + chosen[2:]) / 2 + self.rng.uniform(-self.offset, self.offset, 2) * window
        return (center - window / 2).round().astype(int).clip(0, room)


@TRANSFORMS.register_module()
class RandomLevels(OwnRandomness, BaseTransform):
    """Brightness and contrast, of images with any number of channels: levels times a gain, plus an offset.

    Args:
        gain: its range.
        offset: largest change in levels of 0 to 255.
    """

    def __init__(self, gain: tuple[float, float] = (0.8, 1.25), offset: float = 20) -> None:
        self.gain = gain
        self.offset = offset

    def transform(self, results: dict) -> dict:
        levels = np.arange(256) * self.rng.uniform(*self.gain) + self.rng.uniform(-self.offset, self.offset)
        results["img"] = cv2.LUT(results["img"], levels.clip(0, 255).round().astype(np.uint8)).reshape(
            results["img"].shape
        )
        return results


@FUNCTIONS.register_module()
def pack_tiles(samples: Sequence[dict]) -> dict:
    """A batch of tiles of one size for mmdet, from a pipeline that does not end in PackDetInputs.

    ``PackDetInputs`` and boxes wrapped in a class cost as much per tile as everything else before them.
    """
    pixels = torch.from_numpy(np.stack([each["img"] for each in samples]))
    return dict(inputs=pixels.permute(0, 3, 1, 2), data_samples=[_annotated(each) for each in samples])


def _annotated(results: dict) -> DetDataSample:
    boxes, labels = (torch.from_numpy(results[name]) for name in ("gt_bboxes", "gt_bboxes_labels"))
    ignored = torch.from_numpy(results["gt_ignore_flags"])
    parts = [InstanceData(bboxes=boxes[chosen], labels=labels[chosen]) for chosen in (~ignored, ignored)]
    meta = {name: results[name] for name in ("img_path", "ori_shape", "img_shape", "scale_factor")}
    return DetDataSample(gt_instances=parts[0], ignored_instances=parts[1], metainfo=meta)


def cut(image: NDArray[np.uint8], left: int, top: int, window: int, size: int, pad_value: int) -> NDArray[np.uint8]:
    """A square window of an image, resized to ``(size, size, C)`` and padded where the image ends.

    Args:
        image: ``(H, W, C)``, or ``(H, W)`` of one channel.
        left, top, window: of the window and its side, in pixels.
    """
    part = np.atleast_3d(image)[top : top + window, left : left + window]
    height, width = (max(1, round(side * size / window)) for side in part.shape[:2])
    interpolation = cv2.INTER_AREA if window > 1.5 * size else cv2.INTER_LINEAR
    resized = np.dstack(  # OpenCV averages four channels at most
        [
            cv2.resize(part[..., first : first + 4], (width, height), interpolation=interpolation)
            for first in range(0, part.shape[2], 4)
        ]
    )
    if resized.shape[:2] == (size, size):
        return resized.astype(np.uint8, copy=False)
    padded = np.full((size, size, resized.shape[2]), pad_value, np.uint8)
    padded[:height, :width] = resized
    return padded


def area(boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    """Of boxes ``(M, 4)`` x0, y0, x1, y1."""
    return (boxes[:, 2:] - boxes[:, :2]).clip(min=0).prod(axis=1)
