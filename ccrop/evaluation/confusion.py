"""Which classes are confused with which."""

from typing import NamedTuple

import torch
from torch import Tensor


class ClassMetrics(NamedTuple):
    """What a classifier does to each of C classes, ``(C,)`` float64 each; nan if there is nothing to divide by.

    Attributes:
        recall: fraction of a class's samples that are predicted as it.
        precision: fraction of the samples predicted as a class that are of it.
        f1: harmonic mean of both.
    """

    recall: Tensor
    precision: Tensor
    f1: Tensor


def confusion_matrix(labels: Tensor, predicted: Tensor, num_classes: int) -> Tensor:
    """How many samples of class i, the row, are predicted as class j: ``(C, C)`` int64.

    Args:
        labels, predicted: classes ``(N,)``, int64, from 0 to ``num_classes - 1``.
    """
    pairs = labels * num_classes + predicted
    return torch.bincount(pairs, minlength=num_classes**2).view(num_classes, num_classes)


def class_metrics(confusion: Tensor) -> ClassMetrics:
    """Recall, precision and F1 of each class of a :func:`confusion_matrix`."""
    hits = confusion.diagonal().double()
    actual, guessed = confusion.sum(dim=1), confusion.sum(dim=0)
    return ClassMetrics(hits / actual, hits / guessed, 2 * hits / (actual + guessed))
