"""What a detector uses of a labeled sweep, and which sweeps a run may train on."""

from collections import Counter
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.registry import DATASETS

from ccrop.datasets import UnreadableFile
from ccrop.datasets.base import spread
from ccrop.hooks.unreadable import RAISE, TooManyUnreadable
from ccrop.long_work import with_progress
from ccrop.projects.lidar_bev.datasets import OTHER, SweepDataset
from ccrop.projects.lidar_bev.datasets.base import ANY
from ccrop.projects.lidar_bev.views import MotionRange
from ccrop.transfer import drawn_fraction


class LabeledSweep:
    """Pipeline step: ``points (N, C)`` float32, ``boxes (M, 7)`` float32 and ``labels (M,)`` int64, as tensors.

    Objects without points get the label ``OTHER``: they cannot be detected. ``heading_weights (M,)`` of pseudo-boxes
    are passed on, and so are ``velocities (M, 2)``, if any.

    Args:
        motion: the common motion of sweep and boxes, a :class:`.MotionRange` or the arguments of one.
    """

    def __init__(self, motion: MotionRange | dict[str, Any]) -> None:
        self.motion = MotionRange(**motion) if isinstance(motion, dict) else motion

    def __call__(self, sample: dict[str, Any]) -> dict[str, torch.Tensor]:
        motion = self.motion.draw(sample["rng"])
        points, boxes = motion.points(sample["points"]), motion.boxes(sample["boxes"])
        labels = np.where(sample["num_points"] > 0, sample["labels"], OTHER)
        found = dict(points=points, boxes=boxes, labels=labels)
        if "heading_weights" in sample:
            found["heading_weights"] = sample["heading_weights"]
        if "velocities" in sample:
            found["velocities"] = motion.vectors(sample["velocities"])
        return {name: torch.from_numpy(values) for name, values in found.items()}


LOOKED_AT = 200  # sweeps to test on that are read before training


def use_labels(config: Config, share: float, seed: int, held_out: float = 0.0) -> str:
    """Train on a fraction of the labeled sweeps only, and test on some of them if a part is held out.

    Whole scenes are drawn: sweeps of one drive show the same objects again. With a teacher, some sweeps need not have
    labels; they do not count.

    Args:
        share: see :func:`ccrop.transfer.drawn_fraction`.
        held_out: part of these that replaces the val split, to choose settings by.

    Returns:
        What is trained on, for the log.

    Raises:
        ValueError: no sweep is left to train on, or a label file is damaged.
    """
    settings = config.train_dataloader.dataset
    every = DATASETS.build(dict(settings, pipeline=[]))
    scenes = every.scenes()
    partly = settings.get("labeled") and config.get("self_training", {}).get("teacher") is not None
    labeled = every.annotated() if partly else range(len(scenes))
    if not labeled:
        raise ValueError(f"{every.data_root}: none of the {len(scenes)} sweeps to train on has labels: label some")
    named = {scenes[index] for index in labeled}
    chosen = drawn_fraction(labeled, share, seed, scenes)
    if held_out:
        tested = drawn_fraction(chosen, held_out, seed + 1, scenes)
        config.test_dataset = settings | dict(pipeline=config.test_dataset.pipeline, indices=tested)
        chosen = sorted(set(chosen) - set(tested))
    if not chosen:
        raise ValueError(
            f"{share:.1%} of {len(labeled)} labeled sweeps of {len(named)} scenes leaves none to train "
            "on: increase the fraction, or do not search the learning rate"
        )
    settings.indices = chosen
    of_scenes = f" ({len({scenes[index] for index in chosen})} of {len(named)} scenes)"
    kind = "labeled sweeps" if settings.get("labeled") else "sweeps"
    return f"{len(chosen)} of {len(labeled)} {kind}" + of_scenes


def check_classes(dataset: SweepDataset) -> None:
    """Check that labeled sweeps contain a detector's classes; the log warns about each class without objects.

    Raises:
        ValueError: no object is of a requested class; lists the names in the labels.
    """
    names = Counter(name for index in range(len(dataset)) for name in dataset.object_names(index))
    where = f"{dataset.data_root}, {len(dataset)} labeled sweeps"
    if not names:
        raise ValueError(f"{where}: they have no objects: use other sweeps, or check the label files")
    absent = [name for name in dataset.classes if name not in names and name != ANY]
    if not absent:
        return
    known = ", ".join(f"{name} ({number})" for name, number in names.most_common(20))
    if len(absent) == len(dataset.classes):
        raise ValueError(
            f"{where}: no object is of the classes {', '.join(absent)}; the labels have {known}: set model.classes"
        )
    MMLogger.get_current_instance().warning(f"{where}: none of {', '.join(absent)}; the labels have {known}")


def check_readable(dataset: SweepDataset, limit: float) -> None:
    """Check that sweeps to test on can be read, before a training that would end with them.

    Of a large set, :data:`LOOKED_AT` evenly spread sweeps are checked.

    Args:
        limit: fraction of them that may be unreadable.

    Raises:
        TooManyUnreadable: lists those that cannot be read.
    """
    looked_at = spread(len(dataset), LOOKED_AT)
    faults = []
    for index in with_progress(looked_at, "reading sweeps to test on"):
        try:
            dataset.known(index)
        except UnreadableFile as error:
            faults.append(str(error))
    if len(faults) > limit * len(looked_at):
        raise TooManyUnreadable(
            f"{len(faults)} of {len(looked_at)} sweeps to test on are unreadable, more than {limit:.0%}: repair or "
            f"remove them{RAISE}.\n" + "\n".join(faults)
        )
