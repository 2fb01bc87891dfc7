"""DOTA: ``images/`` and ``labelTxt*/``, one line per object with four corners, category and difficulty.

Xia et al., DOTA: A Large-scale Dataset for Object Detection in Aerial Images, CVPR 2018. An oriented box becomes the
axis-aligned one around it and keeps its outline; difficult objects become crowds, which its evaluation ignores as well.
"""

from collections.abc import Mapping
from pathlib import Path

from ccrop.datasets.base import InvalidAnnotations
from ccrop.datasets.formats.labeled import (
    LabeledImage,
    LabeledObject,
    LabeledSplit,
    around,
    as_split,
    images_by_stem,
    lines_of,
    numbers_of,
)
from ccrop.datasets.formats.splits import by_split, split_folders
from ccrop.datasets.reading import image_size

HEADERS = ("imagesource", "gsd")


def has_dota(folder: Path) -> bool:
    """Whether a folder has ``images/`` and text files in ``labelTxt*/``."""
    return (folder / "images").is_dir() and any(folder.glob("labelTxt*/**/*.txt"))


def read_dota(source: Path) -> dict[str, LabeledSplit]:
    """The splits of DOTA in any version; the folder may itself be a split.

    Raises:
        MissingData, InvalidAnnotations: see :func:`ccrop.datasets.formats.read_labeled`.
    """
    folders = by_split(source, split_folders(source, has_dota))
    read = {split: _read_images(folder) for split, folder in folders.items()}
    every = [each for images, _ in read.values() for image in images for each in image.objects]
    classes = sorted({each.category for each in every if each.category is not None})
    return {
        split: as_split(folder, folder / "images", read[split][0], classes, read[split][1])
        for split, folder in folders.items()
    }


def _read_images(folder: Path) -> tuple[list[LabeledImage], list[str]]:
    """The labeled images of a split, and notes on its files."""
    names = _by_name(images_by_stem(folder / "images"), folder)
    files: dict[str, Path] = {}
    for file in sorted(folder.glob("labelTxt*/**/*.txt")):
        if file.stem in files:
            raise InvalidAnnotations(
                folder,
                f"it has labels for {file.stem} in both {files[file.stem].parent} and {file.parent}: keep one version",
            )
        files[file.stem] = file
    images = []
    for stem, name in names.items():
        labels = files.pop(stem, None)
        objects = [] if labels is None else [_read_line(text, labels, line) for line, text in _objects(labels)]
        images.append(LabeledImage(name, image_size(folder / "images" / name), labels, objects))
    return images, [f"{len(files)} label files without an image (left out)"] if files else []


def _by_name(images: Mapping[str, str], folder: Path) -> dict[str, str]:
    """Images by file name only: DOTA's parts have their own folders, which its labels do not repeat."""
    found: dict[str, str] = {}
    for stem, image in images.items():
        name = Path(stem).name
        if name in found:
            raise InvalidAnnotations(
                folder, f"{found[name]} and {image} share one label file: give each image its own name"
            )
        found[name] = image
    return found


def _objects(file: Path) -> list[tuple[int, str]]:
    """The lines that describe objects, without those for the image's source and ground sampling distance."""
    return [(number, text) for number, text in lines_of(file) if text.partition(":")[0].lower() not in HEADERS]


def _read_line(text: str, file: Path, line: int) -> LabeledObject:
    fields = text.split()
    if len(fields) != 10 or fields[9] not in ("0", "1", "2"):
        raise InvalidAnnotations(
            f"{file}, line {line}", "it is not x0 y0 x1 y1 x2 y2 x3 y3 category difficulty, with a difficulty of 0 to 2"
        )
    corners = tuple(numbers_of(fields[:8], file, line))
    return LabeledObject(around(corners), fields[8], line, corners, ignored=fields[9] != "0")
