"""kNN over regions of whole images: do a backbone's maps tell objects apart, and from the background?

It measures what a detector needs, at a detector's scale, without training one.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ccrop.evaluation.knn import knn_predict
from ccrop.evaluation.pairs import SIZES
from ccrop.views.windows import pooled_windows

BINS = 2
TRIES = 20
MAX_COVERED = 0.1


def background_boxes(boxes: NDArray[np.floating], rng: np.random.Generator) -> NDArray[np.float64]:
    """Boxes of the same sizes on the background: at most a tenth of each is covered by objects.

    Args:
        boxes: ``(M, 4)`` x0, y0, x1, y1 of an image's objects, in fractions of the image.

    Returns:
        ``(B, 4)`` with B <= M: a size for which 20 random places all are on objects is left out.
    """
    sides = boxes[:, 2:] - boxes[:, :2]
    start = rng.random((TRIES, len(boxes), 2)) * (1 - sides)
    tries = np.concatenate([start, start + sides], axis=-1)
    low = np.maximum(tries[:, :, None, :2], boxes[:, :2])
    high = np.minimum(tries[:, :, None, 2:], boxes[:, 2:])
    covered = (high - low).clip(0).prod(axis=-1).sum(axis=-1)
    free = covered <= MAX_COVERED * sides.prod(axis=-1)
    return tries[free.argmax(axis=0), np.arange(len(boxes))][free.any(axis=0)]


def region_features(maps: Sequence[Tensor], boxes: Tensor) -> list[Tensor]:
    """RoIAlign of 2x2 bins at every level, ``(M, 4 C_i)`` each.

    Args:
        maps: ``(1, C_i, h_i, w_i)``, which cover the image.
        boxes: ``(M, 4)`` in fractions of the image.
    """
    return [pooled_windows(level, boxes[None], BINS) for level in maps]


def roi_knn_recall(
    bank: Tensor,
    bank_labels: Tensor,
    queries: Tensor,
    labels: Tensor,
    areas: Tensor,
    k: int = 20,
    temperature: float = 0.07,
) -> dict[str, float]:
    """Balanced accuracy: the mean over classes of the fraction of its queries that are recognized.

    Features are centered at the bank's mean before they are compared by cosine.

    Args:
        bank: ``(B, C)`` with classes ``bank_labels (B,)``.
        queries: ``(N, C)`` with classes ``labels (N,)`` and areas in pixels ``areas (N,)``.
        k, temperature: see :func:`ccrop.evaluation.knn_predict`.

    Returns:
        Of all queries, and of those of COCO's sizes small, medium and large; NaN if there are none.
    """
    mean = bank.mean(dim=0)
    correct = knn_predict(bank - mean, bank_labels, queries - mean, k, temperature) == labels
    sizes = {"all": (0, float("inf"))} | SIZES
    return {
        name: balanced_accuracy(correct[chosen], labels[chosen])
        for name, (low, high) in sizes.items()
        for chosen in [(areas >= low) & (areas < high)]
    }


def balanced_accuracy(correct: Tensor, labels: Tensor) -> float:
    """Mean over the classes of ``labels (N,)`` of the fraction that is ``correct (N,)``; NaN without labels."""
    if len(labels) == 0:
        return float("nan")
    classes, index = labels.unique(return_inverse=True)
    number = torch.bincount(index, minlength=len(classes))
    return (torch.bincount(index, correct.double(), minlength=len(classes)) / number).mean().item()
