"""Detections in the format of the nuScenes benchmark: in the global frame, with attributes, and their score."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ccrop.projects.lidar_bev.boxes import wrapped
from ccrop.projects.lidar_bev.datasets import NuScenesSweeps, SweepDataset
from ccrop.projects.lidar_bev.datasets.base import class_labels
from ccrop.projects.lidar_bev.datasets.nuscenes import CLASS_OF, CLASSES
from ccrop.projects.lidar_bev.datasets.nuscenes_annotations import GlobalObjects, read_annotations
from ccrop.projects.lidar_bev.evaluation.center_ap import Detections, Truth
from ccrop.projects.lidar_bev.evaluation.nuscenes_score import ATTRIBUTES, KeyFrame, detection_score

MOST_BOXES = 500  # of a sample in a result file
MOVING = 0.2  # m/s from which an object counts as moving
# typical attributes of a class's moving and stationary objects
USUAL = {
    "car": ("vehicle.moving", "vehicle.parked"),
    "truck": ("vehicle.moving", "vehicle.parked"),
    "bus": ("vehicle.moving", "vehicle.stopped"),
    "trailer": ("vehicle.moving", "vehicle.parked"),
    "construction_vehicle": ("vehicle.moving", "vehicle.parked"),
    "pedestrian": ("pedestrian.moving", "pedestrian.standing"),
    "motorcycle": ("cycle.with_rider", "cycle.without_rider"),
    "bicycle": ("cycle.with_rider", "cycle.without_rider"),
}
RACK = "static_object.bicycle_rack"


def most_confident(found: Detections) -> Detections:
    """The ``MOST_BOXES`` most confident detections, in descending order; a result file holds no more per sample."""
    best = np.argsort(-found.scores, kind="stable")[:MOST_BOXES]
    return found._replace(**{name: values[best] for name, values in found._asdict().items() if values is not None})


def global_boxes(found: Detections, to_global: NDArray[np.float64]) -> NDArray[np.float64]:
    """``(D, 9)``: boxes and velocities along x and y in the global frame, upright; velocities are 0 where unknown.

    Args:
        found: boxes ``(D, 7)`` in the LiDAR frame.
        to_global: ``(4, 4)`` from there.
    """
    rotation, boxes, level = to_global[:3, :3], found.boxes.astype(np.float64), np.zeros((len(found.boxes), 1))
    centers = boxes[:, :3] @ rotation.T + to_global[:3, 3]
    ahead = np.column_stack([np.cos(boxes[:, 6]), np.sin(boxes[:, 6]), level]) @ rotation.T
    velocities = np.zeros((len(boxes), 2)) if found.velocities is None else found.velocities
    velocities = np.column_stack([velocities, level]) @ rotation.T
    heading = wrapped(np.arctan2(ahead[:, 1], ahead[:, 0]))
    return np.column_stack([centers, boxes[:, 3:6], heading, velocities[:, :2]])


def attributes(names: Sequence[str], velocities: NDArray) -> list[str]:
    """The usual attribute of each object, by its class and velocity ``(M, 2)``; empty if its class has none."""
    still = np.hypot(*velocities.T) <= MOVING
    return [USUAL[name][int(rests)] if name in USUAL else "" for name, rests in zip(names, still, strict=True)]


def has_nuscenes_score(dataset: SweepDataset) -> bool:
    """Whether nuScenes' score can be computed: for all its classes."""
    return isinstance(dataset, NuScenesSweeps) and set(dataset.classes) == set(CLASSES)


def nuscenes_metrics(dataset: NuScenesSweeps, indices: Sequence[int], found: Sequence[Detections]) -> dict[str, float]:
    """The metrics of :func:`.detection_score`; arguments as for :func:`benchmark_samples`."""
    return detection_score(*benchmark_samples(dataset, indices, found))


def benchmark_samples(
    dataset: NuScenesSweeps, indices: Sequence[int], found: Sequence[Detections]
) -> tuple[list[Truth], list[Detections], list[KeyFrame]]:
    """The arguments of :func:`.detection_score`.

    Args:
        dataset: labeled, with all of nuScenes' classes.
        indices: of the sweeps.
        found: in each of them.
    """
    infos = [dataset.get_data_info(index) for index in indices]
    tables = Path(dataset.data_root, dataset.version)
    annotations = read_annotations(tables, (info["sample"] for info in infos))
    truths, detections, scenes = [], [], []
    for info, every in zip(infos, found, strict=True):
        own = annotations[info["sample"]]
        truths.append(truth_of(own))
        racks = own.boxes()[[category == RACK for category in own.categories], :7]
        scenes.append(KeyFrame(np.array(info["ego"]), racks))
        best = most_confident(every)
        boxes = global_boxes(best, np.array(info["to_global"]))
        names = [dataset.classes[label] for label in best.labels]
        boxes = np.column_stack([boxes, attribute_positions(attributes(names, boxes[:, 7:]))])
        detections.append(Detections(boxes, best.scores, class_labels(names, CLASSES)))
    return truths, detections, scenes


def truth_of(annotations: GlobalObjects) -> Truth:
    """The objects of nuScenes' classes with at least one point."""
    labels = class_labels([CLASS_OF.get(category, category) for category in annotations.categories], CLASSES)
    boxes = np.column_stack([annotations.boxes(), attribute_positions(annotations.attributes)])
    chosen = (labels >= 0) & (annotations.num_points > 0)
    return Truth(boxes[chosen], labels[chosen])


def attribute_positions(names: Sequence[str]) -> NDArray[np.float64]:
    """Positions ``(M,)`` in ``ATTRIBUTES``, NaN for an empty name."""
    return np.array([ATTRIBUTES.index(name) if name else np.nan for name in names], dtype=np.float64)
