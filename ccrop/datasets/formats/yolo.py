"""YOLO's text labels: a line per object, in fractions of the image, with the classes in Ultralytics' data.yaml.

A line is ``class x y width height``, x and y of the center, or ``class x0 y0 x1 y1 ...`` for an outline, such
as an oriented box. Labels are in ``labels/`` if images are in ``images/``, or else next to the images.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from ccrop.datasets.base import InvalidAnnotations
from ccrop.datasets.formats.labeled import (
    LABEL_SUFFIXES,
    LabeledImage,
    LabeledObject,
    LabeledSplit,
    around,
    as_split,
    lines_of,
    numbers_of,
)
from ccrop.datasets.listing import list_images
from ccrop.datasets.reading import image_size, printable

SPLITS = ("train", "val", "test")
CLASS_FILES = ("classes.txt", "obj.names")  # of Label Studio, of Darknet
OTHER_FILES = (*CLASS_FILES, *(f"{split}.txt" for split in SPLITS))  # that are not labels


def read_yolo(source: Path, file: Path | None = None) -> dict[str, LabeledSplit]:
    """The splits of a set of Ultralytics, or of a folder with ``classes.txt``, ``images/`` and ``labels/``.

    Args:
        file: ``data.yaml`` or ``classes.txt``; default: the one in ``source``.

    Raises:
        MissingData, InvalidAnnotations: see :func:`ccrop.datasets.formats.read_labeled`.
    """
    file = file or class_file(source)
    if file is None:
        raise InvalidAnnotations(source, "it has no data.yaml and no classes.txt, which list the classes")
    if file.suffix == ".txt" or file.name in CLASS_FILES:
        return {"train": _read_split([source], [text for _, text in lines_of(file)], file)}
    settings = _settings(file)
    classes = _classes(settings, file)
    splits: dict[str, LabeledSplit] = {}
    for split in SPLITS:
        places = settings.get(split) or (settings.get("valid") if split == "val" else None) or []
        found = {
            str(place): _find(place, settings, file) for place in ([places] if isinstance(places, str) else places)
        }
        if split == "test" and splits and found and not any(found.values()):  # Roboflow lists one that it never wrote
            note = f"the split test, as there is no {printable(' and no '.join(found))} (left out)"
            next(iter(splits.values())).annotations.repaired.append(note)
        elif found:
            splits[split] = _read_split(_all_found(found, settings, file, split), classes, file)
    if not splits:
        raise InvalidAnnotations(file, "it lists no images: add a line such as train: images/train")
    return splits


def class_file(folder: Path) -> Path | None:
    """The file in a folder that lists YOLO's classes; None if there is none, or the YAML is for something else."""
    for file in sorted((*folder.glob("*.yaml"), *folder.glob("*.yml"))):
        text = file.read_text(encoding="utf-8", errors="replace")
        if any(line.startswith("names") for line in text.splitlines()):
            return file
    return next((folder / name for name in CLASS_FILES if (folder / name).is_file()), None)


def _settings(file: Path) -> dict[str, Any]:
    try:
        settings = yaml.safe_load(file.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise InvalidAnnotations(file, f"it is not valid YAML ({' '.join(str(error).split())})") from error
    if not isinstance(settings, dict):
        raise InvalidAnnotations(file, "it has no settings such as train: and names:")
    return settings


def _classes(settings: dict[str, Any], file: Path) -> list[str]:
    names = settings.get("names")
    if isinstance(names, dict) and set(names) == set(range(len(names))):
        names = [names[number] for number in range(len(names))]
    if not isinstance(names, list) or not names:
        raise InvalidAnnotations(file, "names must be a list of the classes, or map numbers from 0 to them")
    if str(settings.get("nc", len(names))) != str(len(names)):
        raise InvalidAnnotations(file, f"nc is {settings['nc']}, but names has {len(names)}: correct one of them")
    return _distinct(list(map(str, names)), file)


def _distinct(names: list[str], file: Path) -> list[str]:
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InvalidAnnotations(file, f"two classes have the name {twice}: give each its own")
    return names


def _find(place: str, settings: dict[str, Any], file: Path) -> Path | None:
    """A folder or image list, which is relative to ``path``, to the file, or to its parent; None if there is none.

    Roboflow writes ``../train/images`` where it means ``train/images``.
    """
    tries = [root / name for root in _roots(settings, file) for name in (place, str(place).removeprefix("../"))]
    return next((each.resolve() for each in tries if each.exists()), None)


def _roots(settings: dict[str, Any], file: Path) -> list[Path]:
    return list(dict.fromkeys([file.parent / str(settings.get("path") or ""), file.parent]))


def _all_found(found: dict[str, Path | None], settings: dict[str, Any], file: Path, split: str) -> list[Path]:
    gone = next((place for place, path in found.items() if path is None), None)
    if gone is not None:
        roots = " nor in ".join(map(str, _roots(settings, file)))
        raise InvalidAnnotations(file, f"{split}: {printable(gone)} is not in {roots}: correct path:")
    return [path for path in found.values() if path is not None]


def _read_split(places: Sequence[Path], classes: Sequence[str], file: Path) -> LabeledSplit:
    _distinct(list(classes), file)
    paths = [path for place in places for path in _images(place)]
    if not paths:
        raise InvalidAnnotations(file, f"there are no images in {' and '.join(map(str, places))}")
    folder = Path(os.path.commonpath([path.parent for path in paths]))
    images = [_read_image(path, str(path.relative_to(folder)), classes) for path in paths]
    taken = {image.labels for image in images}
    beside = {labels_of(path).parent for path in paths}
    loose = sum(each not in taken for each in _label_files(beside))
    notes = [f"{loose} label files without an image (left out)"] if loose else []
    return as_split(file, folder, images, classes, notes)


def _images(place: Path) -> list[Path]:
    """The images of a folder, or those listed in a text file, relative to it or to a parent folder.

    CVAT writes ``data/`` before them.
    """
    if place.is_dir():
        return [place / name for name in list_images(place, beside=LABEL_SUFFIXES)]
    paths = []
    for number, line in lines_of(place):
        roots = (place.parent, *place.parent.parents[:2])
        tries = [root / name for root in roots for name in (line, line.removeprefix("data/"))]
        path = next((each for each in tries if each.is_file()), None)
        if path is None:
            raise InvalidAnnotations(f"{place}, line {number}", f"there is no image {printable(line)}")
        paths.append(path)
    return paths


def _label_files(folders: set[Path]) -> list[Path]:
    """Label files in folders, without text files that list classes or images."""
    return [file for folder in folders for file in folder.glob("*.txt") if file.name not in OTHER_FILES]


def labels_of(image: Path) -> Path:
    """The label file of an image: in ``labels`` instead of the last ``images`` on its path, or next to the image."""
    parts = list(image.with_suffix(".txt").parts)
    for place in range(len(parts) - 2, -1, -1):
        if parts[place] == "images":
            parts[place] = "labels"
            break
    mapped = Path(*parts)
    return mapped if mapped.is_file() else image.with_suffix(".txt")


def _read_image(path: Path, name: str, classes: Sequence[str]) -> LabeledImage:
    size, labels = image_size(path), labels_of(path)
    if not labels.is_file():
        return LabeledImage(name, size, None, [])
    objects = [_read_line(line, size, classes, labels, number) for number, line in lines_of(labels)]
    return LabeledImage(name, size, labels, objects)


def _read_line(text: str, size: tuple[int, int], classes: Sequence[str], file: Path, line: int) -> LabeledObject:
    fields = text.split()
    number, *values = numbers_of(fields, file, line)
    if number not in range(len(classes)):
        raise InvalidAnnotations(
            f"{file}, line {line}",
            f"class {fields[0]} is not one of the {len(classes)} named classes, numbered from 0: name it, or correct "
            "the line",
        )
    width, height = size
    category = classes[int(number)]
    if len(values) == 4:
        x, y, w, h = values
        return LabeledObject(((x - w / 2) * width, (y - h / 2) * height, w * width, h * height), category, line)
    if len(values) < 6 or len(values) % 2:
        raise InvalidAnnotations(
            f"{file}, line {line}",
            f"it has {len(fields)} values: a box has 5 (class x y width height), an outline 7 or more (class and two "
            "per corner)",
        )
    outline = tuple(value * (height if place % 2 else width) for place, value in enumerate(values))
    return LabeledObject(around(outline), category, line, outline)
