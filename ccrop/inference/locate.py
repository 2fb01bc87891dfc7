"""Localizing the objects of all images of a data set with a backbone."""

import math
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

import numpy as np
import torch
from mmengine.dist import all_reduce
from torch import Tensor

from ccrop.datasets import BoxStore, ImageDataset, ShardedBatches
from ccrop.inference.features import whole_images
from ccrop.localization import Localizer
from ccrop.long_work import with_progress
from ccrop.models import Siamese
from ccrop.views import rectangles

WHOLE = 0.98


class LocatedBatch(NamedTuple):
    """The boxes found in the images of a batch.

    Attributes:
        indices: ``(B,)`` int64, the images.
        boxes: ``(B, K, 5)`` float32, x0, y0, x1, y1 in fractions of the image, score, on the CPU.
        counts: ``(B,)``, 0 for an unreadable image.
    """

    indices: Tensor
    boxes: Tensor
    counts: Tensor


def locate(
    model: Siamese,
    dataset: ImageDataset,
    localizer: Localizer,
    image_size: tuple[int, int],
    batch_size: int = 64,
    num_workers: int = 0,
    keep_ratio: bool = False,
) -> tuple[Tensor, Tensor]:
    """Boxes of all images of a data set, see :func:`located`.

    Returns:
        ``boxes (N, K, 5)`` and ``counts (N,)`` on the CPU, equal on every rank. Unreadable images have none.
    """
    return gathered(
        located(model, dataset, localizer, image_size, batch_size, num_workers, keep_ratio),
        len(dataset),
        localizer.max_boxes,
    )


def located(
    model: Siamese,
    dataset: ImageDataset,
    localizer: Localizer,
    image_size: tuple[int, int],
    batch_size: int = 64,
    num_workers: int = 0,
    keep_ratio: bool = False,
) -> Iterator[LocatedBatch]:
    """Boxes of the images of this rank's share of a data set, batch by batch.

    Args:
        model: in eval mode.
        localizer: see :mod:`ccrop.localization`; the images are not read if it does not use features.
        image_size: (height, width) in pixels.
        batch_size: images per batch, on which the memory depends: see :class:`LocalizationHook`.
        keep_ratio: see :class:`ccrop.views.WholeImage`; boxes are in fractions of the image all the same.
    """
    if not localizer.uses_features:
        for batch in ShardedBatches(len(dataset), batch_size):
            yield LocatedBatch(torch.tensor(batch), *localizer(torch.empty(len(batch), 1, 1, 1), image_size))
        return
    loader = whole_images(dataset, image_size, batch_size, num_workers, keep_ratio)
    with levels_read(model, localizer):
        shown = with_progress(loader, "localizing")
        for batch, turn in zip(shown, ShardedBatches(len(dataset), batch_size), strict=True):
            images = model.data_preprocessor(dict(images=batch["images"]))["images"]
            valid = batch["valid"].to(images.device) if keep_ratio else None
            yield in_turn(batch["index"], turn, *localizer(model.extract_feat(images), image_size, valid))


def levels_read(model: Siamese, localizer: Localizer) -> AbstractContextManager[None]:
    """The backbone computes no levels beyond those that the localizer reads, if these are counted from the first."""
    if min(localizer.levels) < 0:
        return nullcontext()
    return model.backbone.first_levels(max(localizer.levels) + 1)


def in_turn(seen: Tensor, turn: list[int], boxes: Tensor, counts: Tensor) -> LocatedBatch:
    """The boxes of a batch; a substitute for an unreadable image has its own turn elsewhere, and gives none here.

    Args:
        seen: ``(B,)``, the files that were read.
        turn: the ones that were asked for.
        boxes: ``(B, K, 5)`` on any device.
        counts: ``(B,)``.
    """
    indices = torch.tensor(turn)
    own = seen == indices
    return LocatedBatch(indices, boxes.cpu().float().where(own[:, None, None], 0), counts.cpu().where(own, 0))


def gathered(found: Iterable[LocatedBatch], total: int, max_boxes: int) -> tuple[Tensor, Tensor]:
    """What every rank found, as :func:`locate` gives it.

    Args:
        total: files of the data set.
        max_boxes: K.
    """
    all_boxes = torch.zeros(total, max_boxes, 5)
    all_counts = torch.zeros(total, dtype=torch.long)
    for indices, boxes, counts in found:
        all_boxes[indices], all_counts[indices] = boxes, counts
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
    whole = WHOLE * math.prod(1 - 1 / side for side in image_size)
    number = empty = wholes = 0
    total = 0.0
    for boxes, counts in store.chunks():
        areas = rectangles.area(torch.from_numpy(boxes[np.arange(store.max_boxes) < counts[:, None], :4]))
        number += len(areas)
        empty += int((counts == 0).sum())
        wholes += int((areas > whole).sum())
        total += float(areas.double().sum())
    found = dict(clusters=number / len(store), no_box=empty / len(store))
    return found | dict(box_area=total / number, whole_image=wholes / number) if number else found
