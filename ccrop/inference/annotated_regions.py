"""Features of annotated boxes of whole images, and the category that each is recognized as."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ccrop.datasets import MissingData, UnreadableFile, UnreadableImage, read_image
from ccrop.datasets.base import spread
from ccrop.datasets.coco import annotated_boxes, find_split
from ccrop.evaluation.roi_knn import background_boxes, roi_knn_recall
from ccrop.inference import roi_features
from ccrop.long_work import with_progress
from ccrop.models import Siamese
from ccrop.views.transforms import to_tensor


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
    images = [image for image in annotated_boxes(root, split) if len(image.boxes)]
    if not images:
        raise MissingData(f"{root} annotates no objects in split {split!r}")
    folder = Path(root, find_split(Path(root), split))
    device = next(model.parameters()).device
    features: dict[int, list[Tensor]] = {}
    categories, areas = [], []
    for number in with_progress(spread(len(images), subset or len(images)), f"regions of {split}"):
        image = images[number]
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


def roi_knn(bank: Regions, queries: Regions, k: int = 20, min_queries: int = 50) -> dict[int, dict[str, float]]:
    """Balanced accuracy by stride and size, see :func:`ccrop.evaluation.roi_knn.roi_knn_recall`.

    Args:
        min_queries: categories with fewer queries are left out, on both sides.
    """
    classes, number = queries.categories.unique(return_counts=True)
    classes = classes[number >= min_queries]
    if len(classes) < 2:
        raise MissingData(f"no category has {min_queries} annotated objects among the queries: use more images")
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
