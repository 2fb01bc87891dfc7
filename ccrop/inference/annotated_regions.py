"""Features of annotated boxes of whole images, and the category that each is recognized as."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ccrop.datasets import MissingData, UnreadableFile, UnreadableImage, read_image
from ccrop.datasets.base import spread
from ccrop.datasets.coco import AnnotatedImage, annotated_boxes, find_split
from ccrop.evaluation.roi_knn import background_boxes, roi_knn_recall
from ccrop.inference import roi_features
from ccrop.long_work import with_progress
from ccrop.models import Siamese
from ccrop.views.transforms import to_tensor

MIN_QUERIES = 50  # of a category that counts


class Regions(NamedTuple):
    """Annotated and background boxes of a split.

    Attributes:
        features: ``(M, C)`` for each stride in pixels.
        categories: ``(M,)`` category ids, -1 for background.
        areas: ``(M,)`` in pixels.
    """

    features: dict[int, Tensor]
    categories: Tensor
    areas: Tensor


@torch.no_grad()
def annotated_regions(model: Siamese, root: str | Path, split: str, subset: int | None = None) -> Regions:
    """Features of all annotated boxes of a split, and of as many background boxes of the same sizes.

    Whole images are processed at their own size, padded to a multiple of every stride that the backbone has.

    Args:
        model: in eval mode.
        subset: use only this many images that have objects, evenly spaced.

    Raises:
        MissingData: there are no annotations, or no annotated objects.
        InvalidAnnotations: see :func:`ccrop.datasets.coco.annotated_boxes`.
        UnreadableFile: no annotated image is readable.
    """
    folder = Path(root, find_split(Path(root), split))
    device = next(model.parameters()).device
    features: dict[int, list[Tensor]] = {}
    categories, areas = [], []
    for number, image in with_progress(_annotated_images(root, split, subset), f"regions of {split}"):
        try:
            read = read_image(folder / image.file_name, model.data_preprocessor.channels, as_tensor=True)
        except UnreadableImage as error:
            unreadable = error
            continue
        pixels = to_tensor(read)[None]
        background = background_boxes(image.boxes, np.random.default_rng(number))
        boxes = np.concatenate([image.boxes, background])
        categories += [*image.categories.tolist(), *[-1] * len(background)]
        areas.append((boxes[:, 2:] - boxes[:, :2]).prod(axis=1) * np.prod(image.size))

        for stride, found in roi_features(model, pixels, torch.from_numpy(boxes)).items():
            features.setdefault(stride, []).append(found)
    if not areas:
        raise UnreadableFile(folder, f"none of its annotated images is readable, the last is {unreadable}")
    return Regions(
        {stride: torch.cat(parts) for stride, parts in features.items()},
        torch.tensor(categories, device=device),
        torch.from_numpy(np.concatenate(areas)).to(device),
    )


def _annotated_images(root: str | Path, split: str, subset: int | None) -> list[tuple[int, AnnotatedImage]]:
    """The images of a split that have objects, ``subset`` of them, each with its place among all of these."""
    images = [image for image in annotated_boxes(root, split) if len(image.boxes)]
    if not images:
        raise MissingData(f"{root} annotates no objects in split {split!r}")
    return [(number, images[number]) for number in spread(len(images), subset or len(images))]


def check_enough_objects(root: str | Path, split: str, subset: int | None, min_queries: int = MIN_QUERIES) -> None:
    """Raise MissingData if no category has ``min_queries`` objects in the images that serve as queries."""
    categories = np.concatenate([image.categories for _, image in _annotated_images(root, split, subset)])
    if np.unique(categories, return_counts=True)[1].max() < min_queries:
        raise _too_few_objects(min_queries)


def _too_few_objects(min_queries: int) -> MissingData:
    return MissingData(f"no category has {min_queries} annotated objects among the queries: use more images")


def roi_knn(
    bank: Regions, queries: Regions, k: int = 20, min_queries: int = MIN_QUERIES
) -> dict[int, dict[str, float]]:
    """Balanced accuracy by stride and size, see :func:`ccrop.evaluation.roi_knn.roi_knn_recall`.

    Args:
        min_queries: categories with fewer queries are left out, on both sides.
    """
    classes, number = queries.categories.unique(return_counts=True)
    classes = classes[number >= min_queries]
    if len(classes) < 2:
        raise _too_few_objects(min_queries)
    used = [torch.isin(side.categories, classes) for side in (bank, queries)]
    labels = [
        torch.searchsorted(classes, side.categories[chosen]) for side, chosen in zip((bank, queries), used, strict=True)
    ]
    return {
        stride: roi_knn_recall(
            bank.features[stride][used[0]],
            labels[0],
            queries.features[stride][used[1]],
            labels[1],
            queries.areas[used[1]],
            k,
        )
        for stride in sorted(bank.features)
    }
