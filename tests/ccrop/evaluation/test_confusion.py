"""Confusion and metrics by class, counted by hand."""

import math

import torch

from ccrop.evaluation.confusion import class_metrics, confusion_matrix


def test_every_pair_of_classes_is_counted():
    generator = torch.Generator().manual_seed(0)
    labels, predicted = (torch.randint(0, 4, (200,), generator=generator) for _ in range(2))
    found = confusion_matrix(labels, predicted, 5)
    for i in range(5):
        for j in range(5):
            assert found[i, j] == sum(
                1 for a, b in zip(labels.tolist(), predicted.tolist(), strict=True) if (a, b) == (i, j)
            )


def test_recall_precision_and_f1():
    # three of the first class, one of them missed; two of the second, one taken for the first; none of the third
    labels, predicted = torch.tensor([0, 0, 0, 1, 1]), torch.tensor([0, 0, 1, 1, 0])
    recall, precision, f1 = class_metrics(confusion_matrix(labels, predicted, 3))
    assert recall[:2].tolist() == [2 / 3, 1 / 2]
    assert precision[:2].tolist() == [2 / 3, 1 / 2]
    assert f1[:2].tolist() == [2 / 3, 1 / 2]
    assert all(math.isnan(each[2]) for each in (recall, precision, f1))
    missed = class_metrics(torch.tensor([[0, 4], [0, 6]]))
    assert missed.recall.tolist() == [0, 1]
    assert math.isnan(missed.precision[0])
    assert missed.f1.tolist() == [0, 12 / 16]
