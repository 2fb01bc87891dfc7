"""Reading COCO-format annotation files: what can be repaired in memory is repaired and counted; the rest is refused."""

import json
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, TypedDict

from ccrop.datasets.base import InvalidAnnotations
from ccrop.datasets.coco_geometry import count_repeated, repair_areas, repair_boxes, repair_sizes
from ccrop.datasets.listing import list_images
from ccrop.datasets.reading import ARRAY_SUFFIX, IMAGE_SUFFIXES, printable

BYTE_ORDER_MARK = "\ufeff"
LARGEST_ID = 2**53  # pycocotools keeps ids in float64


class Category(TypedDict):
    """The used part of COCO's ``categories``."""

    id: int
    name: str


OBJECT = Category(id=1, name="object")  # the only category if categories do not matter


class Annotations(NamedTuple):
    """The content of an annotation file.

    Attributes:
        content: ``images``, ``annotations`` and ``categories`` as COCO defines them. Ids are positive integers and
            unique; sizes are those of the files; every annotation has a finite ``bbox`` with an area inside its image,
            an ``area`` in pixels, ``iscrowd``, and a listed category and image.
        repaired: what differs from the file, each with its count; empty if the content is the file's own.
        doubtful: what is probably wrong and was not changed, each with its count.
    """

    content: dict[str, list[dict[str, Any]]]
    repaired: list[str]
    doubtful: Sequence[str] = ()

    def note(self, file: Path) -> str:
        """What was repaired and what is doubtful, in one line for the log; empty if nothing is."""
        parts = [f"repaired in memory: {'; '.join(self.repaired)}"] if self.repaired else []
        return f"{file}: {'; '.join([*parts, *self.doubtful])}" if parts or self.doubtful else ""


def read_annotations(
    file: Path,
    root: Path,
    folder: Path | None = None,
    agnostic: bool = False,
    numbered_by: Path | None = None,
) -> Annotations:
    """The content of a COCO-format file.

    Args:
        root: of the data set.
        folder: of the images, relative to ``root``; None if there are no images, so that neither names nor sizes
            are compared with them.
        agnostic: all objects get the single category :data:`OBJECT`.
        numbered_by: the training split's annotation file, whose categories and ids are used, matched by name.

    Raises:
        InvalidAnnotations: names the file, what is wrong with it and what to do.
    """
    content, repaired = _parsed(file)
    doubtful = count_repeated(content["annotations"])
    if numbered_by is None or agnostic:
        repaired += _number_categories(content, file, agnostic)
    else:
        repaired += _number_by(content, file, numbered_by)
    repaired += _number_images(content, file)
    repaired += _number_annotations(content)
    if folder is not None:
        repaired += _find_files(content["images"], file, root, folder)
    repaired += repair_sizes(content, file, None if folder is None else Path(root, folder))
    repaired += repair_boxes(content, file)
    repaired += repair_areas(content["annotations"])
    return Annotations(content, repaired, doubtful)


def image_names(file: Path) -> list[str]:
    """The file names of a COCO-format file's images, unchanged.

    Raises:
        InvalidAnnotations: see :func:`read_annotations`.
    """
    return [str(image["file_name"]) for image in _parsed(file)[0]["images"]]


def _parsed(file: Path) -> tuple[dict[str, Any], list[str]]:
    """The three lists of a file, each of dicts, and what was repaired.

    If there is no list of categories and the annotations do not have two, all are :data:`OBJECT`.
    """
    repaired = []
    try:
        text = file.read_text(encoding="utf-8")
        if text.startswith(BYTE_ORDER_MARK):
            repaired.append("a byte order mark before the text")
        content = json.loads(text.removeprefix(BYTE_ORDER_MARK))
    except OSError as error:
        raise InvalidAnnotations(file, f"it cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:  # not JSON, or not UTF-8
        raise InvalidAnnotations(file, f"it is not valid JSON ({error}): export or copy it again") from error
    lists = content if isinstance(content, dict) else {}
    missing = [name for name in ("images", "annotations") if not isinstance(lists.get(name), list)]
    if missing:
        raise InvalidAnnotations(file, f"it has no list {' and no list '.join(missing)}, which COCO's format requires")
    if not isinstance(lists.get("categories"), list):
        lists["categories"] = []
        named = {_key(each.get("category_id")) for each in lists["annotations"] if isinstance(each, dict)} - {"None"}
        if len(named) < 2:
            for each in filter(lambda entry: isinstance(entry, dict), lists["annotations"]):
                each["category_id"] = OBJECT["id"]
            lists["categories"] = [OBJECT]
            repaired.append("no list of categories (all objects get the same one)")
    unnamed = [each for each in lists["images"] if isinstance(each, dict) and not each.get("file_name")]
    for each in filter(lambda image: isinstance(image.get("coco_url"), str), unnamed):  # LVIS
        each["file_name"] = "/".join(each["coco_url"].split("/")[-2:])
    for name, needed in (("images", ("id", "file_name")), ("annotations", ("image_id",)), ("categories", ("id",))):
        for number, entry in enumerate(lists[name]):
            absent = [key for key in needed if not isinstance(entry, dict) or entry.get(key) in (None, "")]
            if absent:
                raise InvalidAnnotations(file, f"entry {number} of its list {name} has no {' and no '.join(absent)}")
    for number, image in enumerate(lists["images"]):
        if not isinstance(image["file_name"], str):
            raise InvalidAnnotations(file, f"entry {number} of its list images has a file_name that is not text")
    return lists, repaired


def _key(identity: Any) -> str:
    """An id as text, so that 7, 7.0 and "7" are the same."""
    return str(int(identity)) if isinstance(identity, float) and identity.is_integer() else str(identity)


def _is_id(identity: Any) -> bool:
    return type(identity) is int and 0 <= identity < LARGEST_ID


def _ids(entries: Sequence[dict[str, Any]]) -> dict[str, int]:
    """A number for each id: its own if all are integers that pycocotools can hold, else numbered from 1."""
    if all(_is_id(entry["id"]) for entry in entries):
        return {_key(entry["id"]): entry["id"] for entry in entries}
    return {_key(entry["id"]): number for number, entry in enumerate(entries, 1)}


def _first_repeated(keys: Iterable[Any]) -> Any:
    """The first value that occurs again, or None."""
    return next((key for key, number in Counter(keys).items() if number > 1), None)


def _number_categories(content: dict[str, Any], file: Path, agnostic: bool) -> list[str]:
    if agnostic:
        content["categories"] = [OBJECT]
        content["annotations"] = [each | dict(category_id=OBJECT["id"]) for each in content["annotations"]]
        return []
    categories, annotations = content["categories"], content["annotations"]
    repeated = _first_repeated(_key(each["id"]) for each in categories)
    if repeated is not None:
        names = [each.get("name") for each in categories if _key(each["id"]) == repeated]
        raise InvalidAnnotations(file, f"it lists category id {repeated} more than once, as {names}: give each its own")
    unnamed = [each for each in categories if not isinstance(each.get("name"), str)]
    for each in unnamed:
        each["name"] = str(each.get("name", each["id"]))
    numbers = _ids(categories)
    strangers = sorted({_key(each.get("category_id")) for each in annotations} - numbers.keys())
    if strangers:
        raise InvalidAnnotations(
            file, f"its annotations use the unlisted categories {strangers[:5]}: add them to its list"
        )
    repaired = [f"{len(unnamed)} categories without a name (named after their ids)"] if unnamed else []
    changed = sum(type(each["category_id"]) is not int for each in annotations)
    if any(not _is_id(each["id"]) for each in categories):
        repaired.append(f"{len(categories)} category ids that are not integers (renumbered from 1)")
    elif changed:
        repaired.append(f"{changed} category ids of annotations that are not integers")
    _renumber(categories, "id", numbers)
    _renumber(annotations, "category_id", numbers)
    return repaired + _leave_out_namesakes(content, file)


def _leave_out_namesakes(content: dict[str, Any], file: Path) -> list[str]:
    """Names tell categories apart: of those with the same one, only that with objects stays.

    Raises:
        InvalidAnnotations: several of them have objects.
    """
    used = {each["category_id"] for each in content["annotations"]}
    kept: dict[str, dict[str, Any]] = {}
    for each in content["categories"]:
        other = kept.setdefault(each["name"], each)
        if other is each or each["id"] not in used:
            continue
        if other["id"] in used:
            raise InvalidAnnotations(
                file,
                f"it has objects of two categories {printable(each['name'])}, with the ids {other['id']} and "
                f"{each['id']}: rename one, or give their objects the same id",
            )
        kept[each["name"]] = each
    left_out = len(content["categories"]) - len(kept)
    content["categories"] = [each for each in content["categories"] if kept[each["name"]] is each]
    return [f"{left_out} categories without objects that have the name of another (left out)"] if left_out else []


def _number_by(content: dict[str, Any], file: Path, training: Path) -> list[str]:
    """Give a split the categories of the training split: unchanged if ids and names agree, else matched by name."""
    listed = _listed_categories(training, training.stat().st_mtime_ns)
    pairs = [(_key(each["id"]), each.get("name")) for each in content["categories"]]
    theirs = [(_key(number), name) for number, name in listed]
    repaired = []
    if pairs != theirs:
        repaired = [
            f"{len(pairs)} categories where {training.name} has {len(listed)} (its list and numbering are used)"
        ]
    if set(pairs) <= set(theirs):
        content["categories"] = [dict(id=number, name=name) for number, name in listed]
        return repaired + _number_categories(content, file, agnostic=False)
    repaired += _number_categories(content, file, agnostic=False)
    numbers = {name: number for number, name in reversed(listed)}
    used = {each["category_id"] for each in content["annotations"]}
    names = {each["id"]: each["name"] for each in content["categories"] if each["id"] in used}
    unknown = [name for name in names.values() if name not in numbers]
    if unknown:
        raise InvalidAnnotations(
            file,
            f"it has objects of the categories {unknown[:5]}, which {training} does not list: classes are numbered "
            "as in the training split, so add them there or remove them here",
        )
    for each in content["annotations"]:
        each["category_id"] = numbers[names[each["category_id"]]]
    content["categories"] = [dict(id=number, name=name) for number, name in listed]
    return repaired


@lru_cache(maxsize=4)
def _listed_categories(file: Path, _changed: int) -> tuple[tuple[int, str], ...]:
    """Ids and names of a file's categories, read once unless the file changes."""
    content, _ = _parsed(file)
    _number_categories(content, file, agnostic=False)
    return tuple((each["id"], each["name"]) for each in content["categories"])


def _number_images(content: dict[str, Any], file: Path) -> list[str]:
    images, annotations = content["images"], content["annotations"]
    distinct = {(_key(each["id"]), str(each["file_name"])): each for each in images}
    repaired = [f"{len(images) - len(distinct)} images listed twice"] if len(distinct) < len(images) else []
    images = content["images"] = list(distinct.values())
    repeated = _first_repeated(key for key, _ in distinct)
    if repeated is not None:
        names = [name for key, name in distinct if key == repeated]
        raise InvalidAnnotations(
            file,
            f"image id {repeated} belongs to both {printable(names[0])} and {printable(names[1])}, as in merged "
            "exports: their boxes cannot be told apart, so give each image its own id before merging",
        )
    repeated = _first_repeated(name for _, name in distinct)
    if repeated is not None:
        keys = [key for key, name in distinct if name == repeated]
        raise InvalidAnnotations(
            file, f"{printable(repeated)} is listed under the image ids {' and '.join(keys)}: keep one entry"
        )
    numbers = _ids(images)
    strangers = [each for each in annotations if _key(each["image_id"]) not in numbers]
    if strangers:
        first = strangers[0]
        raise InvalidAnnotations(
            file,
            f"{len(strangers)} annotations belong to images that it does not list, the first, {first.get('id')}, "
            f"to image {first['image_id']}: list the images, or remove the annotations",
        )
    if any(not _is_id(each["id"]) for each in images):
        repaired.append(f"{len(images)} image ids that are not integers below 2^53 (renumbered from 1)")
    elif changed := sum(type(each["image_id"]) is not int for each in annotations):
        repaired.append(f"{changed} image ids of annotations that are not integers")
    _renumber(images, "id", numbers)
    _renumber(annotations, "image_id", numbers)
    return repaired


def _renumber(entries: Sequence[dict[str, Any]], name: str, numbers: dict[Any, int]) -> None:
    """Replace ids by numbers, in place."""
    for each in entries:
        each[name] = numbers[_key(each[name])]


def _number_annotations(content: dict[str, Any]) -> list[str]:
    """Ids that are unique and not 0, which pycocotools takes for no match; ``iscrowd`` as 0 or 1."""
    annotations, repaired = content["annotations"], []
    ids = [each.get("id") for each in annotations]
    if not all(_is_id(each) and each > 0 for each in ids) or len(set(ids)) < len(ids):
        repaired.append(
            f"{len(ids)} annotation ids of which some are missing, 0, repeated or not integers (renumbered)"
        )
        for number, each in enumerate(annotations, 1):
            each["id"] = number
    missing = sum(each.get("iscrowd") not in (0, 1) for each in annotations)
    if missing:
        repaired.append(f"{missing} annotations without an iscrowd of 0 or 1 (set to 0)")
    for each in annotations:
        each["iscrowd"] = int(each.get("iscrowd") == 1)
    return repaired


def _find_files(images: Sequence[dict[str, Any]], file: Path, root: Path, folder: Path) -> list[str]:
    """Name images by their path in the folder, even if it has a prefix or backslashes.

    Images that are in no folder keep their name, and reading them fails, which the data sets count.

    Raises:
        InvalidAnnotations: an image is outside ``root``, or all are absent.
    """
    present = set(list_images(Path(root, folder), suffixes=(*IMAGE_SUFFIXES, ARRAY_SUFFIX), beside=(".json",)))
    lost, repaired = [], 0
    for image in images:
        name = str(image["file_name"])
        found = _found(name, root, folder, present)
        if found is None:
            _refuse_outside(name, file, root, folder)
            lost.append(name)
        elif found != image["file_name"]:
            image["file_name"], repaired = found, repaired + 1
    if images and len(lost) == len(images):
        raise InvalidAnnotations(
            file, f"none of its {len(images)} images is in {Path(root, folder)}, the first is {printable(lost[0])}"
        )
    return [f"{repaired} file names that are not relative to {folder}"] if repaired else []


def _found(name: str, root: Path, folder: Path, present: set[str]) -> str | None:
    """The name of an image in the folder, with as few leading folders left out as it takes; None if it is absent."""
    if name in present:
        return name
    whole = os.path.normpath(Path(root, folder, name))
    if _within(whole, root):
        relative = os.path.relpath(whole, Path(root, folder))
        if relative in present or (relative.startswith("..") and os.path.isfile(whole)):
            return relative
    parts = name.replace("\\", "/").split("/")
    if ".." in parts or os.path.isabs(name):
        return None
    tails = ("/".join(parts[start:]) for start in range(len(parts)))
    return next((tail for tail in tails if tail in present), None)


def _within(path: str, root: Path) -> bool:
    return os.path.abspath(path).startswith(os.path.join(os.path.abspath(root), ""))


def _refuse_outside(name: str, file: Path, root: Path, folder: Path) -> None:
    if not _within(os.path.normpath(Path(root, folder, name.replace("\\", "/"))), root):
        raise InvalidAnnotations(
            file,
            f"the image {printable(name)} is outside {root}: give file names relative to {Path(root, folder)}, and "
            "link folders from elsewhere into it",
        )
