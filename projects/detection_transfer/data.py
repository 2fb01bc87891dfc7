"""What a detector is trained and tested on: a COCO-format set, its categories, and a share of its labelled images."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from mmengine.registry import DATASETS

from ccrop.datasets import MissingData
from ccrop.datasets.coco import find_annotations, find_split
from ccrop.runner import dicts_of
from ccrop.transfer import drawn_share

CATEGORY = dict(id=1, name="object")  # of what no one annotated


def settle_coco(config: Config, root: str | Path) -> None:
    """Name files, categories and their number in a config whose data sets are COCO-format.

    Raises:
        MissingData: images or annotations are not where :data:`ccrop.datasets.coco.LAYOUT` has them.
        ValueError: see :func:`categories_of` and :func:`check_boxes`.
    """
    root = Path(root)
    files = {split: find_annotations(root, split) for split in ("train", "val")}
    contents = {split: json.loads(file.read_text()) for split, file in files.items()}
    classes = categories_of(contents, files)
    for split, file in files.items():
        check_boxes(contents[split], file)
    _name_files(config.train_dataloader, root, "train", files["train"])
    _name_files(config.test_dataloader, root, "val", files["val"])
    config.test_evaluator.ann_file = str(files["val"])
    name_categories(config, classes)


def settle_unlabelled(config: Config, root: str | Path) -> None:
    """Name the images of COCO-format data sets whose train split has no annotations that are looked at.

    Where the val split has none either, the config loses its ``test_evaluator``; otherwise it tests where objects are,
    whatever their category.

    Raises:
        MissingData: the images are not where :data:`ccrop.datasets.coco.LAYOUT` has them.
        ValueError: see :func:`check_boxes`.
    """
    root = Path(root)
    _name_files(config.train_dataloader, root, "train", Path("annotations", "none"))
    try:
        file = find_annotations(root, "val")
    except MissingData:
        config.test_evaluator = None
    else:
        check_boxes(json.loads(file.read_text()), file)
        _name_files(config.test_dataloader, root, "val", file)
        config.test_evaluator.ann_file = str(file)
    name_categories(config, (CATEGORY["name"],))


def _name_files(loader: dict[str, Any], root: Path, split: str, file: Path) -> None:
    loader.dataset.update(
        data_root=str(root),
        ann_file=str(file.relative_to(root)) if file.is_relative_to(root) else str(file),
        data_prefix=dict(img=f"{find_split(root, split)}/"),
    )


def name_categories(config: Config, classes: Sequence[str]) -> None:
    """Name the categories of both splits, and their number in every head."""
    for loader in (config.train_dataloader, config.test_dataloader):
        loader.dataset.metainfo = dict(classes=tuple(classes))
    for settings in dicts_of(config.model):
        if "num_classes" in settings:
            settings["num_classes"] = len(classes)


def categories_of(contents: dict[str, dict[str, Any]], files: dict[str, Path]) -> tuple[str, ...]:
    """Names of the categories, in the order of the annotation files.

    Raises:
        ValueError: the splits differ in their categories, or an annotation has one that its file does not list.
    """
    lists = {
        split: [(each["id"], each["name"]) for each in content["categories"]] for split, content in contents.items()
    }
    if lists["train"] != lists["val"]:
        raise ValueError(
            f"{files['train']} and {files['val']} differ in their categories or the order of them: "
            f"{lists['train']} and {lists['val']}; give both files the same list"
        )
    known = {number for number, _ in lists["train"]}
    for split, content in contents.items():
        strangers = {each["category_id"] for each in content["annotations"]} - known
        if strangers:
            raise ValueError(f"{files[split]}: annotations have categories {sorted(strangers)}, which it does not list")
    return tuple(name for _, name in lists["train"])


def check_boxes(content: dict[str, Any], file: Path) -> None:
    """Refuse annotations of which a detector could learn nothing or nonsense.

    Raises:
        ValueError: there is no annotation, or some boxes lie outside of their image or have no area.
    """
    if not content["annotations"]:
        raise ValueError(f"{file} has no annotations: a detector needs labelled objects")
    sizes = {image["id"]: (image["width"], image["height"]) for image in content["images"]}
    boxes = np.array([each["bbox"] for each in content["annotations"]], dtype=float).reshape(-1, 4)
    images = [each["image_id"] for each in content["annotations"]]
    strangers = sorted({image for image in images if image not in sizes})
    if strangers:
        raise ValueError(f"{file}: annotations are of images {strangers[:5]}, which it does not list")
    limits = np.array([sizes[image] for image in images], dtype=float)
    outside = ((boxes[:, :2] < -1) | (boxes[:, :2] + boxes[:, 2:] > limits + 1)).any(axis=1)  # rounding is a pixel
    wrong = outside | ~(boxes[:, 2:] > 0).all(axis=1)
    if wrong.any():
        first = int(wrong.argmax())
        raise ValueError(
            f"{file}: {int(wrong.sum())} boxes have no area or leave their image, the first of annotation "
            f"{content['annotations'][first]['id']}: {boxes[first].tolist()} in an image of "
            f"{limits[first].astype(int).tolist()} pixels; repair or remove them"
        )


def use_labels(config: Config, share: float, seed: int, held_out: float = 0.0) -> tuple[int, int] | None:
    """Train on a share of the labelled images only, and test on some of them if a part is held out.

    Args:
        share: of the labelled images, see :func:`ccrop.transfer.drawn_share`.
        held_out: part of these that takes the place of the val split, to choose settings by.

    Returns:
        How many images are trained on, and how many there are; None where the set is not in COCO's format.

    Raises:
        ValueError: no image is left to train on, or a share is asked of a set that is not in COCO's format.
    """
    dataset = config.train_dataloader.dataset
    if dataset.type != "CocoDataset":
        if share < 1 or held_out:
            raise ValueError(f"a share of the labels can be drawn of a COCO-format set only, not of {dataset.type}")
        return None
    number = len(DATASETS.build(dict(dataset, pipeline=[], _scope_="mmdet")))
    chosen = drawn_share(range(number), share, seed)
    if held_out:
        tested = drawn_share(chosen, held_out, seed + 1)
        _test_on(config, tested)
        chosen = sorted(set(chosen) - set(tested))
    if not chosen:
        raise ValueError(f"{share:.1%} of {number} images leave none to train on")
    dataset.indices = chosen
    return len(chosen), number


def _test_on(config: Config, indices: Sequence[int]) -> None:
    train, test = config.train_dataloader.dataset, config.test_dataloader.dataset
    test.update(ann_file=train.ann_file, data_prefix=train.data_prefix, filter_cfg=train.filter_cfg, indices=indices)
    test.test_mode = False  # in test mode no image without objects is left out, and the indices would shift
    config.test_evaluator.ann_file = str(Path(train.data_root, train.ann_file))
