"""kNN over regions: what background is, what a region's features are, and the balanced accuracy by hand."""

import math

import numpy as np
import pytest
import torch

from ccrop.evaluation.roi_knn import background_boxes, balanced_accuracy, region_features, roi_knn_recall


def covered(box: np.ndarray, objects: np.ndarray) -> float:
    total = 0.0
    for x0, y0, x1, y1 in objects:
        width = min(x1, box[2]) - max(x0, box[0])
        height = min(y1, box[3]) - max(y0, box[1])
        total += max(width, 0) * max(height, 0)
    return total / ((box[2] - box[0]) * (box[3] - box[1]))


@pytest.mark.parametrize("seed", range(10))
def test_background_has_the_sizes_of_the_objects_and_lies_beside_them(seed: int):
    rng = np.random.default_rng(seed)
    start = rng.random((6, 2)) * 0.7
    objects = np.concatenate([start, start + rng.uniform(0.02, 0.3, (6, 2))], axis=1)
    found = background_boxes(objects, rng)
    assert 4 <= len(found) <= 6
    sizes = (objects[:, 2:] - objects[:, :2]).tolist()
    for box in found:
        assert covered(box, objects) <= 0.1 + 1e-9
        assert (box[:2] >= 0).all()
        assert (box[2:] <= 1).all()
        assert any((box[2:] - box[:2]).tolist() == pytest.approx(size) for size in sizes)


def test_where_objects_fill_the_image_there_is_no_background():
    rng = np.random.default_rng(0)
    assert background_boxes(np.array([[0.0, 0.0, 1.0, 1.0]]), rng).shape == (0, 4)
    assert background_boxes(np.array([[0.0, 0.0, 1.0, 1.0], [0.4, 0.4, 0.5, 0.5]]), rng).shape == (0, 4)


def test_background_is_anywhere():
    rng = np.random.default_rng(0)
    found = np.concatenate([background_boxes(np.array([[0.0, 0.0, 0.1, 0.2]]), rng) for _ in range(2000)])
    assert found[:, 0].mean() == pytest.approx(0.45, abs=0.03)
    assert found[:, 1].mean() == pytest.approx(0.4, abs=0.03)


def test_region_features_are_four_means_per_channel_of_each_level():
    fine = torch.zeros(1, 2, 8, 8)
    fine[0, 1, :4, :4] = 5
    coarse = torch.ones(1, 3, 4, 4)
    boxes = torch.tensor([[0.0, 0.0, 1.0, 1.0], [0.5, 0.5, 1.0, 1.0]])
    features = region_features([fine, coarse], boxes)
    assert [part.shape for part in features] == [(2, 8), (2, 12)]
    assert features[0][1].tolist() == pytest.approx([0] * 8)
    whole = features[0][0].view(2, 2, 2)
    assert whole[0].abs().max() == 0
    assert whole[1, 0, 0] > 4
    assert whole[1, 1, 1] == 0
    torch.testing.assert_close(features[1], torch.ones(2, 12))


def balanced_by_hand(correct: list[bool], labels: list[int]) -> float:
    shares = []
    for each in sorted(set(labels)):
        own = [c for c, label in zip(correct, labels, strict=True) if label == each]
        shares.append(sum(own) / len(own))
    return sum(shares) / len(shares)


def test_balanced_accuracy_by_hand():
    assert balanced_accuracy(torch.tensor([1, 1, 0, 0.0]) > 0, torch.tensor([7, 7, 7, 2])) == pytest.approx(1 / 3)
    assert math.isnan(balanced_accuracy(torch.zeros(0, dtype=torch.bool), torch.zeros(0, dtype=torch.long)))
    torch.manual_seed(0)
    correct, labels = torch.rand(50) < 0.5, torch.randint(0, 4, (50,))
    assert balanced_accuracy(correct, labels) == pytest.approx(balanced_by_hand(correct.tolist(), labels.tolist()))


def nearest_by_hand(bank, bank_labels, query, k, temperature):
    mean = [sum(column) / len(bank) for column in zip(*bank, strict=True)]

    def centered(vector):
        return [a - b for a, b in zip(vector, mean, strict=True)]

    def cosine(a, b):
        norm = math.sqrt(sum(x * x for x in a) * sum(y * y for y in b))
        return sum(x * y for x, y in zip(a, b, strict=True)) / norm

    similar = sorted(
        ((cosine(centered(query), centered(b)), label) for b, label in zip(bank, bank_labels, strict=True))
    )
    votes: dict[int, float] = {}
    for similarity, label in similar[-k:]:
        votes[label] = votes.get(label, 0) + math.exp(similarity / temperature)
    return max(votes, key=votes.get)


def test_recall_against_plain_python_by_size():
    torch.manual_seed(0)
    centers = torch.randn(3, 6) + 20  # far from zero: centering matters
    bank_labels, labels = torch.randint(0, 3, (40,)), torch.randint(0, 3, (60,))
    bank = centers[bank_labels] + 0.9 * torch.randn(40, 6)
    queries = centers[labels] + 0.9 * torch.randn(60, 6)
    areas = torch.tensor([100.0, 1023.9, 1024.0, 5000.0, 9215.0, 9216.0]).repeat(10)
    found = roi_knn_recall(bank, bank_labels, queries, labels, areas, k=5, temperature=0.1)
    predicted = [nearest_by_hand(bank.tolist(), bank_labels.tolist(), q, 5, 0.1) for q in queries.tolist()]
    correct = [p == label for p, label in zip(predicted, labels.tolist(), strict=True)]
    assert 0.4 < sum(correct) / 60 < 1
    for name, keep in {
        "all": lambda area: True,
        "small": lambda area: area < 1024,
        "medium": lambda area: 1024 <= area < 9216,
        "large": lambda area: area >= 9216,
    }.items():
        chosen = [i for i, area in enumerate(areas.tolist()) if keep(area)]
        expected = balanced_by_hand([correct[i] for i in chosen], [labels[i].item() for i in chosen])
        assert found[name] == pytest.approx(expected), name


def test_a_size_without_queries_is_nan():
    found = roi_knn_recall(torch.eye(4), torch.arange(4), torch.eye(4), torch.arange(4), torch.full((4,), 50.0), k=1)
    assert found["all"] == found["small"] == 1
    assert math.isnan(found["medium"])
    assert math.isnan(found["large"])
