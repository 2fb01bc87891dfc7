"""Localizing the objects of all images of a data set with a backbone."""

import math
from collections.abc import Sequence
from contextlib import nullcontext

import torch
from mmengine.dist import all_reduce, is_main_process
from torch import Tensor
from torch.utils.data import DataLoader
from tqdm import tqdm

from ccrop.datasets import BoxStore, ImageDataset
from ccrop.inference.features import whole_images
from ccrop.localization import Localizer
from ccrop.models import Siamese
from ccrop.views import rectangles

WHOLE = 0.98


def locate(
    model: Siamese,
    dataset: ImageDataset,
    localizer: Localizer,
    image_size: tuple[int, int],
    batch_size: int = 64,
    num_workers: int = 0,
    keep_ratio: bool = False,
) -> tuple[Tensor, Tensor]:
    """Boxes of all images of a data set, every rank processing its part.

    Args:
        model: in eval mode.
        localizer: see :mod:`ccrop.localization`; the images are not read if it does not use features.
        image_size: (height, width) in pixels.
        batch_size: images per batch, on which the memory depends: see :class:`LocalizationHook`.
        keep_ratio: see :class:`ccrop.views.WholeImage`; boxes are in fractions of the image all the same.

    Returns:
        ``boxes (N, K, 5)`` and ``counts (N,)`` on the CPU, equal on every rank. Unreadable images have none.
    """
    if not localizer.uses_features:
        return localizer(torch.empty(len(dataset), 1, 1, 1), image_size)
    loader = whole_images(dataset, image_size, batch_size, num_workers, keep_ratio)
    found = []
    counted_from_the_first = min(localizer.levels) >= 0
    with model.backbone.first_levels(max(localizer.levels) + 1) if counted_from_the_first else nullcontext():
        for batch in tqdm(loader, "localizing", leave=False, disable=None if is_main_process() else True):
            images = model.data_preprocessor(dict(images=batch["images"]))["images"]
            valid = batch["valid"].to(images.device) if keep_ratio else None
            found.append((*localizer(model.extract_feat(images), image_size, valid), batch["index"]))

    return gathered(found, loader, len(dataset), localizer.max_boxes)


def gathered(
    found: Sequence[tuple[Tensor, Tensor, Tensor]], loader: DataLoader, total: int, max_boxes: int
) -> tuple[Tensor, Tensor]:
    """What every rank found in its batches, as :func:`locate` gives it.

    Args:
        found: of each batch boxes ``(B, K, 5)``, counts ``(B,)`` and the files ``(B,)`` that were read.
        loader: of :class:`ccrop.datasets.ShardedBatches`.
        total: files of the data set.
        max_boxes: K.
    """
    all_boxes = torch.zeros(total, max_boxes, 5)
    all_counts = torch.zeros(total, dtype=torch.long)
    if found:
        boxes, counts, seen = (torch.cat(parts).cpu() for parts in zip(*found, strict=True))
        assert loader.batch_sampler is not None
        expected = torch.tensor([index for batch in loader.batch_sampler for index in batch])
        own = seen == expected  # a substitute for an unreadable image has its own turn
        all_boxes[seen[own]] = boxes.float()[own]
        all_counts[seen[own]] = counts[own]
    all_reduce(all_boxes)
    all_reduce(all_counts)
    return all_boxes, all_counts


def describe(store: BoxStore, image_size: tuple[int, int]) -> dict[str, float]:
    """Statistics of the boxes for an epoch's line.

    Args:
        image_size: (height, width) in pixels at which images were looked at.

    Returns:
        ``clusters``, boxes per image; ``no_box``, the fraction of images without one, which give plain random crops;
        and if there is any box, ``box_area``, the boxes' mean fraction of the image, and ``whole_image``, the fraction
        of boxes that are the whole image: at least 98 % of what a box from the first to the last pixel of
        ``image_size`` has, ends included or not. SingleObject's box of a whole letterboxed image less than 50 pixels
        wide or high can fall short of it.
    """
    boxes = store.boxes[torch.arange(store.max_boxes) < store.counts[:, None]]
    found = dict(clusters=len(boxes) / len(store), no_box=(store.counts == 0).float().mean().item())
    if len(boxes):
        area = rectangles.area(boxes[:, :4])
        whole = WHOLE * math.prod(1 - 1 / side for side in image_size)
        found |= dict(box_area=area.mean().item(), whole_image=(area > whole).float().mean().item())
    return found
