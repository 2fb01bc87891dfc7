"""What the readers of formats have in common: labeled images, and their content in COCO's format."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ccrop.datasets.base import InvalidAnnotations
from ccrop.datasets.coco_annotations import Annotations
from ccrop.datasets.coco_geometry import count_repeated, repair_areas, repair_boxes, repair_sizes
from ccrop.datasets.listing import list_images

LABEL_SUFFIXES = (".txt", ".xml", ".json", ".yaml", ".yml", ".names", ".data")  # that formats put next to images


class LabeledObject(NamedTuple):
    """One object of a label file.

    Attributes:
        box: x, y, width, height in pixels.
        category: its name; None for a region that is ignored for every category.
        line: of the label file, counted from 1.
        outline: x0, y0, x1, y1, ... in pixels, if the format gives more than a box.
        ignored: neither found nor missed in an evaluation, like COCO's crowds.
    """

    box: tuple[float, float, float, float]
    category: str | None
    line: int
    outline: tuple[float, ...] = ()
    ignored: bool = False


class LabeledImage(NamedTuple):
    """An image with its objects.

    Attributes:
        name: relative to the folder of the images.
        size: (width, height) in pixels that the boxes refer to.
        labels: the file that has the objects; None if the image has none.
    """

    name: str
    size: tuple[int, int]
    labels: Path | None
    objects: Sequence[LabeledObject]


class LabeledSplit(NamedTuple):
    """The images of a split and what is annotated on them.

    Attributes:
        source: the file or folder of the labels, for messages.
        folder: of the images; ``file_name`` is relative to it.
        annotations: checked like those of a COCO-format file.
    """

    source: Path
    folder: Path
    annotations: Annotations


def as_split(
    source: Path, folder: Path, images: Sequence[LabeledImage], classes: Sequence[str], notes: Sequence[str] = ()
) -> LabeledSplit:
    """A split in COCO's terms, its sizes, boxes and areas checked and repaired like those of a COCO-format file.

    Args:
        classes: numbered from 1.
        notes: what was repaired before.

    Raises:
        InvalidAnnotations: no image has a label file, or too many boxes are wrong; names the
            file and line of the first.
    """
    unlabeled = sum(image.labels is None for image in images)
    if unlabeled == len(images):
        raise InvalidAnnotations(source, f"none of the {unlabeled} images in {folder} has a label file")
    content = _content(images, classes)
    repaired = [*notes, *([f"{unlabeled} images without a label file (no objects)"] if unlabeled else [])]
    doubtful = count_repeated(content["annotations"])
    repaired += repair_sizes(content, source, folder)
    repaired += repair_boxes(content, source)
    repair_areas(content["annotations"])  # which have none yet
    for each in content["annotations"]:
        del each["place"]
    return LabeledSplit(source, folder, Annotations(content, repaired, doubtful))


def _content(images: Iterable[LabeledImage], classes: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    """Lists of COCO's format; an annotation's ``place`` is its file and line."""
    numbers = {name: number for number, name in enumerate(classes, 1)}
    content: dict[str, list[dict[str, Any]]] = dict(
        images=[], annotations=[], categories=[dict(id=number, name=name) for name, number in numbers.items()]
    )
    for image_id, image in enumerate(images, 1):
        width, height = image.size
        content["images"].append(dict(id=image_id, file_name=image.name, width=width, height=height))
        for each in image.objects:
            for category in numbers.values() if each.category is None else [numbers[each.category]]:
                content["annotations"].append(
                    dict(
                        id=len(content["annotations"]) + 1,
                        image_id=image_id,
                        category_id=category,
                        bbox=list(each.box),
                        iscrowd=int(each.ignored),
                        place=f"{image.labels}, line {each.line}",
                    )
                    | (dict(segmentation=[list(each.outline)]) if each.outline else {})
                )
    return content


def numbers_of(fields: Sequence[str], file: Path, line: int) -> list[float]:
    """Fields of a line as finite numbers.

    Raises:
        InvalidAnnotations: one is not; names file and line.
    """
    numbers = []
    for field in fields:
        try:
            numbers.append(float(field))
        except ValueError:
            numbers.append(math.nan)
        if not math.isfinite(numbers[-1]):
            raise InvalidAnnotations(
                f"{file}, line {line}", f"{field!r} is not a number: correct the line or remove it"
            )
    return numbers


def around(outline: Sequence[float]) -> tuple[float, float, float, float]:
    """The axis-aligned box x, y, width, height around an outline x0, y0, x1, y1, ..."""
    x, y = outline[::2], outline[1::2]
    return min(x), min(y), max(x) - min(x), max(y) - min(y)


def lines_of(file: Path) -> list[tuple[int, str]]:
    """Numbers, counted from 1, and text of the non-blank lines of a label file.

    Raises:
        InvalidAnnotations: the file is not text, or cannot be read.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InvalidAnnotations(file, f"it cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise InvalidAnnotations(file, "it is not UTF-8 text: save it as UTF-8") from error
    return [(number, line.strip()) for number, line in enumerate(text.splitlines(), 1) if line.strip()]


def images_by_stem(folder: Path) -> dict[str, str]:
    """The images under a folder, relative to it, by their paths without the suffix.

    Raises:
        InvalidAnnotations: two images differ only in their suffix, so that a label file could belong to either.
    """
    names = list_images(folder, beside=LABEL_SUFFIXES)
    stems = Counter(stem_of(name) for name in names)
    twice = next((stem for stem, number in stems.items() if number > 1), None)
    if twice is not None:
        kinds = [name for name in names if stem_of(name) == twice]
        raise InvalidAnnotations(folder, f"{' and '.join(kinds)} share one label file: give each image its own name")
    return {stem_of(name): name for name in names}


def stem_of(name: str) -> str:
    """A path without its suffix, with slashes."""
    return Path(name).with_suffix("").as_posix()
