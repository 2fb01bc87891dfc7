"""The one owner of an image's boxes, shared by all processes of a run."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


class InvalidBoxes(ValueError):
    """Boxes that a store refuses.

    Attributes:
        image: index of the first image that has such a box.
    """

    def __init__(self, image: int, reason: str) -> None:
        super().__init__(image, reason)
        self.image = image
        self.reason = reason

    def __str__(self) -> str:
        return f"image {self.image}: {self.reason}"


class BoxStore:
    """Up to K boxes an image, in shared memory.

    Persistent data-loading workers see an update at once. Coordinates are float32, exact to a pixel in
    images of any size that is read, so a box costs 20 bytes.

    Args:
        num_images: of the data set.
        max_boxes: K.
        fingerprint: of the data set's image names, so that boxes never meet other images.
    """

    def __init__(self, num_images: int, max_boxes: int, fingerprint: str) -> None:
        if num_images < 1 or max_boxes < 1:
            raise ValueError(f"a BoxStore needs images and boxes, got {num_images} images and K = {max_boxes}")
        self.fingerprint = fingerprint
        self._boxes = torch.zeros(num_images, max_boxes, 5, dtype=torch.float32).share_memory_()
        self._counts = torch.zeros(num_images, dtype=torch.int16).share_memory_()

    def __len__(self) -> int:
        return len(self._counts)

    @property
    def max_boxes(self) -> int:
        """K, the most boxes an image can have."""
        return self._boxes.shape[1]

    @property
    def boxes(self) -> Tensor:
        """``(N, K, 5)`` float32: x0, y0, x1, y1 in fractions of the image, score; zero beyond the count."""
        return self._boxes.clone()

    @property
    def counts(self) -> Tensor:
        """``(N,)`` int64: boxes of each image; 0 before the first localization."""
        return self._counts.long()

    def __getitem__(self, index: int) -> NDArray[np.float32]:
        """Boxes of one image, ``(count, 5)``."""
        return self._boxes[index, : self._counts[index]].clone().numpy()

    def of_batch(self, indices: Tensor) -> tuple[NDArray[np.float32], NDArray[np.int16]]:
        """Boxes ``(B, K, 5)`` and counts ``(B,)`` of some images ``(B,)``."""
        return self._boxes[indices].numpy(), self._counts[indices].numpy()

    def update(self, boxes: Tensor, counts: Tensor) -> None:
        """Replace all boxes.

        Args:
            boxes: ``(N, K, 5)`` x0, y0, x1, y1 in fractions of the image and a score, finite, 0 <= x0 < x1 <= 1 and
                0 <= y0 < y1 <= 1 up to the count. Where K is 1, a box bounds the centers of crops and may be one
                point; one of several boxes is the extent of an object, by which crops are sized, and has an area.
            counts: ``(N,)`` in 0 to K.

        Raises:
            ValueError: other shapes.
            InvalidBoxes: an invalid count or box. The boxes stay as they were.
        """
        if boxes.shape != self._boxes.shape or counts.shape != self._counts.shape:
            raise ValueError(
                f"the store holds boxes {tuple(self._boxes.shape)}, got {tuple(boxes.shape)} "
                f"and counts {tuple(counts.shape)}"
            )
        used = torch.arange(self.max_boxes) < counts[:, None]
        _check(boxes, counts, used)
        self._boxes.copy_(boxes.where(used[..., None], 0))
        self._counts.copy_(counts)

    def state_dict(self) -> dict[str, Any]:
        """Copies of the boxes and counts, and the fingerprint, for a checkpoint."""
        return dict(boxes=self._boxes.clone(), counts=self._counts.clone(), fingerprint=self.fingerprint)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore in place, so that running workers see it.

        Raises:
            ValueError: the state is of another data set or of another K.
        """
        num_images, max_boxes = state["boxes"].shape[:2]
        if max_boxes != self.max_boxes:
            raise ValueError(
                f"the checkpoint has up to {max_boxes} boxes an image, this run's localizer gives up to "
                f"{self.max_boxes}: resume with max_boxes={max_boxes}, or start a new run"
            )
        if num_images != len(self) or state["fingerprint"] != self.fingerprint:
            raise ValueError(
                f"the checkpoint's boxes of {num_images} images belong to another data set than this run's "
                f"{len(self)} images (their number or file names differ): resume with the data set it was trained "
                "on, or start a new run"
            )
        self._boxes.copy_(state["boxes"])
        self._counts.copy_(state["counts"])


def _check(boxes: Tensor, counts: Tensor, used: Tensor) -> None:
    """Raise :class:`InvalidBoxes` for the first image with a wrong count or a wrong box among the ``used (N, K)``."""
    max_boxes = boxes.shape[1]
    wrong_counts = (counts < 0) | (counts > max_boxes)
    if wrong_counts.any():
        image = int(wrong_counts.nonzero()[0])
        raise InvalidBoxes(image, f"{int(counts[image])} boxes, but an image has 0 to {max_boxes}")
    x0, y0, x1, y1 = boxes[..., :4].unbind(-1)
    faults = {
        "is not finite": ~boxes.isfinite().all(dim=-1),
        "is turned around": (x0 > x1) | (y0 > y1),
        "reaches out of the image": (x0 < 0) | (y0 < 0) | (x1 > 1) | (y1 > 1),
    }
    if max_boxes > 1:
        faults["has no area"] = (x0 == x1) | (y0 == y1)
    wrong = torch.stack(list(faults.values()), dim=-1) & used[..., None]
    if wrong.any():
        image, number, fault = wrong.nonzero()[0].tolist()
        raise InvalidBoxes(
            image,
            f"box {number + 1} of {int(counts[image])}, {boxes[image, number].tolist()}, {list(faults)[fault]}: the "
            "localizer must give x0, y0, x1, y1, score with x0 < x1 and y0 < y1 in fractions of the image, from 0 to 1",
        )
