"""What a detector is trained and tested on: a COCO-format set, its categories, and a fraction of its labeled images."""

import json
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from mmengine.config import Config, ConfigDict
from mmengine.registry import DATASETS

from ccrop.config import dicts_of
from ccrop.datasets import MissingData
from ccrop.datasets.base import InvalidAnnotations
from ccrop.datasets.coco import annotations_of, find_annotations, find_split
from ccrop.datasets.coco_annotations import OBJECT, Annotations
from ccrop.files import temporary_folder, write_bytes
from ccrop.transfer import drawn_fraction

PREDICTION = "prediction_dataloader"  # in the config of a run that is not tested, what its test_dataloader was


def settle_coco(config: Config, root: str | Path) -> None:
    """Set files, categories and their number in a config with COCO-format data sets.

    Raises:
        MissingData: images or annotations are not where :data:`ccrop.datasets.coco.LAYOUT` expects them.
        InvalidAnnotations: see :func:`ccrop.datasets.coco_annotations.read_annotations`, or there is no annotation.
    """
    root = Path(root)
    files = {split: find_annotations(root, split) for split in ("train", "val")}
    found = {split: labeled(root, split, file) for split, file in files.items()}
    files = {split: usable(config, file, found[split]) for split, file in files.items()}
    _name_files(config.train_dataloader, root, "train", files["train"])
    _name_files(config.test_dataloader, root, "val", files["val"])
    config.test_evaluator.ann_file = str(files["val"])
    name_categories(config, [each["name"] for each in found["train"].content["categories"]])


def settle_unlabeled(config: Config, root: str | Path) -> None:
    """Set the images of COCO-format data sets whose train annotations are not used.

    Where the val split has none either, the config loses its ``test_evaluator``; otherwise it tests where objects are,
    whatever their category.

    Raises:
        MissingData: the images are not where :data:`ccrop.datasets.coco.LAYOUT` expects them.
        InvalidAnnotations: see :func:`settle_coco`.
    """
    root = Path(root)
    _name_files(config.train_dataloader, root, "train", Path("annotations", "none"))
    try:
        file = find_annotations(root, "val")
    except MissingData:
        config.test_evaluator = None
    else:
        file = usable(config, file, labeled(root, "val", file, agnostic=True))
        _name_files(config.test_dataloader, root, "val", file)
        config.test_evaluator.ann_file = str(file)
    name_categories(config, (OBJECT["name"],))


def labeled(root: Path, split: str, file: Path, agnostic: bool = False) -> Annotations:
    """The annotations of a split, see :func:`ccrop.datasets.coco.annotations_of`.

    Raises:
        InvalidAnnotations: see there; or there are no annotations for a detector to learn from.
    """
    found = annotations_of(root, split, file, agnostic)
    if not found.content["annotations"]:
        raise InvalidAnnotations(file, "it has no annotations: a detector needs labeled objects")
    return found


def usable(config: Config, file: Path, found: Annotations) -> Path:
    """The file itself or, if it had to be repaired, a new one that lasts as long as the process.

    :func:`keep_annotations` keeps it in the work_dir. The config's ``notes`` say what was repaired or is doubtful.
    """
    if note := found.note(file):
        config.notes = [*config.get("notes", ()), note]
    if not found.repaired:
        return file
    repaired = Path(tempfile.mkdtemp(dir=_repaired().name), file.name)
    repaired.write_text(json.dumps(found.content))
    return repaired


def keep_annotations(config: Config, work_dir: str | Path) -> None:
    """Copy the repaired files that a config reads, see :func:`usable`, to the work_dir."""
    places = {}
    for settings in dicts_of(config):
        file = Path(settings.get("ann_file") or "")
        if not file.is_relative_to(_repaired().name):
            continue
        if file not in places:
            places[file] = Path(work_dir, f"repaired_{file.name}").resolve()
            write_bytes(places[file], file.read_bytes())
        settings["ann_file"] = str(places[file])


@cache
def _repaired() -> tempfile.TemporaryDirectory:
    """Holds repaired annotation files until the process ends."""
    return temporary_folder("ccrop-annotations-")


def _name_files(loader: ConfigDict, root: Path, split: str, file: Path) -> None:
    loader.dataset.update(
        data_root=str(root),
        ann_file=str(file.relative_to(root)) if file.is_relative_to(root) else str(file),
        data_prefix=dict(img=f"{find_split(root, split)}/"),
    )


def name_categories(config: Config, classes: Sequence[str]) -> None:
    """Set the categories of both splits, and their number in every head."""
    for loader in (config.train_dataloader, config.test_dataloader):
        loader.dataset.metainfo = dict(classes=tuple(classes))
    for settings in dicts_of(config.model):
        if "num_classes" in settings:
            settings["num_classes"] = len(classes)


def use_labels(config: Config, share: float, seed: int, held_out: float = 0.0) -> tuple[int, int] | None:
    """Train on a fraction of the labeled images only, and test on some of them if a part is held out.

    Args:
        share: of the labeled images, see :func:`ccrop.transfer.drawn_fraction`.
        held_out: part of these that replaces the val split, to choose settings by.

    Returns:
        How many images are trained on, and how many there are; None if the set is not in COCO's format.

    Raises:
        ValueError: no image is left to train on, or a fraction is requested of a set that is not in COCO's format.
    """
    dataset = config.train_dataloader.dataset
    if dataset.type != "CocoDataset":
        if share < 1 or held_out:
            raise ValueError(
                f"a fraction of the labels can be drawn only from a COCO-format set, not from {dataset.type}"
            )
        return None
    number = len(DATASETS.build(dict(dataset, pipeline=[], _scope_="mmdet")))
    chosen = drawn_fraction(range(number), share, seed)
    if held_out:
        tested = drawn_fraction(chosen, held_out, seed + 1)
        _test_on(config, tested)
        chosen = sorted(set(chosen) - set(tested))
    if not chosen:
        raise ValueError(f"{share:.1%} of {number} images leaves none to train on")
    dataset.indices = chosen
    return len(chosen), number


def _test_on(config: Config, indices: Sequence[int]) -> None:
    train, test = config.train_dataloader.dataset, config.test_dataloader.dataset
    test.update(ann_file=train.ann_file, data_prefix=train.data_prefix, filter_cfg=train.filter_cfg, indices=indices)
    test.test_mode = False  # test mode keeps images without objects; otherwise, the indices would shift
    config.test_evaluator.ann_file = str(Path(train.data_root, train.ann_file))
