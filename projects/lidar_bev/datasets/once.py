"""ONCE (Mao et al., NeurIPS Datasets and Benchmarks 2021): a million sweeps, some sequences of which are labeled."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ccrop.datasets import MissingData
from ccrop.projects.lidar_bev.datasets.base import Objects, SweepDataset, names_in_split
from ccrop.projects.lidar_bev.datasets.folder import INTENSITY, scaled
from ccrop.projects.lidar_bev.datasets.reading import XYZI, read_sweep, read_text

LAYOUT = """\
    {root}/data/000076/000076.json             (its frames, with boxes if annotated)
    {root}/data/000076/lidar_roof/*.bin
    {root}/ImageSets/train.txt                 (sequences of a split, or val, test, raw_small, ...; no split: all)"""
CLASSES = ("Car", "Bus", "Truck", "Pedestrian", "Cyclist")


class OnceSweeps(SweepDataset):
    """Sweeps ``(N, 4)``: x, y, z, intensity in [0, 1], in ONCE's own frame: x left, y backward, z up.

    Args:
        data_root: see ``LAYOUT``.
        split: name of a file in ``ImageSets``, or None for all sequences.
        labeled: also read labels, and only the frames that have them; else all frames are read.
        classes: see :class:`.SweepDataset`.
        intensity_scale: full-scale intensity in the files, see :class:`.SweepFolder`.
    """

    layout = LAYOUT

    def __init__(
        self,
        data_root: str | Path,
        split: str | None = None,
        labeled: bool = False,
        classes: Sequence[str] = CLASSES,
        intensity_scale: float = 1.0,
        **kwargs: Any,
    ) -> None:
        self.split = split
        self.intensity_scale = intensity_scale
        super().__init__(data_root, labeled=labeled, classes=classes, **kwargs)

    def load_data_list(self) -> list[dict[str, Any]]:
        data = Path(self.data_root, "data")
        if not data.is_dir():
            raise MissingData(f"{data} is not a folder; expected layout:\n{LAYOUT.format(root=self.data_root)}")
        found = {folder.name for folder in data.iterdir() if folder.is_dir()}
        sequences = names_in_split(Path(self.data_root), self.split, found, data, LAYOUT)
        return [entry for sequence in sequences for entry in self._frames(data / sequence)]

    def _frames(self, sequence: Path) -> list[dict[str, Any]]:
        frames = []
        for frame in read_frames(sequence / f"{sequence.name}.json"):
            entry = dict(path=f"data/{sequence.name}/lidar_roof/{frame['frame_id']}.bin", drive=sequence.name)
            if self.labeled and "annos" in frame:
                entry |= dict(names=frame["annos"]["names"], boxes=frame["annos"]["boxes_3d"])
            if not self.labeled or "annos" in frame:
                frames.append(entry)
        return frames

    def read(self, info: dict[str, Any]) -> dict[str, Any]:
        points = scaled(read_sweep(self.path(info)), XYZI.index(INTENSITY), self.intensity_scale, self.data_root)
        return dict(points=points)

    def object_names(self, index: int) -> list[str]:
        return self.get_data_info(index)["names"]

    def objects(self, info: dict[str, Any]) -> Objects:
        return Objects(info["names"], np.array(info["boxes"], dtype=np.float32).reshape(-1, 7))


def read_frames(file: Path) -> list[dict[str, Any]]:
    """The frames of a sequence's JSON file, in their order.

    Raises:
        MissingData: there is no such file.
        ValueError: it is damaged; names it.
    """
    if not file.is_file():
        raise MissingData(f"{file} is not a file: unpack the sequence's annotations again")
    try:
        return json.loads(read_text(file))["frames"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{file}: damaged, or without frames ({error}): unpack the annotations again") from error
