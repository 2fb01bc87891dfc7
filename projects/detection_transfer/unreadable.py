"""Unreadable images of a detector: skipped and counted; the run stops if there are too many."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any

import torch
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.registry import DATASETS
from mmengine.runner import Runner

from ccrop.available_cores import fitting_workers
from ccrop.datasets import CocoImages
from ccrop.datasets.reading import WHITE, UnreadableImage, printable, read_image
from ccrop.datasets.trained_files import innermost
from ccrop.hooks.unreadable import TooManyUnreadable, UnreadableImagesHook
from ccrop.projects.detection_transfer.images import ReadImage

LIMIT = 0.01  # fraction of the images that may be unreadable


class ReadableImages(CocoImages):
    """The readable images of a split, all of which are tried first.

    Args:
        data_root, kwargs: see :class:`ccrop.datasets.CocoImages`.

    Attributes:
        faults: what is wrong with the others.

    Raises:
        TooManyUnreadable: they are more than :data:`LIMIT` of them.
    """

    faults: Sequence[str] = ()

    def load_data_list(self) -> list[dict[str, Any]]:
        entries = super().load_data_list()
        paths = [str(self.path(entry)) for entry in entries]
        faults = tolerated(_faults(paths, self.channels, self.white), len(paths), "images")
        self.faults = tuple(faults.values())
        return [entry for place, entry in enumerate(entries) if place not in faults]


class MarkedImages:
    """The marks of an mmdet data set's images, with the part of :class:`ccrop.datasets.LocatedDataset` that hooks use.

    Args:
        dataset: without its wrappers.
        reader: of its pipeline; gets the marks.
    """

    unit = "image"

    def __init__(self, dataset: BaseDataset, reader: ReadImage) -> None:
        self.dataset = dataset
        self.reader = reader
        self.unreadable = reader.unreadable = torch.zeros(len(dataset), dtype=torch.bool).share_memory_()

    def __len__(self) -> int:
        return len(self.dataset)

    def get_data_info(self, index: int) -> dict[str, Any]:
        return self.dataset.get_data_info(index)

    def path(self, info: dict[str, Any]) -> str:
        return info["img_path"]

    def why_unreadable(self, index: int) -> str:
        path = self.path(self.get_data_info(index))
        return (
            _fault(path, self.reader.channels, self.reader.white) or f"{printable(path)}: unreadable when first tried"
        )


class UnreadableExamplesHook(UnreadableImagesHook):
    """:class:`UnreadableImagesHook` for a data set of mmdet, which draws another image for one that is unreadable."""

    otherwise = ""  # no config names it

    def before_train(self, runner: Runner) -> None:
        self._marked = [
            MarkedImages(dataset, step)
            for dataset in innermost(runner.train_dataloader.dataset)
            for step in dataset.pipeline.transforms
            if isinstance(step, ReadImage)
        ]
        self._seen: list[set[int]] = [set() for _ in self._marked]

    def _look(self, runner: Runner) -> None:
        for number, marked in enumerate(self._marked):
            self._current, self._reported = marked, self._seen[number]
            super()._look(runner)
        self._reported = set().union(*self._seen)

    def marked(self, runner: Runner) -> MarkedImages:
        return self._current


def leave_out_unreadable(config: Config) -> None:
    """Leave out the unreadable images of the test data set before training.

    The config's ``notes`` list them. A test cannot replace an image by another, and should
    not fail only after training.

    Raises:
        TooManyUnreadable: they are more than :data:`LIMIT` of them.
    """
    settings = config.test_dataloader.dataset
    if settings.type != "CocoDataset":
        return
    dataset = DATASETS.build(dict(settings, pipeline=[], _scope_="mmdet"))
    paths = [dataset.get_data_info(index)["img_path"] for index in range(len(dataset))]
    faults = _faults(paths, config.get("channels", 3), config.get("white", WHITE))
    if not tolerated(faults, len(paths), "images to test on"):
        return
    used = settings.get("indices") or range(len(paths))
    settings["indices"] = [used[place] for place in range(len(paths)) if place not in faults]
    left_out = [f"left out of the test, unreadable: {fault}" for fault in faults.values()]
    config.notes = [*config.get("notes", ()), *left_out]


def tolerated(faults: dict[int, str], total: int, what: str) -> dict[int, str]:
    """The given faults of files.

    Args:
        faults: of the unreadable ones, by index.
        total: number of files.
        what: their name in the message.

    Raises:
        TooManyUnreadable: they are more than :data:`LIMIT` of all.
    """
    if len(faults) > LIMIT * total:
        raise TooManyUnreadable(
            f"{len(faults)} of {total} {what} are unreadable, more than {LIMIT:.0%}: repair or remove them.\n"
            + "\n".join(faults.values())
        )
    return faults


def _faults(paths: Sequence[str], channels: int, white: int) -> dict[int, str]:
    """The faults of the unreadable files, by index."""
    with ThreadPoolExecutor(fitting_workers(8)) as pool:  # decoders let other threads run
        found = list(pool.map(lambda path: _fault(path, channels, white), paths))
    return {place: fault for place, fault in enumerate(found) if fault}


@lru_cache(maxsize=10**6)  # a learning-rate search tests on the same images again
def _fault(path: str, channels: int, white: int) -> str | None:
    """What is wrong with a file, None if it is readable."""
    try:
        read_image(path, channels, white)
    except UnreadableImage as error:
        return str(error)
    return None
