"""Own labeled sweeps, in the layout of OpenPCDet's custom data set: points, a text file of boxes for each, splits."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ccrop.datasets import MissingData
from ccrop.projects.lidar_bev.datasets.base import Objects, names_in_split
from ccrop.projects.lidar_bev.datasets.folder import SweepFolder, list_sweeps
from ccrop.projects.lidar_bev.datasets.objects import MissingLabels
from ccrop.projects.lidar_bev.datasets.reading import read_text

LAYOUT = """\
    {root}/points/NAME.pcd                     (or .bin, .npy, .ply)
    {root}/labels/NAME.txt                     (one line per box: x y z dx dy dz heading class; empty: no objects)
    {root}/ImageSets/train.txt, val.txt        (names of a split's sweeps; without a split: all sweeps)"""


class CustomSweeps(SweepFolder):
    """Sweeps with labels in the LiDAR frame, all around the sensor; no calibration is needed.

    Args:
        data_root: see ``LAYOUT``.
        split: name of a file in ``ImageSets``, or None for all sweeps.
        kwargs: see :class:`.SweepDataset`; columns of the files and the scale of their intensities, see
            :class:`.SweepFolder`.
    """

    layout = LAYOUT

    def __init__(self, data_root: str | Path, split: str | None = None, **kwargs: Any) -> None:
        self.split = split
        super().__init__(data_root, **kwargs)

    def load_data_list(self) -> list[dict[str, Any]]:
        root = Path(self.data_root)
        if not (root / "points").is_dir():
            raise MissingData(f"{root / 'points'} is not a folder; expected layout:\n{LAYOUT.format(root=root)}")
        found: dict[str, str] = {}
        for path in list_sweeps(root / "points"):
            name = str(Path(path).with_suffix(""))
            if name in found:
                raise ValueError(
                    f"{root / 'points'} has {found[name]} and {path}, two sweeps with the same name: remove one"
                )
            found[name] = path
        names = names_in_split(root, self.split, found, root / "points", LAYOUT)
        return [dict(name=name, path=f"points/{found[name]}") for name in names]

    def objects(self, info: dict[str, Any]) -> Objects:
        names, boxes = read_boxes(Path(self.data_root, "labels", f"{info['name']}.txt"))
        return Objects(names, boxes.astype(np.float32))


def read_boxes(path: Path) -> tuple[list[str], NDArray[np.float64]]:
    """Classes, and boxes ``(M, 7)`` of a label file; an empty one has no objects. A class may have several words.

    Raises:
        MissingLabels: there is no such file.
        ValueError: a line is not a box; names the file and the line.
    """
    if not path.is_file():
        raise MissingLabels(f"{path}: label file not found: add it, empty if the sweep shows no objects")
    names, rows = [], []
    for number, line in enumerate(read_text(path).splitlines(), 1):
        *values, name = line.split(maxsplit=7) or [""]
        if not values and not name:
            continue
        try:
            box = [float(value) for value in values]
        except ValueError:
            box = []
        if len(box) != 7 or not np.isfinite(box).all() or min(box[3:6]) <= 0:
            raise ValueError(
                f"{path}, line {number}: expected x y z dx dy dz heading class, with sizes above 0, got {line!r}"
            )
        names.append(name.strip())
        rows.append(box)
    return names, np.array(rows, dtype=np.float64).reshape(-1, 7)
