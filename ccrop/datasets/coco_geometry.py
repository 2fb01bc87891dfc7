"""Sizes of images, boxes and areas of annotation files, compared with what they must be and corrected."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from ccrop.datasets.base import InvalidAnnotations, spread
from ccrop.datasets.reading import UnreadableImage, image_size, is_turned, printable

MEASURED = 1000  # images whose size is compared with the file's; if one differs, all are
TOLERATED = 0.01  # fraction of wrong boxes, though one is always tolerated
ROUNDING = 1.0  # pixels by which a box may leave its image
NEAR = 0.25  # fraction by which an area may be smaller than its mask's, whose outlines may overlap


def repair_sizes(content: dict[str, Any], file: Path, folder: Path | None) -> list[str]:
    """Give images the width and height of their files where the list differs.

    Up to :data:`MEASURED` files are checked, evenly spaced, in addition to those whose size is missing or whose
    boxes extend beyond the image; if one of them differs, all are.

    Args:
        folder: of the images; None if there are none, so that a size that is missing cannot be repaired.

    Raises:
        InvalidAnnotations: an image without a size cannot be measured, or its annotations refer to the image
            before it is rotated upright.
    """
    images = content["images"]
    doubtful = [number for number, image in enumerate(images) if not _is_size(image)]
    if folder is None:
        if doubtful:
            image = images[doubtful[0]]
            raise InvalidAnnotations(
                file, f"image {image['id']} has no width and height: add them, or put the images in their place"
            )
        return []
    leaving = {content["annotations"][number]["image_id"] for number in np.flatnonzero(_leaving(content))}
    doubtful += [number for number, image in enumerate(images) if image["id"] in leaving]
    looked_at = sorted({*doubtful, *spread(len(images), MEASURED)})
    changed = [number for number in looked_at if _measure(images[number], file, folder)]
    if changed:
        changed += [n for n in sorted(set(range(len(images))) - set(looked_at)) if _measure(images[n], file, folder)]
    return [f"{len(changed)} sizes of images that differ from the files'"] if changed else []


def repair_boxes(content: dict[str, Any], file: Path) -> list[str]:
    """Clip boxes that extend beyond their image, and drop invalid ones and those of which nothing remains.

    Boxes that extend beyond it by up to :data:`ROUNDING` pixels are kept unchanged.

    Raises:
        InvalidAnnotations: more than :data:`TOLERATED` of the boxes are wrong, and more than one; or all are fractions
            of their image.
    """
    annotations = content["annotations"]
    boxes, limits = box_array(annotations), _limits(content)
    if len(boxes) and np.all(boxes[:, :2] + boxes[:, 2:] <= 1) and not _flat(boxes).any() and np.all(limits > 2):
        raise InvalidAnnotations(
            file,
            f"all {len(boxes)} boxes lie within the first pixel of their image, as if they were fractions of it, the "
            f"first is {_place(annotations[0])}: {annotations[0]['bbox']}; a bbox is x, y, width, height in pixels: "
            "multiply them by the image's width and height",
        )
    wrong = _leaving(content) | _flat(boxes)
    if wrong.sum() > max(1, TOLERATED * len(boxes)):
        first = int(wrong.argmax())
        raise InvalidAnnotations(
            file,
            f"{int(wrong.sum())} of {len(boxes)} boxes have no area, extend beyond their image or are not four finite "
            f"numbers, the first is {_place(annotations[first])}: {annotations[first].get('bbox')} in an image of "
            f"{limits[first].astype(int).tolist()} pixels; a bbox is x, y, width, height in pixels: repair or remove "
            "them",
        )
    low = boxes[:, :2].clip(0, limits)
    sides = (boxes[:, :2] + boxes[:, 2:]).clip(0, limits) - low
    lost = _flat(boxes) | ~(sides > 0).all(axis=1)
    for number in np.flatnonzero(wrong & ~lost):
        annotations[number]["bbox"] = [*low[number].tolist(), *sides[number].tolist()]
    texts = [n for n, each in enumerate(annotations) if not lost[n] and not all(map(is_number, each["bbox"]))]
    for number in texts:
        annotations[number]["bbox"] = boxes[number].tolist()
    content["annotations"] = [each for each, gone in zip(annotations, lost, strict=True) if not gone]
    kinds = {
        "boxes without an area in their image (left out)": int(lost.sum()),
        "boxes that extend beyond their image (clipped)": int((wrong & ~lost).sum()),
        "boxes given as text (read as numbers)": len(texts),
    }
    return [f"{number} {kind}" for kind, number in kinds.items() if number]


def _place(annotation: dict[str, Any]) -> str:
    """Where an annotation is: its ``place`` in a file of another format than COCO's, or its id."""
    return f"in {annotation['place']}" if "place" in annotation else f"of annotation {annotation['id']}"


def count_repeated(annotations: Sequence[dict[str, Any]]) -> list[str]:
    """How many annotations have the image, the category and the box of an earlier one, as where exports were merged.

    They are kept: each still counts as an object, so that a detector is expected to find it twice.
    """
    keys = [
        (str(each["image_id"]), str(each.get("category_id")), *box)
        for each, box in zip(annotations, box_array(annotations).tolist(), strict=True)
        if all(map(math.isfinite, box))
    ]
    repeated = len(keys) - len(set(keys))
    return [f"{repeated} annotations repeat another's image, category and box (kept)"] if repeated else []


def repair_areas(annotations: Sequence[dict[str, Any]]) -> list[str]:
    """Give annotations the area of their mask, or else of their box, if theirs cannot be right.

    With a mask, it is between that of the mask and that of the box; without one, it is that of the box.
    """
    repaired = 0
    for each, (_, _, width, height) in zip(annotations, box_array(annotations).tolist(), strict=True):
        slack = width + height + 1  # of rasterized outlines
        area, box = each.get("area"), width * height
        if is_number(area) and abs(area - box) <= max(0.01 * box, min(1, 0.1 * box)) and area > 0:
            continue
        mask = mask_area(each.get("segmentation"))
        if not 0 < mask <= box + slack:
            mask = box
        elif is_number(area) and area > 0 and min((1 - NEAR) * mask, mask - slack) <= area <= box + slack:
            continue
        each["area"], repaired = mask, repaired + 1
    return [f"{repaired} areas that match neither box nor mask"] if repaired else []


def mask_area(segmentation: Any) -> float:
    """Pixels of a COCO mask, polygons or run lengths; 0 if there is none, or none that can be read.

    For polygons, this is the sum of the shoelace formula.
    """
    if isinstance(segmentation, dict):
        return _run_length_area(segmentation.get("counts"), segmentation.get("size"))
    try:
        outlines = [np.array(outline, dtype=float).reshape(-1, 2) for outline in segmentation or ()]
    except (OverflowError, TypeError, ValueError):
        return 0.0
    area = 0.0
    for x, y in (outline.T for outline in outlines):
        around = x[-1] * y[0] - y[-1] * x[0] if len(x) else 0.0
        area += abs(float(x[:-1] @ y[1:] - y[:-1] @ x[1:] + around)) / 2
    return area if math.isfinite(area) else 0.0


def _run_length_area(counts: Any, size: Any) -> float:
    if isinstance(counts, list):
        return float(sum(counts[1::2])) if all(map(is_number, counts)) else 0.0
    if not isinstance(counts, str):
        return 0.0
    from pycocotools import mask

    try:
        return float(mask.area(dict(counts=counts.encode(), size=size)))
    except (IndexError, OverflowError, TypeError, ValueError):
        return 0.0


def box_array(annotations: Sequence[dict[str, Any]]) -> NDArray[np.float64]:
    """``(M, 4)`` x, y, width, height; NaN for a box that is not four numbers."""
    boxes = [each.get("bbox") for each in annotations]
    try:
        return np.array(boxes, dtype=float).reshape(len(boxes), 4)
    except (OverflowError, TypeError, ValueError):
        return np.array([_four(box) for box in boxes], dtype=float).reshape(len(boxes), 4)


def _four(box: Any) -> list[float]:
    try:
        numbers = [float(number) for number in box]
    except (OverflowError, TypeError, ValueError):
        return [np.nan] * 4
    return numbers if len(numbers) == 4 else [np.nan] * 4


def _flat(boxes: NDArray[np.float64]) -> NDArray[np.bool_]:
    """``(M,)``: not finite, or without an area."""
    return ~(np.all(np.isfinite(boxes), axis=1) & np.all(boxes[:, 2:] > 0, axis=1))


def _limits(content: dict[str, Any]) -> NDArray[np.float64]:
    """``(M, 2)`` width and height of each annotation's image; NaN if the list has none."""
    sizes = {
        image["id"]: (image["width"], image["height"]) if _is_size(image) else (np.nan, np.nan)
        for image in content["images"]
    }
    return np.array([sizes[each["image_id"]] for each in content["annotations"]], dtype=float).reshape(-1, 2)


def _leaving(content: dict[str, Any]) -> NDArray[np.bool_]:
    """``(M,)``: boxes that leave their image by more than :data:`ROUNDING`."""
    boxes, limits = box_array(content["annotations"]), _limits(content)
    return np.any((boxes[:, :2] < -ROUNDING) | (boxes[:, :2] + boxes[:, 2:] > limits + ROUNDING), axis=1)


def is_number(value: Any) -> TypeGuard[float]:
    """Whether a value of a JSON file is a finite number, and no integer beyond the range of floats."""
    try:
        return isinstance(value, int | float) and math.isfinite(value)
    except OverflowError:
        return False


def _is_size(image: dict[str, Any]) -> bool:
    sides = (image.get("width"), image.get("height"))
    return all(type(side) is int and is_number(side) and side > 0 for side in sides)


def _measure(image: dict[str, Any], file: Path, folder: Path) -> bool:
    """Give an image the size of its file; returns whether that changed it. An unreadable file keeps its listed size."""
    path = folder / image["file_name"]
    try:
        size = image_size(path)
    except UnreadableImage as error:
        if _is_size(image):
            return False
        raise InvalidAnnotations(
            file, f"image {image['id']} has no width and height, and its file cannot be read: {error}"
        ) from error
    listed = (image.get("width"), image.get("height"))
    if listed == size and _is_size(image):
        return False
    if listed == size[::-1] and is_turned(path):
        raise InvalidAnnotations(
            file,
            f"image {image['id']}, {printable(path)}, is rotated by its EXIF orientation, but its annotations "
            "refer to the unrotated pixels: save such images upright, or annotate them as displayed",
        )
    image["width"], image["height"] = size
    return True
