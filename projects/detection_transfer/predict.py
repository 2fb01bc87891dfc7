"""Detections in unlabeled images: a file, a folder or a split of a COCO-format set."""

import csv
import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.logging import MMLogger
from mmengine.registry import DefaultScope
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from ccrop.available_cores import fitting_workers
from ccrop.datasets import MissingData, UnreadableImage, read_image
from ccrop.datasets.base import spread
from ccrop.datasets.channel_stack import as_rgb
from ccrop.datasets.coco import find_split
from ccrop.datasets.listing import list_images
from ccrop.datasets.reading import ARRAY_SUFFIX, IMAGE_SUFFIXES, printable
from ccrop.long_work import with_progress
from ccrop.projects.detection_transfer.data import PREDICTION
from ccrop.projects.detection_transfer.inference import ImageDetections, load_detector
from ccrop.projects.detection_transfer.pictures import picture
from ccrop.transfer.prediction import Request, count_left_out, flat_name
from ccrop.wording import counted

if TYPE_CHECKING:
    from mmdet.models import BaseDetector

COLUMNS = ("file", "category", "score", "x0", "y0", "x1", "y1")


class DetectedImage(NamedTuple):
    """An image and its detections.

    Attributes:
        name: of its file, relative to the source.
        size: (width, height) in pixels, upright.
        detections: most confident first.
    """

    name: str
    size: tuple[int, int]
    detections: ImageDetections


Add = Callable[[DetectedImage], None]


def predict(request: Request, folder: Path) -> str:
    """Write a detector's detections, and summarize them in a line.

    Args:
        folder: takes the files.

    Raises:
        MissingData: there are no images.
        ValueError: no image can be read; or options for sweeps are given.
        FileNotFoundError, UntrustedCheckpoint: see :func:`ccrop.transfer.prediction.load_detector`.
    """
    if request.columns is not None or request.intensity_scale is not None:
        raise ValueError(f"--columns and --intensity-scale apply to sweeps, but {request.detector} takes images")
    if others := [name for name in request.formats if name not in FORMATS]:
        raise ValueError(
            f"--to {others[0]} applies to sweeps, but {request.detector} takes images: {', '.join(FORMATS)}"
        )
    config, model = load_detector(request.detector, request.config)
    channels = config.get("channels", 3)
    root, names = list_source(request.source, request.split, channels)
    classes = model.dataset_meta["classes"]
    drawn = set(spread(len(names), request.pictures)) if request.pictures else set()
    counts: Counter[str] = Counter()
    with ExitStack() as stack:
        add_to = [stack.enter_context(FORMATS[name](folder, classes)) for name in request.formats]
        for index, found in detected(model, config, root, names, request.min_score):
            for add in add_to:
                add(found)
            counts.update(images=1, boxes=len(found.detections.scores))
            if index in drawn:
                image = as_rgb(read_image(root / found.name, channels))
                (folder / "pictures").mkdir(exist_ok=True)
                shown = picture(image, found.detections, classes)
                shown.save(folder / "pictures" / f"{index:06d}_{flat_name(found.name)}.jpg", quality=92)
    return (
        f"{counted(counts['boxes'], 'box')} with a score of at least {request.min_score:g} in {counts['images']:,} of "
        f"{counted(len(names), 'image')}"
    )


def list_source(source: Path, split: str | None, channels: int) -> tuple[Path, list[str]]:
    """The folder that names are relative to, and the names of its images.

    Args:
        split: of a COCO-format set whose root the source is; None for a file or a folder.
        channels: of the images, see :func:`ccrop.datasets.read_image`.

    Raises:
        MissingData: there is no such file or split, or no images in the folder.
    """
    if source.is_file() and split is None:
        return source.parent, [source.name]
    if not source.is_dir():
        raise MissingData(
            f"{source} is not a folder" if split else f"{source} does not exist: pass an image or a folder"
        )
    root = source if split is None else source / find_split(source, split)
    names = list_images(root, suffixes=suffixes(channels))
    if not names:
        raise MissingData(f"no image found in {root} (looked for {', '.join(suffixes(channels))})")
    return root, names


def suffixes(channels: int) -> tuple[str, ...]:
    """Of files that can hold images of so many channels."""
    return IMAGE_SUFFIXES if channels == 3 else (*IMAGE_SUFFIXES, ARRAY_SUFFIX)


class Images(Dataset):
    """Samples of an mmdet test pipeline, or the reason why a file cannot be read.

    Args:
        paths: of the images.
        pipeline: the steps' configs; annotations are not loaded.
    """

    def __init__(self, paths: Sequence[Path], pipeline: Sequence[dict[str, Any]]) -> None:
        self.paths = paths
        self.pipeline = Compose([step for step in pipeline if "Annotations" not in step["type"]])

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> dict[str, Any] | str:
        try:
            return self.pipeline(dict(img_path=str(self.paths[index]), img_id=index))
        except UnreadableImage as error:
            return str(error)


@torch.no_grad()
def detected(
    model: "BaseDetector", config: Config, root: Path, names: Sequence[str], min_score: float
) -> Iterator[tuple[int, DetectedImage]]:
    """Index and detections of every readable image; the log lists and counts the others.

    Raises:
        NoneReadable: no image can be read.
        ValueError: the config does not say how.
    """
    settings, reasons = config.test_dataloader or config.get(PREDICTION), []
    if settings is None:
        raise ValueError(
            f"the config of this detector ({config.filename}) has no test_dataloader, which prepares images: name one "
            "that has it with --config"
        )
    model.to("cuda" if torch.cuda.is_available() else "cpu")

    def readable(samples: Iterable[dict[str, Any] | str]) -> Iterator[dict[str, Any]]:
        for sample in samples:
            if isinstance(sample, str):
                reasons.append(sample)
                MMLogger.get_current_instance().warning(f"left out: {sample}")
            else:
                yield sample

    with DefaultScope.overwrite_default_scope("mmdet"):
        images = Images([root / name for name in names], settings.dataset.pipeline)
        loader = DataLoader(images, batch_size=None, num_workers=fitting_workers(settings.num_workers))
        samples = with_progress(loader, "images")
        for batch in batches(readable(samples), settings.batch_size):
            results = model.test_step(
                dict(inputs=[each["inputs"] for each in batch], data_samples=[each["data_samples"] for each in batch])
            )
            for result in results:
                height, width = result.ori_shape
                found = sure(result.pred_instances.cpu(), min_score)
                yield result.img_id, DetectedImage(names[result.img_id], (width, height), found)
    count_left_out(root, "image", reasons, len(names))


def batches(samples: Iterable[dict[str, Any]], size: int) -> Iterator[list[dict[str, Any]]]:
    """Consecutive samples of one shape, at most ``size``: detections must not depend on padding to a neighbor."""
    batch: list[dict[str, Any]] = []
    for sample in samples:
        if batch and (len(batch) == size or sample["inputs"].shape != batch[0]["inputs"].shape):
            yield batch
            batch = []
        batch.append(sample)
    if batch:
        yield batch


def sure(found: Any, min_score: float) -> ImageDetections:
    """The detections of mmdet's ``pred_instances`` with a score, and an area, most confident first."""
    sides: Tensor = found.bboxes[:, 2:] - found.bboxes[:, :2]
    found = found[(found.scores >= min_score) & (sides > 0).all(dim=1)]
    found = found[found.scores.argsort(descending=True)]
    return ImageDetections(found.bboxes, found.scores, found.labels)


@contextmanager
def csv_file(folder: Path, classes: Sequence[str]) -> Iterator[Add]:
    """``predictions.csv``: a row per box, corners in pixels."""
    with (folder / "predictions.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)

        def add(found: DetectedImage) -> None:
            for box, score, label in zip(*(each.tolist() for each in found.detections), strict=True):
                corners = [f"{value:.2f}" for value in box]
                writer.writerow([printable(found.name), classes[label], f"{score:.4f}", *corners])

        yield add


@contextmanager
def coco_file(folder: Path, classes: Sequence[str]) -> Iterator[Add]:
    """``coco.json``: a COCO-format data set; annotations have a ``score``, ids count from 1.

    Boxes are written as they come.
    """
    categories = [dict(id=number, name=name) for number, name in enumerate(classes, 1)]
    with (folder / "coco.json").open("w") as file, TemporaryFile("w+") as images:
        numbers = dict(image=0, annotation=0)

        def add(found: DetectedImage) -> None:
            numbers["image"] += 1
            listed = dict(id=numbers["image"], file_name=found.name, width=found.size[0], height=found.size[1])
            images.write((", " if numbers["image"] > 1 else "") + json.dumps(listed))
            for (x0, y0, x1, y1), score, label in zip(*(each.tolist() for each in found.detections), strict=True):
                numbers["annotation"] += 1
                each = dict(
                    id=numbers["annotation"],
                    image_id=numbers["image"],
                    category_id=label + 1,
                    score=round(score, 6),
                    bbox=[round(value, 4) for value in (x0, y0, x1 - x0, y1 - y0)],
                    area=round((x1 - x0) * (y1 - y0), 4),
                    segmentation=[],
                    iscrowd=0,
                )
                file.write((", " if numbers["annotation"] > 1 else "") + json.dumps(each))

        file.write('{"annotations": [')
        yield add
        file.write('], "images": [')
        images.seek(0)
        shutil.copyfileobj(images, file)
        file.write(f'], "categories": {json.dumps(categories)}}}')


FORMATS: dict[str, Callable[[Path, Sequence[str]], AbstractContextManager[Add]]] = dict(csv=csv_file, coco=coco_file)
