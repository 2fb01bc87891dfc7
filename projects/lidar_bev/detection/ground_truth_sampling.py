"""Ground-truth sampling: labeled objects are pasted into other sweeps (SECOND, Yan et al., Sensors 2018)."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.hooks import Hook
from mmengine.runner import Runner
from numpy.random import Generator
from numpy.typing import NDArray

from ccrop.projects.lidar_bev.boxes import points_in_boxes
from ccrop.projects.lidar_bev.detection.object_bank import ObjectBank, bank_of, counts_of
from ccrop.projects.lidar_bev.evaluation.polygons import bev_intersections
from ccrop.projects.lidar_bev.views import Motion


class PastedObjects:
    """Pipeline step: pastes objects into a labeled sweep where they collide with no other, seen from above.

    An object keeps its distance from the sensor and thus the density of its points. The sweep's points inside its box
    are removed.

    Args:
        bank: the objects.
        numbers: per class, how many are tried.
        angle: largest rotation about the sensor to either side in radians; 0 leaves objects where they were seen.
    """

    def __init__(self, bank: ObjectBank, numbers: Sequence[int], angle: float = 0.0) -> None:
        self.bank = bank
        self.numbers = tuple(numbers)
        self.angle = angle
        self.of_class = [np.flatnonzero(bank.labels == label) for label in range(len(self.numbers))]

    def __call__(self, sample: dict[str, Any]) -> dict[str, Any]:
        rng = sample["rng"]
        chosen = self._drawn(rng)
        motions = [Motion(angle=rng.uniform(-self.angle, self.angle)) for _ in chosen]
        boxes = [motion.boxes(self.bank.boxes[[place]]) for motion, place in zip(motions, chosen, strict=True)]
        boxes = np.concatenate([np.zeros((0, 7), np.float32), *boxes])
        free = without_collision(boxes, sample["boxes"])
        if not free.any():
            return sample
        motions = [motion for motion, stays in zip(motions, free, strict=True) if stays]
        boxes, chosen = boxes[free], chosen[free]
        placed = list(zip(motions, chosen, strict=True))
        clouds = [motion.points(self._points(place)) for motion, place in placed]
        covered = np.zeros(len(sample["points"]), dtype=bool)
        covered[points_in_boxes(sample["points"], boxes)[0]] = True
        added = dict(
            points=np.concatenate([sample["points"][~covered], *clouds]),
            boxes=np.concatenate([sample["boxes"], boxes]),
            labels=np.concatenate([sample["labels"], self.bank.labels[chosen]]),
            num_points=np.concatenate([sample["num_points"], [len(cloud) for cloud in clouds]]),
        )
        if "velocities" in sample:
            turned = [motion.vectors(self.bank.velocities[[place]]) for motion, place in placed]
            added["velocities"] = np.concatenate([sample["velocities"], *turned])
        return sample | added

    def _drawn(self, rng: Generator) -> NDArray[np.int64]:
        """Objects in random order, so that no class takes the places of another."""
        drawn = [
            rng.choice(own, min(number, len(own)), replace=False)
            for own, number in zip(self.of_class, self.numbers, strict=True)
        ]
        return rng.permutation(np.concatenate(drawn))

    def _points(self, place: int) -> NDArray[np.float32]:
        return np.array(self.bank.points[self.bank.starts[place] : self.bank.starts[place + 1]])


def without_collision(boxes: NDArray, present: NDArray) -> NDArray[np.bool_]:
    """Which of the boxes ``(M, 7)``, in turn, overlap neither an earlier kept one nor any ``present (P, 7)``."""
    overlap = bev_intersections(boxes, np.concatenate([present, boxes])) > 0
    free = np.logical_not(np.any(overlap[:, : len(present)], axis=1))
    among = overlap[:, len(present) :]
    for place in range(1, len(boxes)):
        free[place] &= not (among[place, :place] & free[:place]).any()
    return free


class GroundTruthSamplingHook(Hook):
    """Cuts the objects out of the training sweeps only, and pastes them into these.

    The objects are in ``objects/`` of the work_dir.

    Args:
        numbers: how many objects are tried in a sweep: of each class, or by the class's name.
        angle: see :class:`PastedObjects`.
        min_points: of an object that is pasted.
        max_sweeps: the most sweeps that objects are taken from.

    Raises:
        ValueError: a name is not one of the classes.
    """

    def __init__(
        self, numbers: int | Mapping[str, int], angle: float = 0.0, min_points: int = 5, max_sweeps: int = 4000
    ) -> None:
        self.numbers = numbers
        self.angle = angle
        self.min_points = min_points
        self.max_sweeps = max_sweeps

    def before_train(self, runner: Runner) -> None:
        dataset = runner.train_dataloader.dataset
        numbers = of_each_class(self.numbers, dataset.classes)
        bank = bank_of(dataset, Path(runner.work_dir, "objects"), self.min_points, self.max_sweeps)
        dataset.pipeline.transforms.insert(0, PastedObjects(bank, numbers, self.angle))
        runner.logger.info(f"Ground-truth sampling from {counts_of(bank, dataset.classes)}")


def of_each_class(numbers: int | Mapping[str, int], classes: Sequence[str]) -> list[int]:
    """Numbers of objects in the order of the classes; 0 for those not listed.

    Raises:
        ValueError: a name is not one of the classes.
    """
    if isinstance(numbers, int):
        return [numbers] * len(classes)
    if unknown := [name for name in numbers if name not in classes]:
        raise ValueError(
            f"ground_truth_sampling.numbers names {', '.join(unknown)}, which are not classes of the detector: "
            f"list some of {', '.join(classes)} in the config, or set ground_truth_sampling=None"
        )
    return [numbers.get(name, 0) for name in classes]
