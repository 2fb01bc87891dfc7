"""The one owner of an image's boxes, shared by all processes of a run."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


class BoxStore:
    """Up to K boxes an image, in shared memory.

    Persistent data-loading workers see an update at once. Coordinates are float16, whose spacing in [0, 1] is
    at most 1/2048 of the image, so a box costs 10 bytes.

    Args:
        num_images: of the data set.
        max_boxes: K.
        fingerprint: of the data set's image names, so that boxes never meet other images.
    """

    def __init__(self, num_images: int, max_boxes: int, fingerprint: str) -> None:
        if num_images < 1 or max_boxes < 1:
            raise ValueError(f"a BoxStore needs images and boxes, got {num_images} images and K = {max_boxes}")
        self.fingerprint = fingerprint
        self._boxes = torch.zeros(num_images, max_boxes, 5, dtype=torch.float16).share_memory_()
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
        return self._boxes.float()

    @property
    def counts(self) -> Tensor:
        """``(N,)`` int64: boxes of each image; 0 before the first localisation."""
        return self._counts.long()

    def __getitem__(self, index: int) -> NDArray[np.float32]:
        """Boxes of one image, ``(count, 5)``."""
        return self._boxes[index, : self._counts[index]].float().numpy()

    def update(self, boxes: Tensor, counts: Tensor) -> None:
        """Replace all boxes.

        Args:
            boxes: ``(N, K, 5)``, finite, 0 <= x0 <= x1 <= 1 and 0 <= y0 <= y1 <= 1 up to the count; a box
                may be one point, because it bounds a center.
            counts: ``(N,)`` in 0 to K.

        Raises:
            ValueError: other shapes, or a box that is none; names the first such image.
        """
        if boxes.shape != self._boxes.shape or counts.shape != self._counts.shape:
            raise ValueError(
                f"the store holds boxes {tuple(self._boxes.shape)}, got {tuple(boxes.shape)} "
                f"and counts {tuple(counts.shape)}"
            )
        used = torch.arange(self.max_boxes) < counts[:, None]
        x0, y0, x1, y1 = boxes[..., :4].unbind(-1)
        valid = boxes.isfinite().all(-1) & (x0 >= 0) & (x0 <= x1) & (x1 <= 1) & (y0 >= 0) & (y0 <= y1) & (y1 <= 1)
        wrong = (used & ~valid).any(1) | (counts < 0) | (counts > self.max_boxes)
        if wrong.any():
            image = int(wrong.nonzero()[0])
            raise ValueError(
                f"image {image} has a box that is turned around, not finite or out of the image, or a count beyond "
                f"0 to {self.max_boxes}: {boxes[image].tolist()}, count {int(counts[image])}"
            )
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
        if state["boxes"].shape != self._boxes.shape or state["fingerprint"] != self.fingerprint:
            raise ValueError(
                f"the checkpoint's boxes {tuple(state['boxes'].shape)} belong to another data set than this run's "
                f"{tuple(self._boxes.shape)} (number of images, K or file names differ): resume with the data set "
                "it was trained on, or start a new run"
            )
        self._boxes.copy_(state["boxes"])
        self._counts.copy_(state["counts"])
