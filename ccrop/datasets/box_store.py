"""The one owner of an image's boxes, shared by all processes of a node."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.dist import all_reduce, barrier
from numpy.typing import NDArray
from torch import Tensor

from ccrop.datasets.node_memory import NodeMemory
from ccrop.datasets.samplers import ShardedBatches

STEPS = 53760  # of a coordinate from 0 to 1: 2^9 x 3 x 5 x 7, and fits in 16 bits
CHUNK = 2**19  # boxes that are worked on at once: about 40 MB


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
    """Up to K boxes per image, in memory that all processes of a node share.

    Ranks and persistent data-loading workers see an update at once. A coordinate is a 16-bit number of steps of
    1 / :data:`STEPS`: exact for whole pixels of an image that is looked at in 32, 96, 224, 320, 512, 640 or another
    divisor of :data:`STEPS`, and otherwise within 0.3 px at 32,000 px. A score has half precision. So a box costs 10
    bytes and an image 2 more.

    Args:
        num_images: of the data set.
        max_boxes: K.
        fingerprint: of the data set's image names, so that boxes never meet other images.
        alone: the store is this process's and its workers' own, and none of its methods is collective; otherwise every
            rank must make it.

    Raises:
        OSError: there is not enough shared memory.
    """

    def __init__(self, num_images: int, max_boxes: int, fingerprint: str, alone: bool = False) -> None:
        if num_images < 1 or max_boxes < 1:
            raise ValueError(f"a BoxStore needs images and boxes, got {num_images} images and K = {max_boxes}")
        self.fingerprint = fingerprint
        self.max_boxes = max_boxes  # K, the most boxes an image can have
        self._alone = alone
        self._memory = NodeMemory(num_images * record(max_boxes).itemsize, alone)

    @property
    def _rows(self) -> NDArray[np.void]:
        """``(N,)`` of :func:`record`."""
        return np.frombuffer(self._memory.buffer, record(self.max_boxes))

    def __len__(self) -> int:
        return self._memory.num_bytes // record(self.max_boxes).itemsize

    @property
    def nbytes(self) -> int:
        """Bytes of shared memory."""
        return self._memory.num_bytes

    @property
    def boxes(self) -> Tensor:
        """``(N, K, 5)`` float32: x0, y0, x1, y1 in fractions of the image, score; zero beyond the count.

        All at once, twice the memory of the store: large sets are read by :meth:`chunks`.
        """
        return torch.from_numpy(unpacked(self._rows["boxes"]))

    @property
    def counts(self) -> Tensor:
        """``(N,)`` int64: boxes of each image; 0 before the first localization."""
        return torch.from_numpy(self._rows["count"].astype(np.int64))

    def __getitem__(self, index: int) -> NDArray[np.float32]:
        """Boxes of one image, ``(count, 5)``."""
        row = self._rows[index]
        return unpacked(row["boxes"][: row["count"]])

    def of_batch(self, indices: Tensor) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Boxes ``(B, K, 5)`` and counts ``(B,)`` of some images ``(B,)``."""
        rows = self._rows[indices.numpy()]
        return unpacked(rows["boxes"]), rows["count"].astype(np.int64)

    def chunks(self) -> Iterator[tuple[NDArray[np.float32], NDArray[np.int64]]]:
        """Boxes ``(n, K, 5)`` and counts ``(n,)`` of all images in their order, some at a time."""
        for part in self._parts():
            rows = self._rows[part]
            yield unpacked(rows["boxes"]), rows["count"].astype(np.int64)

    def _parts(self) -> Iterator[slice]:
        step = max(1, CHUNK // self.max_boxes)
        return (slice(start, min(start + step, len(self))) for start in range(0, len(self), step))

    def update(self, boxes: Tensor, counts: Tensor) -> None:
        """Replace all boxes, by the same ones on every rank. Collective.

        Args:
            boxes: ``(N, K, 5)``, see :meth:`write`.
            counts: ``(N,)`` in 0 to K.

        Raises:
            ValueError: other shapes.
            InvalidBoxes: an invalid count or box. The boxes stay as they were.
        """
        self._require_shapes(boxes, counts, len(self))
        for part in self._parts():
            _check(boxes[part], counts[part], torch.arange(part.start, part.stop))
        self._wait()  # until no rank reads what was there
        if self._memory.is_first:
            for part in self._parts():
                self._rows[part] = packed(boxes[part], counts[part])
        self._wait()

    def write(self, indices: Tensor, boxes: Tensor, counts: Tensor) -> None:
        """Replace the boxes of some images, for this node; :meth:`exchange` gives them to the others.

        Args:
            indices: ``(B,)`` int64, the images.
            boxes: ``(B, K, 5)`` x0, y0, x1, y1 in fractions of the image and a score, finite, 0 <= x0 < x1 <= 1 and
                0 <= y0 < y1 <= 1 up to the count. Where K is 1, a box bounds the centers of crops and may be one
                point; one of several boxes is the extent of an object, by which crops are sized, and has an area.
            counts: ``(B,)`` in 0 to K.

        Raises:
            ValueError: other shapes.
            InvalidBoxes: an invalid count or box. The boxes stay as they were.
        """
        self._require_shapes(boxes, counts, len(indices))
        _check(boxes, counts, indices)
        self._rows[indices.numpy()] = packed(boxes, counts)

    def exchange(self, share: ShardedBatches) -> None:
        """Wait until every rank has written the boxes of its share, and hand them to the other nodes. Collective."""
        self._wait()
        if self._memory.copies == 1:
            return
        for part in self._parts():
            rows = self._rows[part].copy()
            rows[~share.holds(np.arange(part.start, part.stop))] = 0
            content = torch.from_numpy(rows.view(np.uint8))
            all_reduce(content)  # one rank has a row and the others zeros, so their sum is exact
            if self._memory.is_first:
                self._rows[part] = rows
        self._wait()

    def state_dict(self) -> dict[str, Any]:
        """Copies of the boxes and counts, and the fingerprint, for a checkpoint."""
        return dict(boxes=self.boxes, counts=self.counts.short(), fingerprint=self.fingerprint)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore in place, so that running workers see it. Collective.

        Raises:
            ValueError: the state is of another data set or of another K.
        """
        self._require_shape_of(state, *state["boxes"].shape[:2])
        self._wait()
        if self._memory.is_first:
            for part in self._parts():
                self._rows[part] = packed(state["boxes"][part].float(), state["counts"][part])
        self._wait()

    def digest(self) -> str:
        """A name for the content: 32 hexadecimal digits."""
        return hashlib.blake2b(self._memory.buffer, digest_size=16).hexdigest()

    def save(self, file: str | Path) -> None:
        """Write the boxes and counts as they lie in memory, see :func:`record`."""
        self._rows.tofile(file)

    def load(self, file: str | Path, state: dict[str, Any]) -> None:
        """Restore in place what :meth:`save` wrote. Collective.

        Args:
            state: ``num_images``, ``max_boxes`` and ``fingerprint`` of the saved store.

        Raises:
            ValueError: it is of another data set or of another K, or not all of it is there.
        """
        self._require_shape_of(state, state["num_images"], state["max_boxes"])
        size = Path(file).stat().st_size
        if size != self.nbytes:
            raise ValueError(f"{file} is damaged: it has {size} bytes instead of {self.nbytes}; copy it again")
        self._wait()
        if self._memory.is_first:
            with open(file, "rb") as content:
                for part in self._parts():
                    self._rows[part] = np.fromfile(content, record(self.max_boxes), part.stop - part.start)
        self._wait()

    def _wait(self) -> None:
        """Until all ranks are here."""
        if not self._alone:
            barrier()

    def _require_shapes(self, boxes: Tensor, counts: Tensor, number: int) -> None:
        if boxes.shape != (number, self.max_boxes, 5) or counts.shape != (number,):
            raise ValueError(
                f"the store holds boxes {(number, self.max_boxes, 5)}, got {tuple(boxes.shape)} "
                f"and counts {tuple(counts.shape)}"
            )

    def _require_shape_of(self, state: dict[str, Any], num_images: int, max_boxes: int) -> None:
        """Refuse boxes of another data set or of another K."""
        if max_boxes != self.max_boxes:
            raise ValueError(
                f"the checkpoint has up to {max_boxes} boxes per image, but this run's localizer returns up to "
                f"{self.max_boxes}: resume with max_boxes={max_boxes}, or start a new run"
            )
        if num_images != len(self) or state["fingerprint"] != self.fingerprint:
            raise ValueError(
                f"the checkpoint's boxes of {num_images} images belong to another data set than this run's "
                f"{len(self)} images (their count or file names differ): resume with the data set it was trained "
                "on, or start a new run"
            )


def record(max_boxes: int) -> np.dtype:
    """What is stored of an image: its ``count``, and ``boxes (K, 5)`` as :func:`packed` gives them."""
    return np.dtype([("count", "<u2"), ("boxes", "<u2", (max_boxes, 5))])


def packed(boxes: Tensor, counts: Tensor) -> NDArray[np.void]:
    """Records ``(B,)`` of valid boxes ``(B, K, 5)`` float32 and counts ``(B,)``; boxes beyond the count are zero.

    Edges are rounded to the nearest step, but for a box whose edges would meet, which is rounded outwards, so that an
    area stays one.
    """
    used = torch.arange(boxes.shape[1]) < counts[:, None]
    kept = boxes.where(used[..., None], 0).numpy()
    low, high = np.split(kept[..., :4].astype(np.float64) * STEPS, 2, axis=-1)  # exact
    nearest = np.rint(low), np.rint(high)
    thin = (nearest[0] == nearest[1]) & (low < high)
    rows = np.empty(len(kept), record(boxes.shape[1]))
    rows["count"] = counts.numpy()
    rows["boxes"][..., :2] = np.where(thin, np.floor(low), nearest[0])
    rows["boxes"][..., 2:4] = np.where(thin, np.ceil(high), nearest[1])
    rows["boxes"][..., 4] = kept[..., 4].astype("<f2").view("<u2")
    return rows


def unpacked(boxes: NDArray[np.uint16]) -> NDArray[np.float32]:
    """Boxes ``(..., 5)`` float32 of stored ones."""
    found = (boxes / np.float32(STEPS)).astype(np.float32)
    found[..., 4] = boxes[..., 4].view("<f2")
    return found


def _check(boxes: Tensor, counts: Tensor, indices: Tensor) -> None:
    """Raise :class:`InvalidBoxes` for the first of the images ``indices (B,)`` with a wrong count or a wrong box."""
    max_boxes = boxes.shape[1]
    wrong_counts = (counts < 0) | (counts > max_boxes)
    if wrong_counts.any():
        place = int(wrong_counts.nonzero()[0])
        raise InvalidBoxes(int(indices[place]), f"{int(counts[place])} boxes, but an image can have 0 to {max_boxes}")
    x0, y0, x1, y1 = boxes[..., :4].unbind(-1)
    faults = {
        "is not finite": ~boxes.isfinite().all(dim=-1),
        "is turned around": (x0 > x1) | (y0 > y1),
        "reaches out of the image": (x0 < 0) | (y0 < 0) | (x1 > 1) | (y1 > 1),
        "has a score above 65,504": boxes[..., 4].abs() > torch.finfo(torch.float16).max,
    }
    if max_boxes > 1:
        faults["has no area"] = (x0 == x1) | (y0 == y1)
    used = torch.arange(max_boxes) < counts[:, None]
    wrong = torch.stack(list(faults.values()), dim=-1) & used[..., None]
    if wrong.any():
        place, number, fault = wrong.nonzero()[0].tolist()
        raise InvalidBoxes(
            int(indices[place]),
            f"box {number + 1} of {int(counts[place])}, {boxes[place, number].tolist()}, {list(faults)[fault]}: the "
            "localizer must return x0, y0, x1, y1, score with x0 < x1 and y0 < y1 in fractions of the image (0 to 1)",
        )
