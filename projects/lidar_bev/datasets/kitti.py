"""KITTI's object benchmark: HDL-64E sweeps, with boxes in the view of the left color camera."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ccrop import datasets
from ccrop.datasets import MissingData
from ccrop.projects.lidar_bev.datasets.base import Objects, SweepDataset, names_in_split
from ccrop.projects.lidar_bev.datasets.folder import INTENSITY, scaled
from ccrop.projects.lidar_bev.datasets.kitti_format import (
    AT_SENSOR,
    IMAGE_SIZE,
    Calibration,
    in_image,
    read_calibration,
    read_names,
    read_objects,
)
from ccrop.projects.lidar_bev.datasets.reading import XYZI, UnreadableSweep, read_sweep, read_text

LAYOUT = """\
    {root}/training/velodyne/000000.bin        (or velodyne_reduced)
    {root}/training/label_2/000000.txt         (only for labeled training and evaluation)
    {root}/training/calib/000000.txt           (for the labels, and crops to the camera's view)
    {root}/ImageSets/train.txt                 (names of a split's frames; without a split: all frames)
    {root}/mapping/train_mapping.txt, train_rand.txt  (of the development kit, optional: the drive of each frame)"""
CLASSES = ("Car", "Pedestrian", "Cyclist")


class KittiSweeps(SweepDataset):
    """Sweeps ``(N, 4)``: x, y, z, intensity in [0, 1]; KITTI's own, and others in its layout.

    Args:
        data_root: see ``LAYOUT``.
        split: name of a file in ``ImageSets``, or None for all frames of the folder.
        labeled: see :class:`.SweepDataset`.
        in_view: leave out the points that the left color camera does not see, since objects are labeled
            only in its view. Default: if ``labeled`` and ``calibrated``.
        calibrated: False for sets without ``calib``: labels are then given in the frame of a forward-looking
            camera at the sensor (x right, y down, z forward), all around.
        classes: see :class:`.SweepDataset`.
        folder: ``training`` or ``testing``.
        labels: the folder of the labels.
        intensity_scale: full-scale intensity in the files, see :class:`.SweepFolder`.

    Raises:
        ValueError: ``in_view`` is set for a camera that is not calibrated.
    """

    layout = LAYOUT

    def __init__(
        self,
        data_root: str | Path,
        split: str | None = None,
        labeled: bool = False,
        in_view: bool | None = None,
        classes: Sequence[str] = CLASSES,
        folder: str = "training",
        labels: str = "label_2",
        calibrated: bool = True,
        intensity_scale: float = 1.0,
        **kwargs: Any,
    ) -> None:
        self.split = split
        self.in_view = labeled and calibrated if in_view is None else in_view
        if self.in_view and not calibrated:
            raise ValueError("in_view needs the frames' calibration: set calibrated=True, or in_view=False")
        self.calibrated = calibrated
        self.intensity_scale = intensity_scale
        self.folder = folder
        self.labels = labels
        super().__init__(data_root, labeled=labeled, classes=classes, **kwargs)

    def load_data_list(self) -> list[dict[str, Any]]:
        base = Path(self.data_root, self.folder)
        velodyne = next((name for name in ("velodyne", "velodyne_reduced") if (base / name).is_dir()), None)
        if velodyne is None:
            raise MissingData(f"{base} has no sweeps; expected layout:\n{LAYOUT.format(root=self.data_root)}")
        found = {file.stem for file in (base / velodyne).glob("*.bin")}
        names = names_in_split(Path(self.data_root), self.split, found, base / velodyne, LAYOUT)
        return [dict(name=name, path=f"{self.folder}/{velodyne}/{name}.bin") for name in names]

    def scenes(self) -> list[str]:
        """The drive of each frame, if the development kit's mapping exists; else each frame is its own."""
        drives = read_drives(Path(self.data_root, "mapping")) if self.folder == "training" else {}
        infos = [self.get_data_info(index) for index in range(len(self))]
        return [drives.get(info["name"], info["path"]) for info in infos]

    def object_names(self, index: int) -> list[str]:
        return read_names(Path(self.data_root, self.folder, self.labels, f"{self.get_data_info(index)['name']}.txt"))

    def read(self, info: dict[str, Any]) -> dict[str, Any]:
        path = Path(self.data_root, info["path"])
        points = scaled(read_sweep(path), XYZI.index(INTENSITY), self.intensity_scale, self.data_root)
        if self.in_view:
            size = image_size(Path(self.data_root, self.folder, "image_2", f"{info['name']}.png"))
            points = points[in_image(points, self._calibration(info), size)]
            if not len(points):
                raise UnreadableSweep(
                    path, "the camera sees none of its points: check that the calibration belongs to it"
                )
        return dict(points=points)

    def objects(self, info: dict[str, Any]) -> Objects:
        file = Path(self.data_root, self.folder, self.labels, f"{info['name']}.txt")
        found = read_objects(file, self._calibration(info))
        return Objects(found.names, found.boxes.astype(np.float32))

    def _calibration(self, info: dict[str, Any]) -> Calibration:
        if not self.calibrated:
            return AT_SENSOR
        return read_calibration(Path(self.data_root, self.folder, "calib", f"{info['name']}.txt"))


def image_size(path: Path) -> tuple[int, int]:
    """Width and height of an image, or of most KITTI images if there is none.

    Raises:
        UnreadableImage: with the file and the reason.
    """
    return datasets.image_size(path) if path.is_file() else IMAGE_SIZE


def read_drives(mapping: Path) -> dict[str, str]:
    """The drive of each training frame, ``{"000000": "2011_09_26_drive_0005_sync"}``; empty without a mapping.

    ``train_rand.txt`` gives, frame after frame and from 1 on, a line of ``train_mapping.txt``: date, drive, number.

    Raises:
        ValueError: the files do not belong together; names them.
    """
    order, lines = mapping / "train_rand.txt", mapping / "train_mapping.txt"
    if not (order.is_file() and lines.is_file()):
        return {}
    drives = [line.split()[1] for line in read_text(lines).splitlines() if len(line.split()) > 1]
    numbers = [int(number) for number in read_text(order).replace(",", " ").split()]
    if any(not 1 <= number <= len(drives) for number in numbers):
        raise ValueError(f"{order} refers to lines that {lines} lacks: copy both from the same development kit")
    return {f"{frame:06d}": drives[number - 1] for frame, number in enumerate(numbers)}
