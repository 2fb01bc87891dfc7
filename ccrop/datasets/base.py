"""Images on disk, and what is known of each: the base of all data sets."""

import copy
import hashlib
import pickle
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from mmengine.dataset import BaseDataset
from mmengine.dist import barrier
from mmengine.logging import MMLogger
from mmengine.registry import TRANSFORMS
from numpy.typing import NDArray
from torch import Tensor

from ccrop.datasets.box_store import BoxStore, InvalidBoxes
from ccrop.datasets.channel_stack import AnyImage
from ccrop.datasets.reading import ARRAY_SUFFIX, IMAGE_SUFFIXES, WHITE, UnreadableFile, printable, read_image
from ccrop.datasets.samplers import ShardedBatches

NO_BOXES = np.zeros((0, 5), dtype=np.float32)


class MissingData(FileNotFoundError):
    """A data set is not where it should be; the message shows the expected layout."""


class InvalidAnnotations(ValueError):
    """Annotations or labels that cannot be used.

    Attributes:
        source: the file or folder that has them.
        reason: what is wrong with them, and what to do.
    """

    def __init__(self, source: str | Path, reason: str) -> None:
        super().__init__(source, reason)
        self.source = source
        self.reason = reason

    def __str__(self) -> str:
        return f"{printable(self.source)}: {self.reason}"


@cache
def say_once(line: str) -> None:
    """Log a warning only the first time."""
    MMLogger.get_current_instance().warning(line)


class LocatedDataset(BaseDataset):
    """Files, and the boxes of each.

    Random numbers depend only on (seed, epoch, index), whichever worker or rank draws them, so that
    a resumed run repeats an uninterrupted one. An unreadable file is marked in :attr:`unreadable` and the next
    readable one replaces it.

    Subclasses implement :meth:`load_data_list`, whose entries hold ``path`` (relative to the data root), and
    :meth:`known`, and show their :attr:`layout` on disk, with ``{root}`` for the data root.

    Args:
        data_root: folder of the data.
        pipeline: steps, each a callable from sample to sample or the config of one.
        subset: use only this many files, evenly spaced over the sorted list, and thus over all classes.

    Attributes:
        boxes: of all files, once a hook has created a store for them.
        unit: what a file is called in logs.
    """

    layout: ClassVar[str]
    unit: ClassVar[str]
    boxes: BoxStore | None = None

    def __init__(
        self, data_root: str | Path, pipeline: Sequence[dict[str, Any] | Callable] = (), subset: int | None = None
    ) -> None:
        if subset is not None and subset < 1:
            raise ValueError(f"subset must be a positive number of {self.unit}s or None for all, got {subset}")
        self.subset = subset
        super().__init__(data_root=str(data_root), data_prefix={}, pipeline=[build_step(step) for step in pipeline])
        self.unreadable = torch.zeros(len(self), dtype=torch.bool).share_memory_()

    def filter_data(self) -> list[dict[str, Any]]:
        if self.subset is None:
            return self.data_list
        return [self.data_list[i] for i in spread(len(self.data_list), self.subset)]

    def _serialize_data(self) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """Pickled entries one after another, and where each ends, without MMEngine's array of each entry."""
        entries = [pickle.dumps(info, protocol=4) for info in self.data_list]
        self.data_list.clear()
        ends = np.fromiter(map(len, entries), np.int64, len(entries)).cumsum()
        return np.frombuffer(b"".join(entries), np.uint8), ends

    def __getitem__(self, key: int | tuple[int, int, int]) -> Any:
        """The pipeline's result for a file.

        Args:
            key: its index, or (seed, epoch, index) as :class:`ccrop.datasets.SeededSampler` gives them.

        Raises:
            IndexError: the index is not in 0 to ``len(self) - 1``.
            UnreadableFile: no file of the data set is readable; says why for the first one.
        """
        seed, epoch, index = (0, 0, key) if isinstance(key, int) else key
        if not 0 <= index < len(self):
            raise IndexError(f"{self.unit} {index} of {len(self)}")
        rng = np.random.default_rng((seed, epoch, index))
        for candidate in range(index, index + len(self)):
            candidate %= len(self)
            if self.unreadable[candidate]:
                continue
            try:
                sample = self.known(candidate)
            except UnreadableFile:
                self.unreadable[candidate] = True
                continue
            return self.pipeline(sample | dict(index=candidate, rng=rng))
        raise UnreadableFile(
            self.data_root, f"none of its {len(self)} {self.unit}s is readable; the first: {self.why_unreadable(0)}"
        )

    def why_unreadable(self, index: int) -> str:
        """The path of a file marked as unreadable, and what is wrong with it."""
        try:
            self.known(index)
        except UnreadableFile as error:
            return str(error)
        return f"{printable(self.path(self.get_data_info(index)))}: unreadable when first tried"

    def known(self, index: int) -> dict[str, Any]:
        """A file's content and what is known of it, before the pipeline, without index and generator.

        Raises:
            UnreadableFile: names the file and what is wrong with it.
        """
        raise NotImplementedError

    def path(self, info: dict[str, Any]) -> Path:
        """The path of an entry's file."""
        return Path(self.data_root, info["path"])

    def with_pipeline(self, pipeline: Sequence[dict[str, Any] | Callable]) -> "LocatedDataset":
        """The same files, boxes and unreadable marks with other pipeline steps; nothing is copied."""
        other = copy.copy(self)
        other.pipeline = copy.copy(self.pipeline)
        other.pipeline.transforms = [build_step(step) for step in pipeline]
        return other

    def update_boxes(self, boxes: Tensor, counts: Tensor) -> None:
        """Replace the boxes of all files, see :meth:`ccrop.datasets.BoxStore.update`.

        Raises:
            ValueError: other shapes, or an invalid box; names the first such file, if it has a name.
        """
        assert self.boxes is not None
        with self._naming_files():
            self.boxes.update(boxes, counts)

    def fill_boxes(self, found: Iterable[tuple[Tensor, Tensor, Tensor]], share: ShardedBatches) -> None:
        """Replace the boxes of all files as they are found, every rank those of its share. Collective.

        Args:
            found: batches of indices ``(B,)``, boxes ``(B, K, 5)`` and counts ``(B,)``, see
                :meth:`ccrop.datasets.BoxStore.write`.
            share: of this rank, all of which ``found`` covers.

        Raises:
            ValueError: as of :meth:`update_boxes`.
        """
        assert self.boxes is not None
        barrier()  # until no rank reads what was there
        with self._naming_files():
            for indices, boxes, counts in found:
                self.boxes.write(indices, boxes, counts)
        self.boxes.exchange(share)

    @contextmanager
    def _naming_files(self) -> Iterator[None]:
        """An invalid box is an error that names the file."""
        try:
            yield
        except InvalidBoxes as error:
            info = self.get_data_info(error.image)
            name = printable(self.path(info)) if "path" in info else f"image {error.image} of {self.data_root}"
            raise ValueError(f"{name}: {error.reason}") from error

    def fingerprint(self) -> str:
        """Changes when files are added, removed or renamed, but not when the data root moves."""
        return hashlib.sha1(self.data_bytes.tobytes()).hexdigest()


class ImageDataset(LocatedDataset):
    """Reads an image, adds what is known of it, and hands it to the pipeline.

    A sample is ``dict(image, index, rng, clusters[, label])``: the image (upright), its number, its own random
    generator, the boxes ``(K, 5)`` that :attr:`boxes` has of it, and its class where the entry of the list has a
    ``label``.

    Args:
        channels: of the images: 3 gives images in RGB, 1 in gray (L), and any other number is read unchanged
            from the files, see :func:`ccrop.datasets.read_image`.
        white: level of white in 16-bit gray images and more.
        kwargs: see :class:`LocatedDataset`.

    Raises:
        UnreadableImage: the first file does not have this many channels.

    Attributes:
        classes: names of the labels, in their order; empty if the data set names none.
    """

    unit = "image"
    classes: tuple[str, ...] = ()

    def __init__(self, data_root: str | Path, channels: int = 3, white: int = WHITE, **kwargs: Any) -> None:
        if channels < 1 or white < 1:
            raise ValueError(f"channels and white must be positive numbers, got {channels} and {white}")
        self.channels = channels
        self.white = white
        super().__init__(data_root, **kwargs)
        if channels not in (1, 3):  # any file can be read as gray or RGB; for other numbers, the first file is checked
            self.read(self.get_data_info(0))

    @property
    def suffixes(self) -> tuple[str, ...]:
        """Of image files; arrays count only if images are not RGB: otherwise, they are most likely something else."""
        return IMAGE_SUFFIXES if self.channels == 3 else (*IMAGE_SUFFIXES, ARRAY_SUFFIX)

    def filter_data(self) -> list[dict[str, Any]]:
        if not self.data_list:
            raise MissingData(f"no image found in {self.data_root} (looked for {', '.join(self.suffixes)})")
        return super().filter_data()

    def known(self, index: int) -> dict[str, Any]:
        info = self.get_data_info(index)
        sample = dict(image=self.read(info), clusters=NO_BOXES if self.boxes is None else self.boxes[index])
        return sample | {"label": info["label"]} if "label" in info else sample

    def read(self, info: dict[str, Any]) -> AnyImage:
        """Decode an image, upright.

        Raises:
            UnreadableImage: names the file and what is wrong with it.
        """
        return read_image(self.path(info), self.channels, self.white, as_tensor=True)


def spread(total: int, number: int) -> list[int]:
    """``number`` indices evenly spaced over ``total``, ends included; all of them if there are fewer."""
    return np.linspace(0, total - 1, min(number, total)).round().astype(int).tolist()


def require_same_classes(training: ImageDataset, other: ImageDataset) -> None:
    """Refuse sets whose labels have different classes.

    Raises:
        InvalidAnnotations: names the classes that differ.
    """
    if training.classes != other.classes:
        apart = sorted(set(training.classes) ^ set(other.classes)) or list(other.classes)
        raise InvalidAnnotations(
            other.data_root,
            f"its classes are not those of {training.data_root}, the first to differ are {apart[:5]}: give both "
            "the same classes, numbered as in the training images",
        )


def build_step(step: dict[str, Any] | Any) -> Any:
    """Build a step of a pipeline and the steps in its arguments; anything already built stays."""
    if not (isinstance(step, dict) and "type" in step):
        return step
    return TRANSFORMS.build({key: build_step(value) for key, value in step.items()})
