"""``tools/evaluate.py centers``: do a localizer's boxes find the labeled objects of sweeps?"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import DATASETS, TASK_UTILS
from numpy.typing import NDArray
from torch import Tensor

from ccrop.models import Siamese
from ccrop.projects.lidar_bev.datasets import KittiSweeps, SweepDataset, SweepFolder
from ccrop.projects.lidar_bev.detection.labeled_sweeps import check_classes
from ccrop.projects.lidar_bev.evaluation.proposal_recall import DISTANCES, RANGES, ProposalRecall, proposal_recall
from ccrop.projects.lidar_bev.localizer import BevClusters
from ccrop.projects.lidar_bev.pretraining.localization import locate_sweeps

ALL_AROUND = "label_360"  # folder of labels all around, of simulated sweeps


def labeled_sweeps(config: Config, split: str | None, classes: list[str] | None, number: int | None) -> SweepDataset:
    """The sweeps that a config trains on, with labels; KITTI's in the camera's view, the only part with labels.

    Args:
        split: other than the config's.
        classes: names of the objects to split recall by; default: those of the data set.
        number: number of sweeps, evenly spaced; None for all.

    Raises:
        ValueError: the config's data set has no labels, or no object of a class that is asked for.
    """
    settings = dict(config.train_dataloader.dataset) | dict(pipeline=[], labeled=True, subset=number)
    kind = settings["type"]
    kind = DATASETS.get(kind) if isinstance(kind, str) else kind
    if kind is SweepFolder:
        raise ValueError(
            f"{settings['data_root']}: a folder has no labels; pass --data-root of labeled sweeps, and --config FILE, "
            "a pretraining config that reads them (see docs/lidar.md)"
        )
    if classes:
        settings["classes"] = classes
    if split is not None:
        settings["split"] = split
    around = Path(settings["data_root"], settings.get("folder", "training"), ALL_AROUND)
    if issubclass(kind, KittiSweeps) and around.is_dir():
        settings.update(labels=ALL_AROUND, in_view=False)
    dataset = DATASETS.build(settings)
    check_classes(dataset)
    return dataset


def heatmaps(
    model: Siamese, dataset: SweepDataset, localizer: BevClusters, shares: list[float], workers: int
) -> Iterator[tuple[str, tuple[Tensor, Tensor]]]:
    """Names of heatmaps, and the localizer's result for each: ``boxes (N, K, 5)`` and ``counts (N,)``."""
    for share in shares:
        name = "geometric" if share == 0 else f"{share:.0%} learned"
        boxes, counts = locate_sweeps(model, dataset, localizer, share, num_workers=workers)
        yield name, (boxes, counts)
        if share == 0:  # what chance gives
            half = max(1, len(boxes) // 2)
            yield "geometric, from another sweep", (boxes.roll(half, dims=0), counts.roll(half, dims=0))


def evaluate(
    config: Config,
    model: Siamese,
    shares: list[float],
    split: str | None = None,
    classes: list[str] | None = None,
    number: int | None = None,
    workers: int = 2,
    options: dict[str, Any] | None = None,
) -> tuple[SweepDataset, dict[str, ProposalRecall]]:
    """The labeled sweeps, and what each heatmap's boxes find in them.

    Args:
        shares: fractions of the learned heatmap.
        split, classes, number: see :func:`labeled_sweeps`.
        options: arguments of the localizer over the config's.
    """
    localizer = TASK_UTILS.build(dict(config.default_hooks.localization.localizer) | (options or {}))
    dataset = labeled_sweeps(config, split, classes, number)
    names = ("boxes", "labels", "num_points")
    read = {index: [sample[name] for name in names] for index, sample in dataset.readable()}  # points are not kept
    objects, labels, points = ([each[place] for each in read.values()] for place in range(len(names)))
    area = (*localizer.grid.low[:2], *localizer.grid.high[:2])
    found = {}
    for name, (boxes, counts) in heatmaps(model, dataset, localizer, shares, workers):
        centers = centers_of(boxes, counts, area)
        found[name] = proposal_recall([centers[index] for index in read], objects, labels, points, area)
    return dataset, found


def centers_of(boxes: Tensor, counts: Tensor, area: tuple[float, float, float, float]) -> list[NDArray]:
    """Centers ``(count, 2)`` in meters of each sweep's boxes ``(N, K, 5)`` in fractions of ``area``."""
    low, high = torch.tensor(area[:2]), torch.tensor(area[2:])
    centers = low + (boxes[..., :2] + boxes[..., 2:4]) / 2 * (high - low)
    return [own[:count].numpy() for own, count in zip(centers, counts.tolist(), strict=True)]


def tables(dataset: SweepDataset, found: dict[str, ProposalRecall]) -> list[list[list[str]]]:
    """Rows of three Markdown tables, headers first: all objects, by class, by range."""
    first = next(iter(found.values()))
    limits = " / ".join(f"{limit:g}" for limit in DISTANCES) + " m"
    whole = [["heatmap", "boxes per sweep", f"recall within {limits}, %", "boxes within 2 m of an object, %"]]
    whole += [
        [name, f"{each.boxes:.1f}", _percent(each.recall()), _percent([each.precision])] for name, each in found.items()
    ]
    kinds = {name: first.labels == label for label, name in enumerate(dataset.classes)}
    kinds |= {"other": first.labels < 0}
    names = [f"{low:g} to {high:g} m" if np.isfinite(high) else f"{low:g} m and more" for low, high in RANGES]
    bins = {
        name: (first.distances >= low) & (first.distances < high)
        for name, (low, high) in zip(names, RANGES, strict=True)
    }
    result = [whole]
    for title, groups in (("class", kinds), ("range", bins)):
        groups = {name: chosen for name, chosen in groups.items() if chosen.any()}
        rows = [[f"recall within {limits} by {title}, %", *(f"{name} ({n.sum()})" for name, n in groups.items())]]
        rows += [[name, *(_percent(each.recall(chosen)) for chosen in groups.values())] for name, each in found.items()]
        result.append(rows)
    return result


def _percent(shares: NDArray | list[float]) -> str:
    return " / ".join("–" if np.isnan(share) else f"{100 * share:.1f}" for share in shares)
