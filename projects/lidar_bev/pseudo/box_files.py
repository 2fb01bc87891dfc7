"""Pseudo-boxes of sweeps in a JSON file, and a detector's config that learns them in place of labels.

The file has a list ``sweeps``, each with its ``path``, as the data set lists it, and of each box ``boxes`` (see
:mod:`ccrop.projects.lidar_bev.boxes`), ``scores`` and ``heading_weights``: 1 where the axis of the box is known, else
0.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from mmengine.registry import DATASETS
from numpy.typing import NDArray

from ccrop.projects.lidar_bev.boxes import num_points_in_boxes
from ccrop.projects.lidar_bev.detection.cluster_labels import find_objects


def content_of(paths: Sequence[str], found: dict[int, tuple[NDArray, NDArray, NDArray]]) -> dict[str, Any]:
    """The file's content.

    Args:
        paths: of all sweeps.
        found: boxes ``(M, 7)``, scores ``(M,)`` and heading weights ``(M,)`` of the sweeps that have boxes, by their
            index.
    """
    nothing = (np.zeros((0, 7)), np.zeros(0), np.zeros(0))
    names = ("boxes", "scores", "heading_weights")
    return dict(
        sweeps=[
            dict(path=path)
            | {name: np.round(each, 4).tolist() for name, each in zip(names, found.get(index, nothing), strict=True)}
            for index, path in enumerate(paths)
        ]
    )


class PseudoLabels:
    """Pipeline step: a sweep's pseudo-boxes as labeled boxes of one class, and their ``heading_weights (M,)``.

    Args:
        file: of the same sweeps in the same order.
        max_boxes: per sweep; those with the best scores.
    """

    def __init__(self, file: str | Path, max_boxes: int) -> None:
        if max_boxes < 1:
            raise ValueError(f"pseudo_boxes.max_boxes must be at least 1, got {max_boxes}")
        self.sweeps = json.loads(Path(file).read_text())["sweeps"]
        self.max_boxes = max_boxes

    def __call__(self, sample: dict[str, Any]) -> dict[str, Any]:
        own = self.sweeps[sample["index"]]
        best = np.argsort(-np.array(own["scores"]), kind="stable")[: self.max_boxes]
        boxes = np.array(own["boxes"], dtype=np.float32).reshape(-1, 7)[best]
        return sample | dict(
            boxes=boxes,
            labels=np.zeros(len(boxes), dtype=np.int64),
            num_points=num_points_in_boxes(sample["points"], boxes),
            heading_weights=np.array(own["heading_weights"], dtype=np.float32)[best],
        )


def learn_file(config: Config, file: Path, max_boxes: int) -> None:
    """Train on the pseudo-boxes of a file, and test class-agnostically if there is a test set.

    Args:
        config: see :func:`ccrop.projects.lidar_bev.finetune.load_config`.
        file, max_boxes: see :class:`PseudoLabels`.

    Raises:
        ValueError: the file is of other sweeps.
    """
    train = config.train_dataloader.dataset
    listed = [each["path"] for each in json.loads(file.read_text())["sweeps"]]
    if listed != DATASETS.build(dict(train, pipeline=[])).paths():
        raise ValueError(
            f"{file} has boxes of {len(listed)} sweeps other than those of {train.data_root}: run without --resume"
        )
    train.pipeline = [dict(type=PseudoLabels, file=str(file), max_boxes=max_boxes), *train.pipeline]
    find_objects(config)
    config.headline += f", pseudo-boxes of {file} instead of labels"
