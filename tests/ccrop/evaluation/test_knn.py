import math

import pytest
import torch

from ccrop.evaluation import knn_accuracy, knn_predict


def features(*shape, seed):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def cosine(a, b):
    return sum(x * y for x, y in zip(a, b, strict=True)) / math.sqrt(sum(x * x for x in a) * sum(y * y for y in b))


def predict_by_loop(bank, labels, queries, k, temperature):
    predictions = []
    for query in queries:
        nearest = sorted(((cosine(query, each), label) for each, label in zip(bank, labels, strict=True)), reverse=True)
        votes = dict.fromkeys(labels, 0.0)
        for similarity, label in nearest[:k]:
            votes[label] += math.exp(similarity / temperature)
        predictions.append(max(votes, key=votes.get))
    return predictions


@pytest.mark.parametrize("k", [1, 3, 20, 60])
@pytest.mark.parametrize("temperature", [0.07, 1.0])
def test_prediction_is_that_of_a_plain_loop(k, temperature):
    bank, queries = features(60, 5, seed=0), features(40, 5, seed=1)
    labels = torch.arange(60) % 4
    expected = predict_by_loop(bank.tolist(), labels.tolist(), queries.tolist(), k, temperature)
    assert len(set(expected)) == 4
    assert knn_predict(bank, labels, queries, k, temperature).tolist() == expected
    assert knn_predict(bank, labels, queries, k, temperature, chunk=7).tolist() == expected


def test_many_far_neighbors_outvote_a_near_one_when_the_temperature_is_high():
    bank = torch.tensor([[1.0, 0], [0.8, 0.6], [0.8, -0.6]])
    labels, query = torch.tensor([0, 1, 1]), torch.tensor([[2.0, 0]])
    assert knn_predict(bank, labels, query, k=3, temperature=0.07).tolist() == [0]  # e^(1 / 0.07) > 2 e^(0.8 / 0.07)
    assert knn_predict(bank, labels, query, k=3, temperature=1).tolist() == [1]  # e < 2 e^0.8
    assert knn_predict(bank, labels, query, k=1, temperature=1).tolist() == [0]


def test_k_larger_than_the_bank_takes_all_of_it():
    bank, labels, queries = features(10, 4, seed=0), torch.arange(10) % 3, features(9, 4, seed=1)
    assert torch.equal(knn_predict(bank, labels, queries, k=200), knn_predict(bank, labels, queries, k=10))


def test_lengths_of_features_do_not_matter():
    bank, labels, queries = features(30, 4, seed=0), torch.arange(30) % 3, features(20, 4, seed=1)
    scaled = bank * torch.linspace(0.01, 100, 30)[:, None]
    assert torch.equal(knn_predict(scaled, labels, 7 * queries, k=5), knn_predict(bank, labels, queries, k=5))


def test_accuracy_is_the_share_of_right_classes():
    bank = torch.eye(4)
    queries = torch.eye(4)[[0, 1, 2, 3, 3]]
    assert knn_accuracy(bank, torch.arange(4), queries, torch.tensor([0, 1, 2, 0, 3]), k=1) == pytest.approx(0.8)
