"""COCO-format sets: only images for pretraining, annotated objects for evaluation."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ccrop.datasets.base import ImageDataset, MissingData, say_once
from ccrop.datasets.channel_stack import AnyImage
from ccrop.datasets.coco_annotations import Annotations, read_annotations
from ccrop.datasets.listing import list_images

LAYOUT = """\
    {root}/train2017/*.jpg                            (or images/train2017, train, images/train)
    {root}/val2017/*.jpg                              (only for evaluation)
    {root}/annotations/instances_train2017.json       (only for evaluation)
    {root}/annotations/instances_val2017.json
Other layouts and formats: ccrop convert (tools/convert.py) rewrites them, ccrop split divides them."""


class CocoImages(ImageDataset):
    """The images of one split of a COCO-format set; annotations are neither needed nor read.

    Args:
        data_root: see ``LAYOUT``.
        split: ``'train'``, ``'val'``, ``'unlabeled'``, ...; the folder's name may end in 2017.
    """

    layout = LAYOUT

    def __init__(self, data_root: str | Path, split: str = "train", **kwargs: Any) -> None:
        self.split = split
        super().__init__(data_root, **kwargs)

    def load_data_list(self) -> list[dict[str, Any]]:
        folder = find_split(Path(self.data_root), self.split)
        return [dict(path=path) for path in list_images(self.data_root, folder, self.suffixes)]


class ObjectCrops(ImageDataset):
    """Annotated objects of a COCO-format set, each cut out as a labeled square image.

    The square is ``context`` times the longer side of the box, shifted into the image if it extends beyond it. Crowds
    and boxes below ``min_side`` are skipped. Classes are the categories of the training split by id.

    Args:
        data_root, split: as :class:`CocoImages`; annotations are read.
        context: side of the square in units of the box's longer side.
        min_side: shortest side of a box in pixels.
    """

    layout = LAYOUT
    unit = "object"

    def __init__(
        self, data_root: str | Path, split: str = "val", context: float = 1.2, min_side: float = 8, **kwargs: Any
    ) -> None:
        self.split = split
        self.context = context
        self.min_side = min_side
        super().__init__(data_root, **kwargs)

    def load_data_list(self) -> list[dict[str, Any]]:
        root = Path(self.data_root)
        folder = find_split(root, self.split)
        file, content = read_split(root, self.split)
        names = {image["id"]: image["file_name"] for image in content["images"]}
        categories = sorted(content["categories"], key=lambda category: category["id"])
        labels = {category["id"]: i for i, category in enumerate(categories)}
        self.classes = tuple(category["name"] for category in categories)
        objects = [
            dict(path=str(folder / names[each["image_id"]]), box=each["bbox"], label=labels[each["category_id"]])
            for each in content["annotations"]
            if not each["iscrowd"] and min(each["bbox"][2:]) >= self.min_side
        ]
        if not objects:
            raise MissingData(f"{file} annotates no objects of at least {self.min_side} px")
        return objects

    def read(self, info: dict[str, Any]) -> AnyImage:
        image = super().read(info)
        return image.crop(square_around(info["box"], self.context, image.size))


class AnnotatedImage(NamedTuple):
    """One image of a COCO-format set.

    Attributes:
        file_name: as in the annotations.
        size: (height, width) in pixels.
        boxes: ``(M, 4)`` x0, y0, x1, y1 in fractions of the image, without crowds.
        categories: ``(M,)``, the boxes' category ids.
    """

    file_name: str
    size: tuple[int, int]
    boxes: NDArray[np.float64]
    categories: NDArray[np.int64]


def annotated_boxes(root: str | Path, split: str) -> Sequence[AnnotatedImage]:
    """Name, size and boxes of every image of a split, from its annotations; images are compared if they exist.

    A file is read once in a process, until it changes, so the boxes cannot be written to.

    Raises:
        MissingData: there are no annotations; shows the expected layout.
        InvalidAnnotations: see :func:`ccrop.datasets.coco_annotations.read_annotations`.
    """
    root = Path(root)
    files = find_annotations(root, split), _if_there(find_annotations, root, "train")
    return _boxes_of(root, split, tuple(_version(file) for file in files if file is not None))


def _version(file: Path) -> tuple[int, int]:
    state = file.stat()
    return state.st_mtime_ns, state.st_size


@lru_cache(maxsize=4)  # the splits of two sets
def _boxes_of(root: Path, split: str, _versions: tuple[tuple[int, int], ...]) -> tuple[AnnotatedImage, ...]:
    _, content = read_split(root, split)
    objects: dict[int, list[dict[str, Any]]] = {image["id"]: [] for image in content["images"]}
    for each in content["annotations"]:
        if not each["iscrowd"]:
            objects[each["image_id"]].append(each)
    images = []
    for image in content["images"]:
        own, width, height = objects[image["id"]], image["width"], image["height"]
        corners = np.array([each["bbox"] for each in own], dtype=np.float64).reshape(-1, 4)
        corners[:, 2:] += corners[:, :2]
        fractions = (corners / np.tile([width, height], 2)).clip(0, 1)
        categories = np.array([each["category_id"] for each in own], dtype=int)
        for array in (fractions, categories):
            array.setflags(write=False)
        images.append(AnnotatedImage(image["file_name"], (height, width), fractions, categories))
    return tuple(images)


def read_split(root: Path, split: str) -> tuple[Path, dict[str, list[dict[str, Any]]]]:
    """The annotation file of a split and its content, see :func:`annotations_of`; its note is logged once."""
    file = find_annotations(root, split)
    found = annotations_of(root, split, file)
    if note := found.note(file):
        say_once(note)
    return file, found.content


def annotations_of(root: Path, split: str, file: Path, agnostic: bool = False) -> Annotations:
    """The annotations of a split's images; categories are those of the training split.

    Args:
        agnostic: see :func:`ccrop.datasets.coco_annotations.read_annotations`.

    Raises:
        InvalidAnnotations: see :func:`ccrop.datasets.coco_annotations.read_annotations`.
    """
    folder = _if_there(find_split, root, split)
    training = None if split.removesuffix("2017") == "train" else _if_there(find_annotations, root, "train")
    return read_annotations(file, root, folder, agnostic, training)


def _if_there(find: Callable[[Path, str], Path], root: Path, split: str) -> Path | None:
    try:
        return find(root, split)
    except MissingData:
        return None


def square_around(box: Sequence[float], context: float, image_size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Pixels (left, top, right, bottom) of a square around a COCO box (x, y, width, height), inside the image.

    Args:
        image_size: (width, height) in pixels; bounds the square's side.
    """
    x, y, width, height = box
    side = max(1, min(round(context * max(width, height)), *image_size))
    left = min(max(round(x + width / 2 - side / 2), 0), image_size[0] - side)
    top = min(max(round(y + height / 2 - side / 2), 0), image_size[1] - side)
    return left, top, left + side, top + side


def find_split(root: Path, split: str) -> Path:
    """The folder of a split's images, relative to the root.

    Raises:
        MissingData: shows the expected layout.
    """
    names = [split, f"{split}2017"]
    for folder in [Path(name) for name in names] + [Path("images", name) for name in names]:
        if (root / folder).is_dir():
            return folder
    raise MissingData(f"{root} has no images of split {split!r}; expected layout:\n" + LAYOUT.format(root=root))


def find_annotations(root: Path, split: str) -> Path:
    """The annotation file of a split.

    Raises:
        MissingData: shows the expected layout.
    """
    for name in (split, f"{split}2017"):
        file = root / "annotations" / f"instances_{name}.json"
        if file.is_file():
            return file
    raise MissingData(f"{root} has no annotations of split {split!r}; expected layout:\n" + LAYOUT.format(root=root))
