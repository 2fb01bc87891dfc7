"""Files of detections in sweeps: CSV, KITTI's labels and nuScenes' result file."""

import csv
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ccrop.datasets.reading import printable
from ccrop.projects.lidar_bev.datasets.kitti_format import (
    AT_SENSOR,
    IMAGE_SIZE,
    Calibration,
    KittiObjects,
    boxes_in_image,
    write_calibration,
    write_objects,
)
from ccrop.projects.lidar_bev.datasets.nuscenes import CLASSES
from ccrop.projects.lidar_bev.detection.nuscenes_benchmark import attributes, global_boxes, most_confident
from ccrop.projects.lidar_bev.evaluation.center_ap import Detections
from ccrop.transfer.prediction import flat_name

COLUMNS = ("file", "class", "score", "x", "y", "z", "dx", "dy", "dz", "heading")
UNKNOWN = -1  # truncation, occlusion and edges in an image that does not exist
# KITTI's classes by nuScenes' definitions: a van is a car, and a bicycle has its rider
NUSCENES_NAMES = {name: name for name in CLASSES} | {
    "Car": "car",
    "Van": "car",
    "Truck": "truck",
    "Pedestrian": "pedestrian",
    "Person_sitting": "pedestrian",
    "Cyclist": "bicycle",
}


class SweepDetections(NamedTuple):
    """A sweep and its detections.

    Attributes:
        name: of its file, relative to the source.
        detections: most confident first, boxes ``(D, 7)`` in the LiDAR frame.
        calibration: of a frame of KITTI's; None elsewhere.
        image_size: (width, height) in pixels of that frame's image.
        sample: nuScenes' token; None elsewhere.
        to_global: ``(4, 4)`` from the LiDAR frame to nuScenes' global one; None elsewhere.
    """

    name: str
    detections: Detections
    calibration: Calibration | None = None
    image_size: tuple[int, int] = IMAGE_SIZE
    sample: str | None = None
    to_global: NDArray[np.float64] | None = None


Add = Callable[[SweepDetections], None]


@contextmanager
def csv_file(folder: Path, classes: Sequence[str]) -> Iterator[Add]:
    """``predictions.csv``: a row per box, in meters and radians in the LiDAR frame."""
    with (folder / "predictions.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)

        def add(found: SweepDetections) -> None:
            boxes, scores, labels = found.detections[:3]
            for box, score, label in zip(boxes, scores, labels, strict=True):
                values = [f"{value:.3f}" for value in box]
                writer.writerow([printable(found.name), classes[label], f"{score:.4f}", *values])

        yield add


@contextmanager
def kitti_files(folder: Path, classes: Sequence[str]) -> Iterator[Add]:
    """``kitti/label_2/NAME.txt``: KITTI's result files, of a frame what its camera sees.

    Sweeps without a calibration get one as ``kitti/calib/NAME.txt``: a camera at the sensor that looks ahead. It takes
    all boxes, also those behind it, back into the LiDAR frame; edges in an image are -1.
    """
    labels, calib = folder / "kitti/label_2", folder / "kitti/calib"
    labels.mkdir(parents=True)

    def add(found: SweepDetections) -> None:
        name = flat_name(found.name if found.calibration is None else Path(found.name).name)
        boxes, scores, kinds = found.detections[:3]
        names, unknown = [classes[label] for label in kinds], np.full(len(boxes), UNKNOWN)
        boxes = boxes.astype(np.float64)
        if found.calibration is None:
            calib.mkdir(exist_ok=True)
            write_calibration(calib / f"{name}.txt", AT_SENSOR)
            edges: NDArray[np.float64] = np.full((len(boxes), 4), float(UNKNOWN))
            objects = KittiObjects(names, boxes, edges, unknown.astype(float), unknown, scores)
        else:
            edges, truncated = boxes_in_image(boxes, found.calibration, found.image_size)
            objects = KittiObjects(names, boxes, edges, truncated, unknown, scores).only(truncated < 1)
        write_objects(labels / f"{name}.txt", objects, found.calibration or AT_SENSOR, scores=True)

    yield add


@contextmanager
def nuscenes_file(folder: Path, classes: Sequence[str]) -> Iterator[Add]:
    """``nuscenes.json``: a result file of the nuScenes detection task (Caesar et al., CVPR 2020).

    Of nuScenes' own sweeps, boxes are in the global frame and samples have their tokens, as the devkit asks for. Of
    others they are in the LiDAR frame, and a sample is called as its file; ``meta`` says so. Of detectors that give no
    velocities these are 0, and there are no attributes.

    Raises:
        ValueError: a class is not one of nuScenes'.
    """
    if unknown := [name for name in classes if name not in NUSCENES_NAMES]:
        raise ValueError(f"--to nuscenes: its detection task has no class {unknown[0]}, only {', '.join(CLASSES)}")
    with (folder / "nuscenes.json").open("w") as file:
        frames: set[str] = set()

        def add(found: SweepDetections) -> None:
            token = found.name if found.sample is None else found.sample
            file.write((", " if frames else "") + f"{json.dumps(token)}: {json.dumps(_rows(found, token, classes))}")
            frames.add("lidar" if found.to_global is None else "global")

        file.write('{"results": {')
        yield add
        sensors = dict(use_camera=False, use_lidar=True, use_radar=False, use_map=False, use_external=False)
        meta = sensors | dict(frame=frames.pop() if frames else "global")
        file.write(f'}}, "meta": {json.dumps(meta)}}}')


def _rows(found: SweepDetections, token: str, classes: Sequence[str]) -> list[dict[str, object]]:
    best = most_confident(found.detections)
    boxes = global_boxes(best, np.eye(4) if found.to_global is None else found.to_global)
    names = [NUSCENES_NAMES[classes[label]] for label in best.labels]
    kinds = [""] * len(names) if best.velocities is None else attributes(names, boxes[:, 7:])
    return [
        dict(
            sample_token=token,
            translation=box[:3].round(4).tolist(),
            size=box[[4, 3, 5]].round(4).tolist(),  # width, length, height
            rotation=[float(np.cos(box[6] / 2)), 0.0, 0.0, float(np.sin(box[6] / 2))],
            velocity=box[7:].round(4).tolist(),
            detection_name=name,
            detection_score=round(float(score), 6),
            attribute_name=kind,
        )
        for box, score, name, kind in zip(boxes, best.scores, names, kinds, strict=True)
    ]


FORMATS: dict[str, Callable[[Path, Sequence[str]], AbstractContextManager[Add]]] = dict(
    csv=csv_file, kitti=kitti_files, nuscenes=nuscenes_file
)
