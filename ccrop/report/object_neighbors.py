"""Objects as a backbone sees them: their features, nearest neighbors in other images, and a map of all."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from torch import Tensor

from ccrop.datasets import BoxStore, CocoImages, ImageDataset, InvalidAnnotations, MissingData, UnreadableImage
from ccrop.datasets.base import NO_BOXES, spread
from ccrop.datasets.channel_stack import as_rgb
from ccrop.datasets.checkpointed_boxes import max_boxes_of, restore_boxes
from ccrop.datasets.coco import annotated_boxes, read_split
from ccrop.evaluation.roi_knn import region_features
from ccrop.models import Siamese
from ccrop.views import WholeImage

MAX_STRIDE = 16  # of the map that objects are pooled from, in pixels
CONTEXT = 1.3  # side of a thumbnail in sides of its box
THUMBNAIL = 72
WHOLE = np.array([[0.0, 0, 1, 1]])


class ObjectFeatures(NamedTuple):
    """The features of objects of some images.

    Attributes:
        features: ``(M, C)`` float32, centered at their mean and of length 1.
        images: ``(M,)``, the index of the image of each.
        thumbnails: M pictures.
        names: of their categories or classes; None if nobody annotated them.
        kind: what they are, for a reader.
    """

    features: Tensor
    images: Tensor
    thumbnails: list[Image.Image]
    names: list[str] | None
    kind: str


class Boxes(NamedTuple):
    """Boxes ``(m, 4)`` of an image in fractions of it, and their names where they have some."""

    boxes: NDArray[np.floating]
    names: list[str] | None


def annotated_names(dataset: ImageDataset) -> dict[str, Boxes] | None:
    """Annotated objects by the path of their image; None if the set has no usable annotations."""
    if not isinstance(dataset, CocoImages):
        return None
    try:
        _, content = read_split(Path(dataset.data_root), dataset.split)
        found = annotated_boxes(dataset.data_root, dataset.split)
    except (MissingData, InvalidAnnotations):
        return None
    names = {each["id"]: each["name"] for each in content["categories"]}
    return {
        Path(image.file_name).name: Boxes(image.boxes, [names[each] for each in image.categories.tolist()])
        for image in found
    }


@torch.no_grad()
def find_objects(
    model: Siamese,
    dataset: ImageDataset,
    image_size: tuple[int, int],
    keep_ratio: bool,
    num_images: int = 64,
    each: int = 8,
) -> ObjectFeatures | None:
    """Annotated objects if there are some, otherwise clusters, otherwise whole images; None if fewer than 8.

    Args:
        model: in eval mode.
        dataset: with boxes where the run localized.
        image_size, keep_ratio: as in the run's localization.
        num_images: how many, evenly spaced; unreadable ones are skipped.
        each: the most objects of an image, evenly spaced over its list.
    """
    annotated = annotated_names(dataset)
    whole, device = WholeImage(image_size, keep_ratio), next(model.parameters()).device
    model.backbone.out_indices = tuple(range(len(model.backbone.levels)))
    level = max([i for i, stride in enumerate(model.backbone.strides) if stride <= MAX_STRIDE], default=0)
    features, images, thumbnails, names = [], [], [], []
    for index in spread(len(dataset), num_images):
        info = dataset.get_data_info(index)
        try:
            image = dataset.read(info)
        except UnreadableImage:
            continue
        found = boxes_of(dataset, index, annotated)
        chosen = spread(len(found.boxes), each) if len(found.boxes) else []
        boxes = found.boxes[chosen]
        if not len(boxes):
            continue
        sample = whole(dict(image=image, index=index))
        prepared = model.data_preprocessor(dict(images=sample["images"][None]))["images"]
        extent = sample["valid"][2:].repeat(2) if keep_ratio else torch.ones(4)
        placed = (torch.from_numpy(boxes).float() * extent).to(device)
        maps = model.extract_feat(prepared)
        features.append(region_features([maps[level]], placed)[0].float().cpu())
        images += [index] * len(boxes)
        picture = as_rgb(image)
        thumbnails += [cut_out(picture, box) for box in boxes]
        names += [found.names[number] for number in chosen] if found.names else []
    if len(images) < 8:
        return None
    vectors = torch.cat(features)
    vectors = F.normalize(vectors - vectors.mean(dim=0), dim=1)
    kind = "annotated objects" if annotated else "clusters" if dataset.boxes is not None else "images"
    return ObjectFeatures(vectors, torch.tensor(images), thumbnails, names or None, kind)


def boxes_of(dataset: ImageDataset, index: int, annotated: dict[str, Boxes] | None) -> Boxes:
    """The boxes of an image to show."""
    info = dataset.get_data_info(index)
    if annotated is not None:
        found = annotated.get(dataset.path(info).name, Boxes(NO_BOXES[:, :4], []))
        assert found.names is not None
        solid = np.all(found.boxes[:, 2:] > found.boxes[:, :2], axis=1)
        return Boxes(found.boxes[solid], [name for name, kept in zip(found.names, solid, strict=True) if kept])
    if dataset.boxes is not None:
        return Boxes(dataset.boxes[index][:, :4], None)
    return Boxes(WHOLE, [dataset.classes[info["label"]]] if "label" in info else None)


def restored_boxes(dataset: ImageDataset, state: dict[str, Any], checkpoint: Path) -> BoxStore:
    """Give a data set the boxes of a checkpoint; these boxes.

    Args:
        state: what the checkpoint says of them.

    Raises:
        ValueError: they belong to other images.
        FileNotFoundError: they lie in a file that is not beside the checkpoint.
    """
    store = dataset.boxes = BoxStore(len(dataset), max_boxes_of(state), dataset.fingerprint(), alone=True)
    restore_boxes(store, state, checkpoint)
    return store


def cut_out(image: Image.Image, box: Sequence[float]) -> Image.Image:
    """A square around a box in fractions of the image, black outside the image."""
    x0, y0, x1, y1 = np.asarray(box) * np.tile([image.width, image.height], 2)
    half = max(CONTEXT * max(x1 - x0, y1 - y0) / 2, 4)
    x, y = (x0 + x1) / 2, (y0 + y1) / 2
    square = image.crop((round(x - half), round(y - half), round(x + half), round(y + half)))
    return square.resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BILINEAR)


def neighbors(objects: ObjectFeatures, number: int = 5) -> tuple[Tensor, Tensor]:
    """The nearest objects in other images than an object's own, ``(M, number)`` indices and cosines, nearest first."""
    similarity = objects.features @ objects.features.T
    similarity[objects.images[:, None] == objects.images] = -torch.inf
    cosine, nearest = similarity.topk(min(number, len(similarity) - 1), dim=1)
    return nearest, cosine


def agreement(objects: ObjectFeatures, nearest: Tensor) -> tuple[float, float]:
    """Fraction of objects whose nearest neighbor has their name, and of pairs in different images that share one."""
    assert objects.names is not None
    number = {name: place for place, name in enumerate(dict.fromkeys(objects.names))}
    labels = torch.tensor([number[name] for name in objects.names])
    same = labels[:, None] == labels
    apart = objects.images[:, None] != objects.images
    own = (labels[nearest[:, 0]] == labels).double().mean().item()
    return own, same[apart].double().mean().item()


def flat_map(features: Tensor) -> tuple[NDArray[np.floating], str]:
    """Places ``(M, 2)`` in [0, 1], by UMAP where it is installed and otherwise by PCA, and the method's name."""
    try:
        from umap import UMAP
    except ImportError:
        left, singular, _ = torch.linalg.svd(features - features.mean(dim=0), full_matrices=False)
        places, method = (left * singular)[:, :2].numpy(), "PCA"
    else:
        places, method = UMAP(metric="cosine", random_state=0).fit_transform(features.numpy()), "UMAP"
    low, high = places.min(axis=0), places.max(axis=0)
    return (places - low) / np.where(high > low, high - low, 1), method


def draw_map(
    objects: ObjectFeatures, places: NDArray[np.floating], side: int = 1000, thumbnail: int = 40
) -> Image.Image:
    """Thumbnails at their places; of several at almost one place the first is drawn."""
    canvas = Image.new("RGB", (side, side), "white")
    pen = ImageDraw.Draw(canvas)
    free = np.ones((side // (thumbnail // 2) + 1,) * 2, dtype=bool)
    corners = (places * (side - thumbnail)).round().astype(int)
    for (x, y), picture in zip(corners.tolist(), objects.thumbnails, strict=True):
        cell = x // (thumbnail // 2), y // (thumbnail // 2)
        if not free[cell]:
            continue
        free[cell] = False
        canvas.paste(picture.resize((thumbnail, thumbnail), Image.Resampling.BILINEAR), (x, y))
        pen.rectangle((x, y, x + thumbnail - 1, y + thumbnail - 1), outline=(130, 130, 138))
    return canvas
