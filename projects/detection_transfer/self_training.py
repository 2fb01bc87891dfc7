"""Self-training: a detector learns its labels next to the boxes that a fine-tuned one finds on images without labels.

The teacher's boxes keep their categories, and labeled images are repeated so that they are a fixed part of the batches.
Sohn et al. (A Simple Semi-Supervised Learning Framework for Object Detection, 2020, arXiv 2005.04757) mix both so.
"""

import json
import os
import zlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.registry import DATASETS
from numpy.typing import NDArray

from ccrop.checkpoint.recorded_config import KEY
from ccrop.compat.safe_checkpoint import load_checkpoint
from ccrop.config import CHECKPOINT, dicts_of
from ccrop.datasets.listing import list_images
from ccrop.datasets.reading import printable
from ccrop.evaluation import pseudo_box_quality
from ccrop.files import require_place, write_json
from ccrop.projects.detection_transfer.inference import load_detector
from ccrop.projects.detection_transfer.predict import DetectedImage, detected, list_source, suffixes
from ccrop.resume_check import refuse_changes
from ccrop.transfer.prediction import NoneReadable, checkpoint_of
from ccrop.transfer.self_training import (
    in_main_process,
    repetitions,
    require_classes,
    taught_by,
)
from ccrop.transfer.starting_point import Start
from ccrop.wording import counted

if TYPE_CHECKING:
    from mmdet.models import BaseDetector

FILE = "self_training.json"  # in the work_dir: the images and boxes that are trained on
APART = 1e6  # pixels between boxes of different categories, which then cannot overlap


class Split(NamedTuple):
    """A train split with some labels.

    Attributes:
        folder: that the names of images are relative to.
        images: of the annotation file that are trained on, with their labels.
        annotations: of these images, by image id.
        unlabeled: names of all other images, but those without objects and those tested on.
        truth: annotations of these, where the file has them, by name; they are not trained on.
        own: real paths of all images of the train split, listed or not.
        tested: how many of these are tested on, and left out.
    """

    folder: Path
    images: Sequence[dict[str, Any]]
    annotations: Mapping[int, Sequence[dict[str, Any]]]
    unlabeled: Sequence[str]
    truth: Mapping[str, Sequence[dict[str, Any]]]
    own: Collection[str]
    tested: int


def learn_from_teacher(
    config: Config, work_dir: str | Path, held_out: bool, start: Start, tested: Collection[str] = ()
) -> str:
    """Train on the labels that are left and on a teacher's boxes on images without labels.

    These are the images that ``indices`` of the train split leaves out, those in its folder that its annotation file
    does not list, and the ones below ``self_training.unlabeled``. Images without a box of the teacher are left out.

    Args:
        config: whose train split has been settled, see :func:`ccrop.projects.detection_transfer.data.use_labels`. Its
            ``self_training``, which has been checked, has the ``teacher``, a work_dir or a checkpoint; the
            ``min_score`` of its boxes; ``labeled_fraction``, about that of labeled images in what is trained on,
            which are repeated for it; and a folder of further images, ``unlabeled``, or None.
        work_dir: takes the file of what is trained on; a resumed run takes it up again.
        held_out: the images that are tested on belong to the train split, and are not learned.
        start: of the run; where it is resumed with other settings, which may change, the boxes are made again.
        tested: real paths of the val split's images, see :func:`tested_on`.

    Returns:
        What is trained on beside the labels, in words.

    Raises:
        MissingData: there are no images in ``unlabeled``.
        FileNotFoundError, UntrustedCheckpoint: see :func:`ccrop.transfer.prediction.load_detector`.
        ValueError: see there and :func:`.require_classes`; the data set is not in COCO's format, a detector
            with masks is trained, there are no images without labels, or the teacher is sure of no box; or a resumed
            run had other settings, which may not change.
    """
    settings, train = config.self_training, config.train_dataloader.dataset
    if train.type != "CocoDataset":
        raise ValueError(f"a teacher's boxes can be learned only on a COCO-format set, not on {train.type}")
    if any(each.get("with_mask") for each in dicts_of(train)):
        raise ValueError("a teacher's boxes have no masks, which this detector learns: choose a detector without them")
    file = Path(work_dir, FILE).resolve()
    labels = f"{zlib.crc32(str(train.get('indices')).encode()):08x}"
    made_with = dict(teacher=str(settings.teacher), unlabeled=str(settings.unlabeled), labels=labels)
    made_with |= {name: str(settings[name]) for name in ("min_score", "labeled_fraction")}

    def write() -> None:
        if start.checkpoint is None or not file.is_file() or changed(file, made_with, start):
            write_taught(config, file, made_with, held_out, tested)

    in_main_process(write)
    train.ann_file = str(file)
    train.pop("indices", None)
    return taught_by(settings)


def changed(file: Path, now: Mapping[str, str], start: Start) -> bool:
    """Whether a resumed run's file must be made again, because it was made with other settings, which may change.

    Raises:
        ValueError: they may not change; or the file is damaged.
    """
    try:
        before = json.loads(file.read_text(encoding="utf-8")).get("made_with", now)
    except ValueError as error:
        raise ValueError(f"{file} is damaged ({error}): remove it, and its boxes are made again") from error
    assert start.checkpoint is not None  # of a resumed run
    differing = {name: (before.get(name, "unset"), value) for name, value in now.items() if before.get(name) != value}
    shown = {f"self_training.{name}": values for name, values in differing.items() if name != "labels"}
    refuse_changes(start.checkpoint, shown, start.changes_allowed)
    return bool(differing and start.changes_allowed)  # labels are refused where the rest of the run is compared


def write_taught(
    config: Config, file: Path, made_with: Mapping[str, str], held_out: bool, tested: Collection[str]
) -> None:
    """Write the file of :func:`taught`, and add its note to those of the config."""
    require_place(file)
    content, note = taught(config, held_out, tested)
    config.notes = [*config.get("notes", ()), note]
    write_json(file, content | dict(made_with=made_with))


def tested_on(config: Config) -> Collection[str]:
    """Real paths of the images of the test split, as its annotation file lists them."""
    if config.test_evaluator is None:
        return frozenset()
    test = config.test_dataloader.dataset
    images = json.loads(Path(test.data_root, test.ann_file).read_text(encoding="utf-8"))["images"]
    return real_paths(Path(test.data_root, test.data_prefix["img"]), (each["file_name"] for each in images))


def real_paths(folder: Path, names: Iterable[str]) -> set[str]:
    """Of files, whatever links lead to them."""
    return {os.path.realpath(folder / name) for name in names}


def taught(config: Config, held_out: bool, tested: Collection[str]) -> tuple[dict[str, Any], str]:
    """What is trained on, as the content of a COCO-format file, and a note on it; see :func:`learn_from_teacher`."""
    settings, classes = config.self_training, config.train_dataloader.dataset.metainfo["classes"]
    teacher_config, teacher = load_teacher(settings.teacher)
    known = teacher.dataset_meta["classes"]
    require_classes(settings.teacher, known, classes)
    split = split_of(config, held_out, tested)
    sources = [(split.folder, split.unlabeled, True)]
    remarks = [f"{counted(split.tested, 'image')} of the val split not learned"] if split.tested else []
    if settings.unlabeled is not None:
        further, others, twice = further_images(config, split.own, tested)
        sources.append((further, others, False))
        if twice:
            remarks.append(f"{counted(twice, 'image')} of {further} left out, which the train split has already")
    total = sum(len(names) for _, names, _ in sources)
    if not total:
        raise ValueError(
            f"{split.folder} has no image without labels, and self_training.unlabeled names no others: pass them with "
            "--unlabeled, or leave labels out with --labels"
        )
    content: dict[str, Any] = dict(
        images=[], annotations=[], categories=[dict(id=number, name=name) for number, name in enumerate(classes, 1)]
    )
    found: dict[str, NDArray[np.floating]] = {}
    unreadable = []
    for folder, names, relative in filter(lambda source: source[1], sources):
        try:
            for _, each in detected(teacher, teacher_config, folder, names, settings.min_score):
                own = labeled_boxes(each, known, classes)
                if relative:
                    found[each.name] = own
                if len(own):
                    name = each.name if relative else str((folder / each.name).resolve())
                    add(content, dict(file_name=name, width=each.size[0], height=each.size[1]), map(annotation, own))
        except NoneReadable as error:
            MMLogger.get_current_instance().warning(str(error))
            unreadable.append((len(names), error))
    if sum(number for number, _ in unreadable) == total:
        raise unreadable[0][1]
    images, boxes = len(content["images"]), len(content["annotations"])
    if not boxes:
        raise ValueError(
            f"{settings.teacher} scores no box of the {counted(total, 'image')} without labels at "
            f"{settings.min_score:g} or above: train it longer, or lower self_training.min_score"
        )
    copies = repetitions(len(split.images), images, settings.labeled_fraction)
    for image in split.images:
        for _ in range(copies):
            add(content, image, split.annotations[image["id"]])
    note = (
        f"Teacher {settings.teacher}: {counted(boxes, 'box')} with a score of at least {settings.min_score:g} on "
        f"{images:,} of {counted(total, 'image')} without labels; each of "
        f"{counted(len(split.images), 'labeled image')} counts as {copies}{described(found, split.truth)}"
    )
    return content, "; ".join([note, *remarks])


def load_teacher(name: str | Path) -> tuple[Config, "BaseDetector"]:
    """A detector with the names of its categories, see :func:`ccrop.transfer.prediction.load_detector`.

    Raises:
        ValueError: the checkpoint has no config or no categories; or see there.
    """
    lacking = "{} holds no {}, which a teacher needs: pass a work_dir of tools/finetune.py, or one of its checkpoints"
    checkpoint = checkpoint_of(name)
    if checkpoint.suffix == CHECKPOINT:
        content = load_checkpoint(checkpoint)
        if not isinstance(content, dict) or not isinstance(content.get(KEY), dict):
            raise ValueError(lacking.format(checkpoint, "config"))
    config, teacher = load_detector(name)
    if "classes" not in teacher.dataset_meta:
        raise ValueError(lacking.format(checkpoint, "names of categories"))
    return config, teacher


def further_images(config: Config, own: Collection[str], tested: Collection[str]) -> tuple[Path, list[str], int]:
    """The folder of ``self_training.unlabeled``, the names of its images, and how many it has of the train split.

    Args:
        own: real paths of the train split's images, which are left out.
        tested: those of the images that are tested on.

    Raises:
        MissingData: there are none.
        ValueError: some are tested on.
    """
    folder, names = list_source(Path(config.self_training.unlabeled), None, config.get("channels", 3))
    paths = {name: os.path.realpath(folder / name) for name in names}
    if both := [name for name, path in paths.items() if path in tested]:
        raise ValueError(
            f"{folder} has {counted(len(both), 'image')} that the detector is tested on, the first is "
            f"{printable(both[0])}: pass a folder without them"
        )
    further = {path: name for name, path in reversed(paths.items()) if path not in own}
    return folder, sorted(further.values()), sum(path in own for path in paths.values())


def split_of(config: Config, held_out: bool, tested: Collection[str]) -> Split:
    """The images of the config's train split with and without labels; categories are numbered from 1 as in it."""
    train = config.train_dataloader.dataset
    folder = Path(train.data_root, train.data_prefix["img"])
    source = json.loads(Path(train.data_root, train.ann_file).read_text(encoding="utf-8"))
    classes = train.metainfo["classes"]
    numbers = {each["id"]: classes.index(each["name"]) + 1 for each in source["categories"] if each["name"] in classes}
    annotations: dict[int, list[dict[str, Any]]] = {image["id"]: [] for image in source["images"]}
    for each in source["annotations"]:
        if each["category_id"] in numbers:
            annotations[each["image_id"]].append(each | dict(category_id=numbers[each["category_id"]]))
    every = DATASETS.build({**train, "pipeline": [], "_scope_": "mmdet", "indices": None})
    listed = {image["id"]: image for image in source["images"]}
    used = [listed[every.get_data_info(index)["img_id"]] for index in range(len(every))]
    drawn = range(len(used)) if train.get("indices") is None else train.indices
    apart = set(config.test_dataloader.dataset.indices) if held_out else set()
    known = real_paths(folder, (image["file_name"] for image in source["images"]))
    images = {image["file_name"]: image for index, image in enumerate(used) if index not in apart.union(drawn)}
    left = list(images)
    in_folder = list_images(folder, suffixes=suffixes(config.get("channels", 3)))
    others = {path: name for name in reversed(in_folder) if (path := os.path.realpath(folder / name)) not in known}
    unlabeled = [*left, *sorted(others.values())]
    kept = [name for name in unlabeled if os.path.realpath(folder / name) not in tested]
    return Split(
        folder,
        [used[index] for index in drawn],
        annotations,
        kept,
        {name: annotations[images[name]["id"]] for name in kept if name in images},
        known.union(others),
        len(unlabeled) - len(kept),
    )


def labeled_boxes(found: DetectedImage, known: Sequence[str], classes: Sequence[str]) -> NDArray[np.floating]:
    """An image's detections of the classes ``(n, 6)``: x0, y0, x1, y1 in pixels, score, and category from 1."""
    boxes, scores, labels = (np.asarray(each.float()) for each in found.detections)
    numbers = np.array([classes.index(name) + 1 if name in classes else 0 for name in known])[labels.astype(int)]
    rows = np.concatenate([boxes, scores[:, None], numbers[:, None]], axis=1)
    large_enough = (boxes[:, 2:] - boxes[:, :2] >= 1).all(axis=1)  # mmdet leaves out smaller ones
    return rows[(numbers > 0) & large_enough]


def annotation(box: NDArray[np.floating]) -> dict[str, Any]:
    """One of :func:`labeled_boxes` in COCO's format, without its ids."""
    x0, y0, x1, y1, score, category = np.round(box.astype(float), 4).tolist()
    shape = dict(bbox=[x0, y0, x1 - x0, y1 - y0], area=(x1 - x0) * (y1 - y0), segmentation=[], iscrowd=0)
    return shape | dict(category_id=int(category), score=score)


def add(content: dict[str, Any], image: dict[str, Any], annotations: Iterable[dict[str, Any]]) -> None:
    """Append an image and its annotations, with ids of their own."""
    identity = len(content["images"]) + 1
    content["images"].append(image | dict(id=identity))
    for each in annotations:
        content["annotations"].append(each | dict(id=len(content["annotations"]) + 1, image_id=identity))


def described(found: Mapping[str, NDArray], truth: Mapping[str, Sequence[dict[str, Any]]]) -> str:
    """How well a teacher's boxes fit annotations of their category, if there are any; crowds do not count."""
    real = {
        name: np.array([[*each["bbox"], each["category_id"]] for each in own if not each.get("iscrowd", 0)])
        for name, own in truth.items()
    }
    names = [name for name, own in real.items() if len(own)]
    if not names:
        return ""
    none = np.zeros((0, 6))
    quality = pseudo_box_quality(
        [boxes[:, :4] + APART * boxes[:, 5:] for boxes in (found.get(name, none) for name in names)],
        [
            np.concatenate([each[:, :2], each[:, :2] + each[:, 2:4]], axis=1) + APART * each[:, 4:]
            for each in (real[name] for name in names)
        ],
    )
    return (
        "; by their annotations, which are not trained on, precision and recall of boxes of the right category at IoU "
        f"0.5: {quality['precision_0.5']:.1%} and {quality['recall_0.5']:.1%}"
    )
