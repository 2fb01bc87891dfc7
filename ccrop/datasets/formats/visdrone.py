"""VisDrone-DET: ``images/`` and ``annotations/``, one line ``left,top,width,height,score,category,...`` per object.

Zhu et al., Detection and Tracking Meet Drones Challenge, TPAMI 2021. A score of 0, ignored regions (category 0) and
"others" (11) do not count in its evaluation: they become crowds of every category.
"""

from pathlib import Path

from ccrop.datasets.base import InvalidAnnotations
from ccrop.datasets.formats.labeled import (
    LabeledImage,
    LabeledObject,
    LabeledSplit,
    as_split,
    images_by_stem,
    lines_of,
    numbers_of,
    stem_of,
)
from ccrop.datasets.formats.splits import by_split, split_folders
from ccrop.datasets.reading import image_size

CLASSES = (
    *("pedestrian", "people", "bicycle", "car", "van"),
    *("truck", "tricycle", "awning-tricycle", "bus", "motor"),
)
IGNORED = (0, 11)
FIELDS = (6, 7, 8)  # truncation and occlusion may be missing


def has_visdrone(folder: Path) -> bool:
    """Whether a folder has ``images/`` and text files in ``annotations/``."""
    return (folder / "images").is_dir() and any((folder / "annotations").glob("**/*.txt"))


def read_visdrone(source: Path) -> dict[str, LabeledSplit]:
    """The splits of VisDrone-DET; the folder may itself be a split.

    Raises:
        MissingData, InvalidAnnotations: see :func:`ccrop.datasets.formats.read_labeled`.
    """
    folders = by_split(source, split_folders(source, has_visdrone))
    return {split: _read_split(folder) for split, folder in folders.items()}


def _read_split(folder: Path) -> LabeledSplit:
    images, labels = folder / "images", folder / "annotations"
    names = images_by_stem(images)
    labeled = [_read_image(images, name, labels / f"{stem}.txt") for stem, name in names.items()]
    loose = sum(stem_of(str(file.relative_to(labels))) not in names for file in labels.glob("**/*.txt"))
    notes = [f"{loose} label files without an image (left out)"] if loose else []
    return as_split(labels, images, labeled, CLASSES, notes)


def _read_image(images: Path, name: str, file: Path) -> LabeledImage:
    size = image_size(images / name)
    if not file.is_file():
        return LabeledImage(name, size, None, [])
    return LabeledImage(name, size, file, [_read_line(text, file, line) for line, text in lines_of(file)])


def _read_line(text: str, file: Path, line: int) -> LabeledObject:
    fields = text.rstrip(",").split(",")
    if len(fields) not in FIELDS:
        raise InvalidAnnotations(
            f"{file}, line {line}",
            f"it has {len(fields)} values, not left,top,width,height,score,category and two more",
        )
    left, top, width, height, score, category, *_ = numbers_of(fields, file, line)
    if score == 0 or category in IGNORED:
        return LabeledObject((left, top, width, height), None, line, ignored=True)
    if category not in range(1, len(CLASSES) + 1):
        raise InvalidAnnotations(f"{file}, line {line}", f"category {fields[5]} is not one of VisDrone's 0 to 11")
    return LabeledObject((left, top, width, height), CLASSES[int(category) - 1], line)
