"""A trained detector, what it takes, and what it finds in sweeps."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config, ConfigDict
from mmengine.registry import MODELS

from ccrop.projects.lidar_bev.datasets import SweepDataset
from ccrop.projects.lidar_bev.datasets.reading import XYZI
from ccrop.projects.lidar_bev.detection.centerpoint import CenterPoint
from ccrop.projects.lidar_bev.evaluation.center_ap import Detections
from ccrop.transfer.prediction import load_detector


def load_teacher(detector: str | Path, config: Config) -> CenterPoint:
    """A fine-tuned detector that takes the sweeps of a config.

    Args:
        detector: a work_dir, or one of its checkpoints.

    Raises:
        FileNotFoundError, UntrustedCheckpoint, ValueError: see :func:`ccrop.transfer.prediction.load_detector`; or it
            takes other values per point.
    """
    own, model = load_detector(detector, "sweeps", MODELS.build)
    taken, given = columns_of(own), columns_of(config)
    numbers = [values_of(each) for each in (own, config)]
    if taken != given or len(set(numbers)) > 1:
        raise ValueError(
            f"{detector} takes {numbers[0]} values per point, {', '.join(taken)} first, but the sweeps have "
            f"{numbers[1]}, {', '.join(given)} first: pass a detector of such sweeps, or set train_dataloader.dataset "
            "and model.backbone.columns as in its config"
        )
    return model


@torch.no_grad()
def detected(model: CenterPoint, dataset: SweepDataset) -> Iterator[tuple[int, dict[str, Any], Detections]]:
    """Index, sample and detections of every sweep that can be read; the log counts the others."""
    model.eval()
    device = next(model.parameters()).device
    for index, sample in dataset.readable():
        yield index, sample, model([torch.from_numpy(sample["points"]).to(device)], mode="predict")[0]


def data_of(config: Config) -> ConfigDict:
    """The data set that a detector was tested on, or else trained on."""
    return config.test_dataset or config.train_dataloader.dataset


def columns_of(config: Config) -> list[str]:
    """The values of a point that a detector takes, as far as its data set names them."""
    settings = data_of(config)
    return list(settings.get("use") or settings.get("columns") or XYZI)[: values_of(config)]


def values_of(config: Config) -> int:
    """How many values a point has that a detector takes."""
    return config.model.backbone.get("columns", len(XYZI))
