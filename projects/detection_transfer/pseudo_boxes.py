"""Pseudo-boxes instead of labels: a detector that learns where objects are before it sees a label.

LOST (Simeoni et al., BMVC 2021) and CutLER (Wang et al., CVPR 2023) train a detector of one category on boxes from
unsupervised features. This also pretrains the neck and heads.

A file of pseudo-boxes is a COCO-format annotation file of the train split with one category; annotations may have a
``score``. Those of any other method work as well.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from numpy.typing import NDArray

from ccrop.datasets import CocoImages, image_size
from ccrop.datasets.base import InvalidAnnotations
from ccrop.datasets.coco import annotations_of, find_split
from ccrop.datasets.coco_annotations import OBJECT, Annotations
from ccrop.datasets.coco_geometry import is_number
from ccrop.datasets.reading import printable
from ccrop.files import write_json
from ccrop.projects.detection_transfer.data import labeled, name_categories
from ccrop.transfer import stored_clusters

MAX_BOXES = 16  # of an image, where the source has more


def use_pseudo_boxes(config: Config, source: str | Path, folder: str | Path, max_boxes: int = MAX_BOXES) -> None:
    """Train on pseudo-boxes, and test where objects are, whatever their category, if the val split has annotations.

    The annotations of the train split are not used. What replaces them is written to
    ``pseudo_boxes_{train,val}.json`` in the folder.

    Args:
        config: of a COCO-format set, see :func:`ccrop.projects.detection_transfer.finetune.load_config`.
        source: a file of pseudo-boxes (.json), or the checkpoint of a pretraining run on the same train images
            that localized clusters.
        folder: is created if necessary.
        max_boxes: per image; those with the best scores.

    Raises:
        ValueError: the data set is not in COCO's format, ``max_boxes`` is less than 1, or the source has no boxes, or
            those of other images.
    """
    train, test = config.train_dataloader.dataset, config.test_dataloader.dataset
    if train.type != "CocoDataset":
        raise ValueError(f"pseudo-boxes can be learned only on a COCO-format set, not on {train.type}")
    if max_boxes < 1:
        raise ValueError(f"max_boxes must be at least 1, got {max_boxes}: an image without boxes teaches nothing")
    folder = Path(folder).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    files = {split: folder / f"pseudo_boxes_{split}.json" for split in ("train", "val")}
    root = Path(train.data_root)
    if Path(source).suffix == ".json":
        found = read_pseudo_boxes(source, root)
        content = found.content
        if found.repaired:
            config.notes = [*config.get("notes", ()), found.note(Path(source))]
    else:
        content = cluster_annotations(root, source, config.get("channels", 3))
    write_json(files["train"], best(content, max_boxes))
    train.update(ann_file=str(files["train"]))
    name_categories(config, (OBJECT["name"],))
    if config.test_evaluator is not None:
        annotated = annotations_of(root, "val", Path(test.data_root, test.ann_file), agnostic=True)
        write_json(files["val"], annotated.content)
        test.update(ann_file=str(files["val"]))
        config.test_evaluator.ann_file = str(files["val"])
    config.headline += f", pseudo-boxes of {source} instead of labels"


def read_pseudo_boxes(file: str | Path, root: str | Path) -> Annotations:
    """The pseudo-boxes of a file for the train split's images, all of one category.

    Raises:
        InvalidAnnotations: see :func:`ccrop.datasets.coco_annotations.read_annotations`; or it has no boxes, names
            images that the train split does not have, or only some boxes have a score, or one is not a finite number.
    """
    file, root = Path(file), Path(root)
    found = labeled(root, "train", file, agnostic=True)
    folder = root / find_split(root, "train")
    lost = [image["file_name"] for image in found.content["images"] if not (folder / image["file_name"]).is_file()]
    if lost:
        raise InvalidAnnotations(
            file, f"it has boxes for {len(lost)} images that {folder} lacks, the first is {printable(lost[0])}"
        )
    _check_scores(found.content["annotations"], file)
    return found


def _check_scores(annotations: Sequence[dict[str, Any]], file: Path) -> None:
    """Refuse scores by which boxes cannot be ranked; crowds need none."""
    boxes = [each for each in annotations if not each["iscrowd"]]
    rated = [each for each in boxes if "score" in each]
    if 0 < len(rated) < len(boxes):
        raise InvalidAnnotations(
            file, f"only {len(rated)} of {len(boxes)} boxes have a score: give one to each, or to none"
        )
    wrong = [each for each in rated if not is_number(each["score"])]
    if wrong:
        raise InvalidAnnotations(
            file,
            f"{len(wrong)} of {len(rated)} scores are not finite numbers, the first is {wrong[0]['score']!r} of "
            f"annotation {wrong[0]['id']}: repair them, or leave out all scores",
        )


def best(content: dict[str, Any], max_boxes: int) -> dict[str, Any]:
    """The pseudo-boxes with the best scores per image, if boxes have no scores, the first ones; and all crowds."""
    taken: dict[int, int] = {}
    kept = [each for each in content["annotations"] if each.get("iscrowd", 0)]
    alone = [each for each in content["annotations"] if not each.get("iscrowd", 0)]
    for each in sorted(alone, key=lambda each: -each.get("score", 0.0)):
        taken[each["image_id"]] = taken.get(each["image_id"], 0) + 1
        if taken[each["image_id"]] <= max_boxes:
            kept.append(each)
    return content | dict(annotations=kept)


def cluster_annotations(root: str | Path, checkpoint: str | Path, channels: int = 3) -> dict[str, Any]:
    """The clusters that a pretraining stored of all train images, as the content of a file of pseudo-boxes.

    Args:
        channels: of the images, see :class:`ccrop.datasets.ImageDataset`.

    Raises:
        ValueError: the checkpoint has no clusters, or those of other images.
    """
    images = CocoImages(root, channels=channels)
    store = stored_clusters(checkpoint, images, "configs/comparison/region_clusters.py")
    sizes = sizes_of(images)
    found = [store[index] * np.array([width, height, width, height, 1]) for index, (width, height) in enumerate(sizes)]
    return pseudo_annotations(images, sizes, found)


def pseudo_annotations(
    images: CocoImages, sizes: Sequence[tuple[int, int]], boxes: Sequence[NDArray[np.floating]]
) -> dict[str, Any]:
    """The content of a file of pseudo-boxes; images without any are left out.

    Args:
        images: the train split.
        sizes: (width, height) of each image in pixels.
        boxes: of each image ``(n, 5)`` x0, y0, x1, y1 in pixels and a score.
    """
    listed: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for index, (name, size, own) in enumerate(zip(names_of(images), sizes, boxes, strict=True)):
        if not len(own):
            continue
        listed.append(dict(id=index + 1, file_name=name, width=size[0], height=size[1]))
        for x0, y0, x1, y1, score in np.round(own.tolist(), 4).tolist():
            box = dict(bbox=[x0, y0, x1 - x0, y1 - y0], area=(x1 - x0) * (y1 - y0), segmentation=[], iscrowd=0)
            identity = dict(id=len(annotations) + 1, image_id=index + 1, category_id=OBJECT["id"], score=score)
            annotations.append(identity | box)
    return dict(images=listed, annotations=annotations, categories=[OBJECT])


def boxes_by_image(content: dict[str, Any]) -> dict[str, NDArray[np.float64]]:
    """Boxes ``(n, 4)`` x0, y0, x1, y1 in pixels of each listed image, by its file name; crowds left out."""
    found: dict[int, list[Sequence[float]]] = {image["id"]: [] for image in content["images"]}
    for each in content["annotations"]:
        if not each.get("iscrowd", 0):
            found[each["image_id"]].append(each["bbox"])
    corners = {}
    for image in content["images"]:
        boxes = np.array(found[image["id"]], dtype=float).reshape(-1, 4)
        corners[image["file_name"]] = np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)
    return corners


def path_of(images: CocoImages, index: int) -> Path:
    """The file of an image."""
    return images.path(images.get_data_info(index))


def sizes_of(images: CocoImages) -> list[tuple[int, int]]:
    """(width, height) of all images in pixels."""
    return [image_size(path_of(images, index)) for index in range(len(images))]


def names_of(images: CocoImages) -> list[str]:
    """Files of all images relative to their split's folder, as annotation files name them."""
    folder = Path(images.data_root, find_split(Path(images.data_root), images.split))
    return [path_of(images, index).relative_to(folder).as_posix() for index in range(len(images))]
