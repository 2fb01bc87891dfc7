"""Detections in LiDAR sweeps without labels: a file, a folder, or a split of a set as the detector was trained on."""

from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from mmengine.config import Config
from mmengine.registry import DATASETS, MODELS

from ccrop.datasets import MissingData
from ccrop.datasets.base import spread
from ccrop.datasets.reading import printable
from ccrop.long_work import with_progress
from ccrop.projects.lidar_bev.datasets import KittiSweeps, NuScenesSweeps, SweepDataset, SweepFolder
from ccrop.projects.lidar_bev.datasets.kitti import image_size
from ccrop.projects.lidar_bev.datasets.kitti_format import read_calibration
from ccrop.projects.lidar_bev.detection.centerpoint import CenterPoint
from ccrop.projects.lidar_bev.evaluation.center_ap import Detections
from ccrop.projects.lidar_bev.inference import columns_of, data_of, detected, values_of
from ccrop.projects.lidar_bev.pictures import color_of, draw_bev, draw_texts, legend_of
from ccrop.projects.lidar_bev.prediction_files import FORMATS, SweepDetections
from ccrop.projects.lidar_bev.sweeps_page import page
from ccrop.transfer.prediction import Request, flat_name, load_detector
from ccrop.wording import counted

ALL = "all"  # instead of a split of nuScenes: every scene


def predict(request: Request, folder: Path) -> str:
    """Write a detector's detections, and summarize them in a line.

    Args:
        folder: takes the files.

    Raises:
        MissingData: there is no sweep.
        ValueError: not one sweep can be read; the columns are not those that the detector takes; or what is requested
            is of images.
        FileNotFoundError, UntrustedCheckpoint: see :func:`ccrop.transfer.prediction.load_detector`.
    """
    if others := [name for name in request.formats if name not in FORMATS]:
        raise ValueError(
            f"--to {others[0]} applies to images, but {request.detector} takes sweeps: {', '.join(FORMATS)}"
        )
    config, model = load_detector(request.detector, "sweeps", MODELS.build, request.config)
    model.to("cuda" if torch.cuda.is_available() else "cpu")
    dataset = sweeps_of(config, model, request)
    drawn = set(spread(len(dataset), request.pictures)) if request.pictures else set()
    counts: Counter[str] = Counter()
    with ExitStack() as stack:
        add_to = [stack.enter_context(FORMATS[name](folder, model.classes)) for name in request.formats]
        if drawn:
            (folder / "pictures").mkdir()
            title = f"Detections in {request.source.resolve().name}"
            show = stack.enter_context(page(folder / "sweeps.html", title, model.classes, request.min_score))
        for index, sample, every in with_progress(detected(model, dataset), "sweeps", len(dataset)):
            found = found_in(dataset, index, confident(every, request.min_score))
            for add in add_to:
                add(found)
            counts.update(sweeps=1, boxes=len(found.detections.scores))
            if index in drawn:
                name = printable(found.name)
                figure = picture(sample, found.detections, model, name)
                figure.savefig(folder / "pictures" / f"{index:06d}_{flat_name(found.name)}.png", dpi=100)
                show(name, sample["points"], found.detections)
    return (
        f"{counted(counts['boxes'], 'box')} with a score of at least {request.min_score:g} in {counts['sweeps']:,} of "
        f"{counted(len(dataset), 'sweep')}"
    )


def sweeps_of(config: Config, model: CenterPoint, request: Request) -> SweepDataset:
    """The unlabeled sweeps that are requested, with the columns that the detector takes.

    Raises:
        MissingData: there is no such file, folder or split.
        ValueError: the columns do not fit, or there are columns to a data set that knows its own.
    """
    if request.split is None:
        if not request.source.exists():
            raise MissingData(f"{request.source} does not exist: pass a sweep, a folder, or with --split a data set")
        columns, use = chosen_columns(config, model, request.columns)
        scale = request.intensity_scale
        if scale is None:
            scale = data_of(config).get("intensity_scale", 1.0)
        return SweepFolder(request.source, columns=columns, use=use, intensity_scale=scale)
    if request.columns is not None or request.intensity_scale is not None:
        raise ValueError(
            "--columns and --intensity-scale apply to files and folders; a data set with --split defines its own"
        )
    settings = data_of(config).copy()
    kind = settings["type"]
    kind = DATASETS.get(kind) if isinstance(kind, str) else kind
    if kind is SweepFolder:
        raise ValueError(
            f"--split {request.split}: {request.detector} learned sweeps of a folder, which has no splits: omit it"
        )
    settings.pop("taught", None)
    settings["split"] = request.split
    if issubclass(kind, NuScenesSweeps):
        settings.update(split=None if request.split == ALL else request.split, scenes=None)
    elif issubclass(kind, KittiSweeps):
        settings["in_view"] = settings.get("in_view", True)
    settings.update(data_root=str(request.source), labeled=False, pipeline=[], subset=None, indices=None)
    return DATASETS.build(settings)


def chosen_columns(config: Config, model: CenterPoint, given: Sequence[str] | None) -> tuple[list[str], list[str]]:
    """The columns of the files, and those of them that the detector takes.

    Args:
        given: names of the columns; None for those that the detector was trained on.

    Raises:
        ValueError: those of the detector are not among the given ones, which are not as many either.
    """
    number, own = values_of(config), columns_of(config)
    if given is None:
        if len(own) < number:
            raise ValueError(f"{number} values per point are expected, but files have {', '.join(own)}: use --split")
        return own, own
    given = list(given)
    if set(own) <= set(given) and len(own) == number:
        return given, own
    if len(given) == number:
        return given, given
    raise ValueError(
        f"the detector takes {', '.join(own)}, but --columns lists {', '.join(given)}: use the detector's names "
        f"for the matching columns, or list {number} columns in the same order"
    )


def confident(found: Detections, min_score: float) -> Detections:
    """The detections with a score of ``min_score`` or more."""
    kept = found.scores >= min_score
    velocities = None if found.velocities is None else found.velocities[kept]
    return Detections(found.boxes[kept], found.scores[kept], found.labels[kept], velocities=velocities)


def found_in(dataset: SweepDataset, index: int, found: Detections) -> SweepDetections:
    """The detections in a sweep, with what its data set says of the frame."""
    info: dict[str, Any] = dataset.get_data_info(index)
    if isinstance(dataset, KittiSweeps):
        base = Path(dataset.data_root, dataset.folder)
        file = base / "calib" / f"{info['name']}.txt"
        if file.is_file():
            size = image_size(base / "image_2" / f"{info['name']}.png")
            return SweepDetections(f"{info['name']}.bin", found, read_calibration(file), size)
        return SweepDetections(f"{info['name']}.bin", found)
    if isinstance(dataset, NuScenesSweeps):
        return SweepDetections(info["path"], found, sample=info["sample"], to_global=np.array(info["to_global"]))
    return SweepDetections(info.get("title") or info["path"] or Path(dataset.data_root).name, found)


def picture(sample: dict[str, Any], found: Detections, model: CenterPoint, name: str) -> Figure:
    """A sweep from above with its boxes, their classes and scores; the legend stands next to it."""
    low, high = model.backbone.grid.low, model.backbone.grid.high
    figure = Figure(figsize=(12.5, 1 + 9 * (high[0] - low[0]) / (high[1] - low[1])), layout="constrained")
    axes = figure.subplots()
    on_top = np.argsort(found.scores, kind="stable")  # the most confident ones, which also keep their texts
    draw_bev(axes, sample["points"], found.boxes[on_top], found.labels[on_top], model.backbone.grid.extent)
    texts = [f"{model.classes[label]} {score:.2f}" for label, score in zip(found.labels, found.scores, strict=True)]
    draw_texts(axes, found.boxes, texts, [color_of(label) for label in found.labels])
    axes.set_title(name)
    entries = {f"{each} ({(found.labels == label).sum()})": color_of(label) for label, each in enumerate(model.classes)}
    figure.legend(handles=legend_of(entries), loc="outside right upper", fontsize=8)
    return figure
