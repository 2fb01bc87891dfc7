"""Self-training: a detector learns its labels next to the boxes that a fine-tuned one finds in sweeps without labels.

The teacher's boxes keep class, heading and velocity, and labeled sweeps are repeated so that they are a fixed part of
what is drawn, as of images: Sohn et al. (A Simple Semi-Supervised Learning Framework for Object Detection, 2020,
arXiv 2005.04757).
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import DATASETS, TASK_UTILS
from numpy.typing import NDArray

from ccrop.files import require_place
from ccrop.long_work import with_progress
from ccrop.projects.lidar_bev.boxes import num_points_in_boxes
from ccrop.projects.lidar_bev.datasets import Objects, SweepDataset
from ccrop.projects.lidar_bev.datasets.objects import MissingLabels, read_taught, write_taught
from ccrop.projects.lidar_bev.detection.metrics import Compared, compared
from ccrop.projects.lidar_bev.evaluation.center_ap import Detections, match
from ccrop.projects.lidar_bev.grid import Grid
from ccrop.projects.lidar_bev.inference import detected, load_teacher
from ccrop.transfer.self_training import (
    check_self_training,
    in_main_process,
    repetitions,
    require_classes,
    taught_by,
)
from ccrop.wording import counted

FILE = "self_training.npz"  # in the work_dir: the teacher's boxes that are trained on
NEAR = 1.0  # meters between the centers of a right box and an object of its class
NOTHING = Objects([], np.zeros((0, 7), np.float32))


def learn_from_teacher(config: Config, tested: SweepDataset | None, work_dir: str | Path, resumed: bool) -> str:
    """Train on the labels that are left and on a teacher's boxes on the training sweeps without labels.

    These are the sweeps that ``indices`` of the training set leaves out and that are not tested on. Sweeps without a
    box of the teacher are left out.

    Args:
        config: whose training set has been settled, see
            :func:`ccrop.projects.lidar_bev.detection.labeled_sweeps.use_labels`.
            Its ``self_training`` has the ``teacher``, a work_dir or a checkpoint; the ``min_score`` of its boxes; and
            ``labeled_fraction``, about that of labeled sweeps in what is trained on, which are repeated for it.
        tested: what is tested on, the val split or held-out sweeps of the training split.
        work_dir: takes the file of the teacher's boxes; a resumed run takes it up again.
        resumed: see above.

    Returns:
        What is trained on beside the labels, in words.

    Raises:
        FileNotFoundError, UntrustedCheckpoint: see :func:`ccrop.projects.lidar_bev.inference.load_teacher`.
        ValueError: see there and :mod:`ccrop.transfer.self_training`; the training set has no labels, the teacher's
            grid does not cover the detector's, there are no sweeps without labels, or the teacher is sure of no box.
    """
    settings, train = config.self_training, config.train_dataloader.dataset
    check_self_training(settings)
    if not train.get("labeled"):
        raise ValueError(
            "a teacher's boxes are learned next to labels, which this training set does not have: use a config of a "
            "labeled set, or tools/train.py with pseudo_boxes.detector"
        )
    every = DATASETS.build(dict(train, pipeline=[], indices=None))
    file = Path(work_dir, FILE).resolve()

    def write() -> None:
        if not (resumed and file.is_file()):
            require_place(file)
            found, note = taught(config, every, tested)
            config.notes = [*config.get("notes", ()), note]
            write_taught(file, found)

    in_main_process(write)
    own = read_taught(file)
    others = [index for index, path in enumerate(every.paths()) if path in own]
    copies = repetitions(len(train.indices), len(others), settings.labeled_fraction)
    train.update(indices=copies * list(train.indices) + others, taught=str(file))
    return taught_by(settings)


def taught(config: Config, every: SweepDataset, tested: SweepDataset | None) -> tuple[dict[str, Objects], str]:
    """The teacher's boxes by the paths of sweeps, and a note on them; see :func:`learn_from_teacher`.

    Args:
        every: all sweeps of the training split, without a pipeline.
    """
    settings, train = config.self_training, config.train_dataloader.dataset
    teacher, classes = load_teacher(settings.teacher, config), config.model.classes
    require_classes(settings.teacher, teacher.classes, classes)
    grid = TASK_UTILS.build(config.model.backbone.grid)
    require_cover(settings.teacher, teacher.backbone.grid, grid)
    known = set(train.indices)
    with_velocities = every.objects(every.get_data_info(train.indices[0])).velocities is not None
    reserved = set() if tested is None else set(tested.paths())
    left = [index for index, path in enumerate(every.paths()) if index not in known and path not in reserved]
    if not left:
        raise ValueError(
            f"{train.data_root} has no sweep without labels in its training split: add some, or leave labels out with "
            "--labels"
        )
    sweeps = DATASETS.build(dict(train, pipeline=[], indices=left))
    truth = annotations(sweeps)
    sweeps.taught = {path: truth.get(path, NOTHING) for path in sweeps.paths()}
    found: dict[str, Objects] = {}
    pairs: list[Compared] = []
    teacher.to("cuda" if torch.cuda.is_available() else "cpu")
    for index, sample, each in with_progress(detected(teacher, sweeps), "the teacher's boxes", len(sweeps)):
        path = sweeps.get_data_info(index)["path"]
        sure = sure_boxes(each, sample["points"], teacher.classes, classes, grid, settings.min_score)
        if path in truth:
            pairs.append(compared(sample, sure, grid))
        if len(sure.boxes):
            found[path] = Objects(
                [classes[label] for label in sure.labels], sure.boxes, velocities_of(sure) if with_velocities else None
            )
    boxes = sum(len(each.names) for each in found.values())
    if not boxes:
        raise ValueError(
            f"{settings.teacher} scores no box of the {counted(len(left), 'sweep')} without labels at "
            f"{settings.min_score:g} or above: train it longer, or lower self_training.min_score"
        )
    copies = repetitions(len(known), len(found), settings.labeled_fraction)
    note = (
        f"Teacher {settings.teacher}: {counted(boxes, 'box')} with a score of at least {settings.min_score:g} in "
        f"{len(found):,} of {counted(len(left), 'sweep')} without labels; each of "
        f"{counted(len(known), 'labeled sweep')} counts as {copies}{described(pairs, classes)}"
    )
    return found, note


def require_cover(teacher: str | Path, given: Grid, wanted: Grid) -> None:
    """Refuse a teacher whose grid leaves out a part of the detector's: objects there would be learned as background.

    Args:
        teacher: for the message.
        given: its grid.
        wanted: the detector's.

    Raises:
        ValueError: states both.
    """
    if any(a > b for a, b in zip(given.low, wanted.low, strict=True)) or any(
        a < b for a, b in zip(given.high, wanted.high, strict=True)
    ):
        raise ValueError(
            f"{teacher} detects objects from {tuple(given.low)} to {tuple(given.high)} m, but the detector's grid is "
            f"from {tuple(wanted.low)} to {tuple(wanted.high)} m: pass a teacher that sees all of it, or set "
            "model.backbone.grid as in its config"
        )


def annotations(sweeps: SweepDataset) -> dict[str, Objects]:
    """The objects by the paths of those sweeps that have labels.

    Raises:
        ValueError: see :meth:`.SweepDataset.objects`.
    """
    found = {}
    for index, path in enumerate(sweeps.paths()):
        try:
            found[path] = sweeps.objects(sweeps.get_data_info(index))
        except MissingLabels:
            continue
    return found


def sure_boxes(
    found: Detections,
    points: NDArray[np.float32],
    known: Sequence[str],
    classes: Sequence[str],
    grid: Grid,
    min_score: float,
) -> Detections:
    """The detections that a detector learns: sure, of its classes and on its grid, with points.

    Args:
        found: in a sweep.
        points: ``(N, 3 or more)``, the sweep.
        known: names of the detections' labels.
        classes: names of the labels in what is returned.
        grid: of the detector that learns.
        min_score: of a sure one.
    """
    places = np.array([classes.index(name) if name in classes else -1 for name in known])
    labels = places[found.labels]
    centers = found.boxes[:, :2]
    on_grid = ((centers >= grid.low[:2]) & (centers < grid.high[:2])).all(axis=1)
    kept = (found.scores >= min_score) & (labels >= 0) & on_grid & (num_points_in_boxes(points, found.boxes) > 0)
    velocities = None if found.velocities is None else found.velocities[kept]
    return Detections(found.boxes[kept], found.scores[kept], labels[kept], velocities=velocities)


def velocities_of(found: Detections) -> NDArray[np.float32]:
    """``(D, 2)`` in meters per second, NaN of a teacher that does not learn them."""
    return np.full((len(found.boxes), 2), np.nan, np.float32) if found.velocities is None else found.velocities


def right_boxes(sweeps: Sequence[Compared], classes: Sequence[str]) -> dict[str, NDArray[np.int64]]:
    """Of each class ``(3,)``: how many boxes are right, how many boxes there are, and how many objects.

    A box is right if its center is less than :data:`NEAR` from that of an object of its class, which no other box has;
    see :func:`.compared` for what does not count.
    """
    truths, found = [each.truth for each in sweeps], [each.found for each in sweeps]
    counts = {}
    for label, name in enumerate(classes):
        matches = match(truths, found, label, NEAR)
        counts[name] = np.array([matches.right.sum(), len(matches.right), matches.num_objects])
    return counts


def described(sweeps: Sequence[Compared], classes: Sequence[str]) -> str:
    """How well a teacher's boxes fit annotations of their class; empty if there are none."""
    counts = right_boxes(sweeps, classes)
    total = np.sum(list(counts.values()), axis=0)
    if not total[-1]:
        return ""
    by_class = "; ".join(f"{name} {listed(own)}" for name, own in counts.items() if own[-1])
    return (
        "; by their annotations, which are not trained on, precision and recall of boxes of the right class within "
        f"{NEAR:g} m: {listed(total)} ({by_class})"
    )


def listed(counts: NDArray[np.int64]) -> str:
    """Precision and recall in words; see :func:`right_boxes`."""
    right, boxes, objects = counts.tolist()
    return f"{right / boxes:.1%} and {right / objects:.1%}" if boxes else f"no box and {0:.1%}"
