"""Self-training: a detector learns its labels next to the boxes that a fine-tuned one finds on images without labels.

The teacher's boxes keep their categories, and labeled images are repeated so that they are a fixed part of the batches.
Sohn et al. (A Simple Semi-Supervised Learning Framework for Object Detection, 2020, arXiv 2005.04757) mix both so.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from mmengine.config import Config
from mmengine.dist import barrier, is_main_process
from mmengine.registry import DATASETS
from numpy.typing import NDArray

from ccrop.config import dicts_of
from ccrop.datasets.reading import printable
from ccrop.evaluation import pseudo_box_quality
from ccrop.files import write_json
from ccrop.projects.detection_transfer.inference import load_detector
from ccrop.projects.detection_transfer.predict import DetectedImage, detected, list_source
from ccrop.transfer.self_training import check_self_training, repetitions, require_classes, taught_by
from ccrop.wording import counted

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
    """

    folder: Path
    images: Sequence[dict[str, Any]]
    annotations: Mapping[int, Sequence[dict[str, Any]]]
    unlabeled: Sequence[str]
    truth: Mapping[str, Sequence[dict[str, Any]]]


def learn_from_teacher(config: Config, work_dir: str | Path, held_out: bool, resumed: bool) -> str:
    """Train on the labels that are left and on a teacher's boxes on images without labels.

    These are the images that ``indices`` of the train split leaves out, those in its folder that its annotation file
    does not list, and the ones below ``self_training.unlabeled``. Images without a box of the teacher are left out.

    Args:
        config: whose train split has been settled, see :func:`ccrop.projects.detection_transfer.data.use_labels`. Its
            ``self_training`` has the ``teacher``, a work_dir or a checkpoint; the ``min_score`` of its boxes;
            ``labeled_fraction``, about that of labeled images in what is trained on, which are repeated for it; and
            a folder of further images, ``unlabeled``, or None.
        work_dir: takes the file of what is trained on; a resumed run takes it up again.
        held_out: the images that are tested on belong to the train split, and are not learned.
        resumed: see above.

    Returns:
        What is trained on beside the labels, in words.

    Raises:
        MissingData: there are no images in ``unlabeled``.
        FileNotFoundError, UntrustedCheckpoint: see :func:`ccrop.transfer.prediction.load_detector`.
        ValueError: see there and :mod:`ccrop.transfer.self_training`; the data set is not in COCO's format, a detector
            with masks is trained, there are no images without labels, or the teacher is sure of no box.
    """
    settings = config.self_training
    check_self_training(settings)
    train = config.train_dataloader.dataset
    if train.type != "CocoDataset":
        raise ValueError(f"a teacher's boxes can be learned only on a COCO-format set, not on {train.type}")
    if any(each.get("with_mask") for each in dicts_of(train)):
        raise ValueError("a teacher's boxes have no masks, which this detector learns: choose a detector without them")
    file = Path(work_dir, FILE).resolve()
    if not (resumed and file.is_file()):
        if is_main_process():
            content, note = taught(config, held_out)
            config.notes = [*config.get("notes", ()), note]
            file.parent.mkdir(parents=True, exist_ok=True)
            write_json(file, content)
        barrier()
    train.ann_file = str(file)
    train.pop("indices", None)
    return taught_by(settings)


def taught(config: Config, held_out: bool) -> tuple[dict[str, Any], str]:
    """What is trained on, as the content of a COCO-format file, and a note on it; see :func:`learn_from_teacher`."""
    settings, classes = config.self_training, config.train_dataloader.dataset.metainfo["classes"]
    teacher_config, teacher = load_detector(settings.teacher)
    known = teacher.dataset_meta["classes"]
    require_classes(settings.teacher, known, classes)
    split = split_of(config, held_out)
    sources = [(split.folder, split.unlabeled, True)]
    if settings.unlabeled is not None:
        sources.append((*further_images(config), False))
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
    for folder, names, relative in sources:
        for _, each in detected(teacher, teacher_config, folder, names, settings.min_score) if names else ():
            own = labeled_boxes(each, known, classes)
            if relative:
                found[each.name] = own
            if len(own):
                name = each.name if relative else str((folder / each.name).resolve())
                add(content, dict(file_name=name, width=each.size[0], height=each.size[1]), map(annotation, own))
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
    return content, note


def further_images(config: Config) -> tuple[Path, list[str]]:
    """The folder and the names of the images below ``self_training.unlabeled``.

    Raises:
        MissingData: there are none.
        ValueError: some are tested on.
    """
    folder, names = list_source(Path(config.self_training.unlabeled), None, config.get("channels", 3))
    if config.test_evaluator is not None:
        test = config.test_dataloader.dataset
        images = json.loads(Path(test.data_root, test.ann_file).read_text())["images"]
        tested = {str(Path(test.data_root, test.data_prefix["img"], each["file_name"]).resolve()) for each in images}
        if both := [name for name in names if str((folder / name).resolve()) in tested]:
            raise ValueError(
                f"{folder} has {counted(len(both), 'image')} that the detector is tested on, the first is "
                f"{printable(both[0])}: pass a folder without them"
            )
    return folder, names


def split_of(config: Config, held_out: bool) -> Split:
    """The images of the config's train split with and without labels; categories are numbered from 1 as in it."""
    train = config.train_dataloader.dataset
    folder = Path(train.data_root, train.data_prefix["img"])
    source = json.loads(Path(train.data_root, train.ann_file).read_text())
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
    tested = set(config.test_dataloader.dataset.indices) if held_out else set()
    left = [image for index, image in enumerate(used) if index not in tested.union(drawn)]
    known = {str((folder / image["file_name"]).resolve()) for image in source["images"]}
    others = [
        name
        for name in list_source(folder, None, config.get("channels", 3))[1]
        if str((folder / name).resolve()) not in known
    ]
    return Split(
        folder,
        [used[index] for index in drawn],
        annotations,
        [*(image["file_name"] for image in left), *others],
        {image["file_name"]: annotations[image["id"]] for image in left},
    )


def labeled_boxes(found: DetectedImage, known: Sequence[str], classes: Sequence[str]) -> NDArray[np.floating]:
    """An image's detections of the classes ``(n, 6)``: x0, y0, x1, y1 in pixels, score, and category from 1."""
    boxes, scores, labels = (np.asarray(each.float()) for each in found.detections)
    numbers = np.array([classes.index(name) + 1 if name in classes else 0 for name in known])[labels.astype(int)]
    rows = np.concatenate([boxes, scores[:, None], numbers[:, None]], axis=1)
    return rows[numbers > 0]


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
