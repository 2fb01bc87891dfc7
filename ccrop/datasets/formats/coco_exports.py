"""COCO-format files as exported by tools: one or several files, with images anywhere."""

import os
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from ccrop.datasets.base import InvalidAnnotations, spread
from ccrop.datasets.coco_annotations import image_names, read_annotations
from ccrop.datasets.formats.labeled import LABEL_SUFFIXES, LabeledSplit
from ccrop.datasets.formats.splits import split_of
from ccrop.datasets.listing import list_images
from ccrop.datasets.reading import printable

PROBED = 200  # images by which their folder is found
KEYS = (b'"images"', b'"annotations"')


def coco_files(source: Path) -> list[Path]:
    """The COCO-format files of a folder: ``*.json``, ``annotations/*.json`` or ``SPLIT/*.json``, the first that exist.

    Of several in ``annotations/``, those named ``instances_*`` count if there are some: captions and keypoints have
    files of their own.
    """
    for pattern in ("*.json", "annotations/*.json", "*/*.json"):
        files = [file for file in sorted(source.glob(pattern)) if _is_coco(file)]
        if files:
            return [file for file in files if file.name.startswith("instances_")] or files
    return []


def _is_coco(file: Path) -> bool:
    content = file.read_bytes()
    return all(key in content for key in KEYS)


def read_coco(source: Path, file: Path | None = None) -> dict[str, LabeledSplit]:
    """The splits of the COCO-format files in a folder, or of one file.

    Args:
        source: a folder with all images.
        file: one that is anywhere; default: those of :func:`coco_files`.

    Raises:
        MissingData, InvalidAnnotations: see :func:`ccrop.datasets.formats.read_labeled`.
    """
    files: dict[str, Path] = {}
    for each in [file] if file else coco_files(source):
        split = split_of(str(each.relative_to(source)) if each.is_relative_to(source) else each.name)
        if split in files:
            raise InvalidAnnotations(
                source, f"{files[split]} and {each} both belong to split {split}: pass one with --ann-file"
            )
        files[split] = each
    if not files:
        raise InvalidAnnotations(source, "it holds no JSON file with images and annotations, as in COCO's format")
    present = list_images(source, beside=LABEL_SUFFIXES)
    training = files.get("train")
    splits = {
        split: _read_split(source, each, split, present, None if each == training else training)
        for split, each in files.items()
    }
    return _without_placeholder(splits)


def _read_split(source: Path, file: Path, split: str, present: list[str], training: Path | None) -> LabeledSplit:
    folder = _images_folder(source, file, split, present)
    found = read_annotations(file, source, folder, numbered_by=training)
    if any(image["file_name"].startswith("..") for image in found.content["images"]):
        for image in found.content["images"]:
            image["file_name"] = os.path.normpath(folder / image["file_name"])
        folder = Path()
    content, lost = _without_missing(found.content, source / folder)
    return LabeledSplit(file, source / folder, found._replace(content=content, repaired=[*found.repaired, *lost]))


def _images_folder(source: Path, file: Path, split: str, present: list[str]) -> Path:
    """The folder below ``source`` to which the names of a file's images are relative.

    The one in which most are found; among several, the file's own folder, then the one named like the split.

    Raises:
        InvalidAnnotations: two candidates remain.
    """
    names = image_names(file)
    names = [names[index].replace("\\", "/") for index in spread(len(names), PROBED)]
    folders = {folder for name in present for folder in PurePosixPath(name).parents}
    known = set(present)

    def found(folder: PurePosixPath) -> tuple[int, bool, bool]:
        there = sum(os.path.normpath(folder / name) in known for name in names)
        named = any(part in (split, f"{split}2017") for part in folder.parts)
        return there, source / folder == file.parent, named

    best, *others = sorted(folders, key=found, reverse=True) or [PurePosixPath()]
    if others and found(others[0]) == found(best) and found(best)[0]:
        raise InvalidAnnotations(
            file,
            f"its images could be in {printable(source / best)} or {printable(source / others[0])}: "
            "pass the right folder as the source, and the file with --ann-file",
        )
    return Path(best) if found(best)[0] else Path()


def _without_placeholder(splits: dict[str, LabeledSplit]) -> dict[str, LabeledSplit]:
    """The splits without the category that Roboflow puts first: without objects, the supercategory of all others."""
    contents = [each.annotations.content for each in splits.values()]
    placeholder = next(filter(None, (_placeholder(content["categories"]) for content in contents)), None)
    first = placeholder and placeholder["id"]
    if placeholder is None or any(
        each["category_id"] == first for content in contents for each in content["annotations"]
    ):
        return splits
    note = f"the category {placeholder['name']}, the parent of all others (left out)"
    for content in contents:
        content["categories"] = [each for each in content["categories"] if each["id"] != first]
    return {
        split: each._replace(annotations=each.annotations._replace(repaired=[*each.annotations.repaired, note]))
        for split, each in splits.items()
    }


def _placeholder(categories: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """The first category, if all others have it as their supercategory."""
    first, *others = categories or [{}]
    return first if others and all(each.get("supercategory") == first["name"] for each in others) else None


def _without_missing(content: dict[str, Any], folder: Path) -> tuple[dict[str, Any], list[str]]:
    """The content without missing images, and how many are missing."""
    images = [image for image in content["images"] if (folder / image["file_name"]).is_file()]
    missing = len(content["images"]) - len(images)
    if not missing:
        return content, []
    kept = {image["id"] for image in images}
    annotations = [each for each in content["annotations"] if each["image_id"] in kept]
    objects = len(content["annotations"]) - len(annotations)
    return content | dict(images=images, annotations=annotations), [
        f"{missing} missing images (left out with their {objects} objects)"
    ]
