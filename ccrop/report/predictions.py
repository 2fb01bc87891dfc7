"""What detectors find in some examples of the val split, side by side, from what their runs stored."""

import json
from collections.abc import Container, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from ccrop.checkpoint.newest import latest_checkpoint
from ccrop.checkpoint.recorded_config import recorded_settings, trusted_module
from ccrop.datasets import UnreadableImage, read_image
from ccrop.datasets.base import spread
from ccrop.datasets.channel_stack import as_rgb
from ccrop.report import elements

HIT, MISSED, FALSE = "#2ca02c", "#ff2020", "#ffb000"
MIN_SCORE = 0.3  # of a detection that is drawn, unless its run's test names a better one
MIN_IOU = 0.5
SIDE = 560  # of a drawn image in pixels, at most


class Findings(Protocol):
    """What one run found, whatever its examples are."""

    @property
    def tested(self) -> Container[int]:
        """The examples that can be drawn."""

    def with_objects(self) -> Sequence[int]:
        """Those of them that have objects."""

    def picture(self, example: int, name: str) -> tuple[Image.Image, str] | None:
        """An example with what the run of this name found, and the counts in words; None if it is gone."""

    def legend(self) -> Mapping[str, str]:
        """What is drawn, and its color."""

    @property
    def detailed(self) -> bool:
        """Whether pictures need half of the page's width to be readable."""


class Found(NamedTuple):
    """In images, of one run.

    Attributes:
        images: ids of the tested images.
        objects: ``(G, 8)`` image id, x, y, width, height, area, category id, crowd or not.
        found: ``(M, 7)`` image id, x, y, width, height, score, category id.
        paths: of the images by id.
        channels: of the images.
        min_score: of a detection that is drawn.
    """

    images: NDArray
    objects: NDArray[np.float64]
    found: NDArray[np.float64]
    paths: Mapping[int, Path]
    channels: int
    min_score: float = MIN_SCORE
    detailed: bool = False

    @property
    def tested(self) -> NDArray:
        return self.images

    def with_objects(self) -> Sequence[int]:
        return [each for each in self.images if (self.objects[:, 0] == each).any()]

    def picture(self, example: int, name: str) -> tuple[Image.Image, str] | None:
        try:
            image = as_rgb(read_image(self.paths[int(example)], self.channels))
        except (KeyError, OSError, UnreadableImage):
            return None
        return marked(image, self, example, name)

    def legend(self) -> Mapping[str, str]:
        return {"found": HIT, "missed": MISSED, "false": FALSE}


def read_found(run: Path) -> Findings | None:
    """The detections that a fine-tuning kept; None if it kept none, or its images cannot be named."""
    file, checkpoint = run / "detections.npz", latest_checkpoint(run)
    if not file.exists() or checkpoint is None:
        return None
    config = recorded_settings(checkpoint)
    finetuning = config.get("finetuning", "")
    if finetuning:  # mmdet's configs name none, and detect objects in images
        return import_module(finetuning).TRANSFER.read_found(file) if trusted_module(finetuning) else None
    data = (config.get("test_dataloader") or {}).get("dataset", {})
    if "ann_file" not in data:
        return None
    root = Path(data.get("data_root") or "")
    annotations = root / data.ann_file
    if not annotations.exists():
        return None
    folder = root / (data.get("data_prefix") or {}).get("img", "")
    paths = {each["id"]: folder / each["file_name"] for each in json.loads(annotations.read_text())["images"]}
    with np.load(file) as content:
        images, objects, found = (content[name] for name in ("images", "objects", "found"))
        min_score = float(content["min_score"]) if "min_score" in content else MIN_SCORE
    return Found(images, objects, found, paths, config.get("channels", 3), min_score)


def match(found: NDArray[np.float64], objects: NDArray[np.float64]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which detections ``(M,)`` hit and which objects ``(G,)`` were found, each once, best score first.

    A hit is a detection of the object's category with an IoU of at least 0.5.

    Args:
        found, objects: of one image, rows as :class:`Found` has them.
    """
    hits, seen = np.zeros(len(found), bool), np.zeros(len(objects), bool)
    if not len(objects):
        return hits, seen
    overlap = iou(found[:, 1:5], objects[:, 1:5]) * (found[:, 6, None] == objects[:, 6])
    for number in np.argsort(-found[:, 5], kind="stable"):
        free = np.where(seen, 0, overlap[number])
        if free.max() >= MIN_IOU:
            hits[number] = seen[free.argmax()] = True
    return hits, seen


def iou(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    """Intersection over union ``(M, G)`` of boxes x, y, width, height."""
    low = np.maximum(first[:, None, :2], second[:, :2])
    high = np.minimum(first[:, None, :2] + first[:, None, 2:], second[:, :2] + second[:, 2:])
    common = (high - low).clip(0).prod(axis=-1)
    union = first[:, None, 2:].prod(axis=-1) + second[:, 2:].prod(axis=-1) - common
    return common / np.where(union > 0, union, 1)


def draw(runs: Mapping[str, Findings], number: int) -> str:
    """Some examples with objects, evenly spaced, one picture per run, side by side if there is room."""
    first = next(iter(runs.values()))
    common = [each for each in first.with_objects() if all(each in run.tested for run in runs.values())]
    rows = []
    for place in spread(len(common), number) if common else ():
        drawn = [run.picture(common[place], name) for name, run in runs.items()]
        rows.append([elements.picture(*each) for each in drawn if each is not None])
    if len(runs) == 1:
        rows = [[cell for row in rows for cell in row]]
    arranged = "".join(elements.charts(row, wide=first.detailed) for row in rows)
    return elements.legend(first.legend()) + arranged if arranged else ""


def marked(image: Image.Image, run: Found, image_id: int, name: str) -> tuple[Image.Image, str]:
    """An image with what a run found on it, and the counts in words."""
    objects = run.objects[(run.objects[:, 0] == image_id) & (run.objects[:, 7] == 0)]
    found = run.found[(run.found[:, 0] == image_id) & (run.found[:, 5] >= run.min_score)]
    hits, seen = match(found, objects)
    scale = SIDE / max(image.size)
    picture = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.BILINEAR)
    pen = ImageDraw.Draw(picture)
    for box, color in (
        *((box, FALSE) for box in found[~hits, 1:5]),
        *((box, MISSED) for box in objects[~seen, 1:5]),
        *((box, HIT) for box in found[hits, 1:5]),
    ):
        x, y, width, height = box * scale
        pen.rectangle((x, y, x + max(width, 1), y + max(height, 1)), outline=color, width=2)
    small = objects[:, 5] < 32**2
    text = (
        f"{name}, score of {run.min_score:g} or more: {seen.sum()} of {len(seen)} found, {seen[small].sum()} of "
        f"{small.sum()} small, {(~hits).sum()} false"
    )
    return picture, text
