"""Pretraining of a whole CenterPoint on pseudo-boxes: from unlabeled sweeps to weights to fine-tune from.

Round 0 learns clusters with a rotated fit, or the confident boxes of a detector that was fine-tuned on a few labels;
each further round learns those of the previous round's detector.
"""

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config, ConfigDict
from mmengine.registry import DATASETS, TASK_UTILS

from ccrop.checkpoint import RANDOM
from ccrop.long_work import with_progress
from ccrop.projects.lidar_bev.boxes import num_points_in_boxes
from ccrop.projects.lidar_bev.datasets import SweepDataset
from ccrop.projects.lidar_bev.detection.centerpoint import CenterPoint
from ccrop.projects.lidar_bev.detection.decoding import unsuppressed
from ccrop.projects.lidar_bev.evaluation.pseudo_box_quality import IOUS, pseudo_box_quality
from ccrop.projects.lidar_bev.finetune import finetune, load_config
from ccrop.projects.lidar_bev.inference import detected, load_teacher
from ccrop.projects.lidar_bev.pseudo.box_files import content_of, learn_file
from ccrop.projects.lidar_bev.pseudo.fitting import fitted
from ccrop.projects.lidar_bev.pseudo.neighbors import MotionOfBoxes
from ccrop.projects.lidar_bev.pseudo.pseudo_gallery import save_gallery
from ccrop.pseudo.rounds import BOXES, check_pseudo_boxes, none_scored, run_rounds
from ccrop.runner import default_work_dir
from ccrop.transfer import set_iterations
from ccrop.transfer.starting_point import check_finished, check_init

LONG = 2.5  # meters; the axis of detections at least this long is taken as known


def pretrain(
    path: str | Path,
    data_root: str | Path | None = None,
    options: dict[str, Any] | None = None,
    backbone: str | None = None,
    work_dir: str | Path | None = None,
    init: str | None = None,
    seed: int | None = None,
    resume: bool = False,
    iterations: int | None = None,
    command: str = "",
) -> Path:
    """Make pseudo-boxes of sweeps, train a detector on them, and repeat with its own boxes.

    Where the sweeps have labels, they are not learned: the log's line of each round compares its boxes with them.

    Args:
        path: a detector's config with a section ``pseudo_boxes``, such as
            ``projects/lidar_bev/configs/centerpoint_pseudo_demo.py``.
        data_root, options, backbone: see :func:`ccrop.projects.lidar_bev.finetune.load_config`.
        work_dir: takes ``round_R/`` with the boxes, a picture, the log and the checkpoint of each round.
        init: what the detector starts from in every round.
        seed: of weights and batches.
        resume: see :func:`ccrop.pseudo.rounds.run_rounds`; an unfinished round goes on as :func:`.finetune` does.
        iterations: length of each round, see :func:`ccrop.transfer.set_iterations`; default: the config's.
        command: that called this, for the report.

    Returns:
        The last round's checkpoint.

    Raises:
        ValueError: motion scores are requested of a detector's boxes; or see
            :func:`ccrop.pseudo.rounds.check_pseudo_boxes` and :func:`ccrop.transfer.starting_point.check_init`.
        ValueError, WorkDirInUse: see :func:`ccrop.pseudo.rounds.run_rounds`.
    """
    config = load_config(path, data_root, options, backbone)
    config.command = command
    if iterations is not None:
        set_iterations(config, iterations)
    settings = config.pop("pseudo_boxes")
    check_pseudo_boxes(settings)
    if settings.detector and settings.min_motion is not None:
        raise ValueError("pseudo_boxes.min_motion selects clusters, but pseudo_boxes.detector replaces them: set one")
    settings.localizer.grid = config.model.backbone.grid
    seed = config.randomness.seed if seed is None else seed
    labeled, reason = labeled_sweeps(config)
    if labeled is None:
        config.test_dataset = None
    train = config.train_dataloader.dataset
    if "labeled" in train:
        train.labeled = False
    sweeps = DATASETS.build(dict(train, pipeline=[]))

    def make(last: Path | None) -> dict[str, Any] | str:
        if last is None:
            check_init(config, init)
        detector = last or settings.detector
        if not detector:
            return first_boxes(sweeps, settings)
        found = sure_boxes(load_teacher(detector, config), sweeps, settings.min_score)
        return found or none_scored(detector, "sweeps", settings.min_score)

    def learn(number: int, folder: Path) -> None:
        own = copy.deepcopy(config)
        learn_file(own, folder / BOXES, settings.max_boxes)
        line = f"Round {number} of {settings.rounds}: {described(folder / BOXES, labeled, reason, settings)}"
        own.notes = [*own.get("notes", ()), line]
        save_gallery(own, folder / "gallery.png")
        finetune(own, init or RANDOM, folder, seed=seed, resume="auto" if resume else None)

    def check(folder: Path) -> None:
        own = copy.deepcopy(config)
        learn_file(own, folder / BOXES, settings.max_boxes)
        check_finished(folder, own, init or RANDOM, seed)

    made_with = settings | dict(init=init, seed=seed)
    return run_rounds(Path(work_dir or default_work_dir(config)), made_with, make, learn, check, resume)


def labeled_sweeps(config: Config) -> tuple[SweepDataset | None, str]:
    """The sweeps that are trained on, with all classes that their labels have, or why there are no labels."""
    train = config.train_dataloader.dataset
    if "labeled" not in train:
        return None, "the data set has no labels"
    dataset = DATASETS.build(dict(train, labeled=True, pipeline=[]))
    try:
        dataset.classes = tuple(sorted({name for index in range(len(dataset)) for name in dataset.object_names(index)}))
    except ValueError as error:
        return None, str(error)
    return dataset, ""


def first_boxes(sweeps: SweepDataset, settings: ConfigDict) -> dict[str, Any]:
    """Clusters of each sweep by the localizer of the config, fitted: the content of a file of pseudo-boxes.

    With ``min_motion``, only those that have moved, see :class:`.MotionOfBoxes`.

    Raises:
        ValueError: motion scores are requested but cannot be computed, or no cluster gives a box, or no box has moved.
    """
    localizer = TASK_UTILS.build(settings.localizer)
    least = settings.min_motion
    if least is not None and not 0 < least <= 1:
        raise ValueError(f"pseudo_boxes.min_motion must be in (0, 1], or None, got {least}")
    motion = None if least is None else MotionOfBoxes(sweeps, settings.motion_gaps)
    found = {}
    for index, sample in with_progress(sweeps.readable(), "clusters", len(sweeps)):
        boxes, counts = localizer([torch.from_numpy(sample["points"])])
        clusters = boxes[0, : counts[0]].numpy()
        fit = fitted(clusters, sample["points"], localizer.grid)
        kept = slice(None) if motion is None else motion(index, fit.boxes, sample["points"]) >= least
        found[index] = fit.boxes[kept], clusters[fit.source, 4][kept], fit.heading_weights[kept]
    if not any(len(boxes) for boxes, *_ in found.values()):
        raise ValueError(
            f"{sweeps.data_root}: none of the {len(sweeps)} sweeps has a cluster of which a box can be fitted: the "
            "grid (model.backbone.grid) must include the ground and what stands on it"
            if motion is None
            else f"{sweeps.data_root}: no pseudo-box of the {len(sweeps)} sweeps has a motion score of {least:g} or "
            "more: lower pseudo_boxes.min_motion"
        )
    return content_of(sweeps.paths(), found)


def sure_boxes(model: CenterPoint, sweeps: SweepDataset, min_score: float) -> dict[str, Any] | None:
    """A detector's boxes with a score of at least ``min_score``, as :func:`first_boxes`; None if there are none.

    Boxes of several classes around one object count once.
    """
    model.to("cuda" if torch.cuda.is_available() else "cpu")
    found = {}
    for index, sample, each in with_progress(detected(model, sweeps), "detections", len(sweeps)):
        kept = (each.scores >= min_score) & (num_points_in_boxes(sample["points"], each.boxes) > 0)
        order = np.flatnonzero(kept)[np.argsort(-each.scores[kept], kind="stable")]
        boxes, scores = each.boxes[order], each.scores[order]
        centers = torch.from_numpy(boxes[None, :, :2]).float()
        one_class, present = torch.zeros(1, len(boxes), dtype=torch.long), torch.ones(1, len(boxes), dtype=torch.bool)
        distinct = unsuppressed(centers, one_class, present, torch.tensor([min(model.distances)]))[0].numpy()
        boxes = boxes[distinct]
        found[index] = boxes, scores[distinct], (boxes[:, 3] >= LONG).astype(np.float32)
    if not any(len(boxes) for boxes, *_ in found.values()):
        return None
    return content_of(sweeps.paths(), found)


def described(file: Path, labeled: SweepDataset | None, reason: str, settings: ConfigDict) -> str:
    """How many boxes a file has, and how good they are where there are labels."""
    sweeps = json.loads(file.read_text())["sweeps"]
    number = sum(len(each["scores"]) for each in sweeps)
    line = f"{number:,} pseudo-boxes of {len(sweeps):,} sweeps"
    if labeled is None:
        return f"{line}; not compared with labels: {reason}"
    grid = TASK_UTILS.build(settings.localizer.grid)
    pairs = ((sample, np.array(sweeps[index]["boxes"]).reshape(-1, 7)) for index, sample in labeled.readable())
    quality = pseudo_box_quality(pairs, labeled.classes, grid)
    return f"{line}; by the labels, which are not learned: {listed(quality, labeled.classes)}"


def listed(quality: dict[str, float], classes: tuple[str, ...]) -> str:
    """Recall and precision in percent, in words; classes without an object are left out."""
    parts = []
    for iou in IOUS:
        known = [(name, quality[f"recall_{iou}_{name}"]) for name in classes]
        recalls = ", ".join(f"{name} {value:.1%}" for name, value in known if value == value)
        parts.append(f"recall at BEV IoU {iou} {recalls or 'undefined'}, precision {quality[f'precision_{iou}']:.1%}")
    return "; ".join(parts)
