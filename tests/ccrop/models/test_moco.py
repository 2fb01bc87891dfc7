"""MoCo v1 to v3: the losses in plain Python, the queue and the heads."""

import math

import pytest
import torch
from methods import build, two_views
from torch import nn
from torch.nn.functional import normalize

from ccrop.models.moco import info_nce
from ccrop.models.moco_v3 import batch_info_nce


def dot(a: list[float], b: list[float]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))


def cosine(a: list[float], b: list[float]) -> float:
    return dot(a, b) / math.sqrt(dot(a, a) * dot(b, b))


def by_hand(q: list, k: list, negatives: list, temperature: float) -> float:
    """Mean of -log(exp(q k+ / T) / sum of exp(q k / T)) over the key and the negatives."""
    total = 0.0
    for query, key in zip(q, k, strict=True):
        positive = math.exp(cosine(query, key) / temperature)
        total -= math.log(positive / (positive + sum(math.exp(cosine(query, n) / temperature) for n in negatives)))
    return total / len(q)


def batch_by_hand(q: list, k: list, temperature: float) -> float:
    total = 0.0
    for i, query in enumerate(q):
        every = [math.exp(cosine(query, key) / temperature) for key in k]
        total -= math.log(every[i] / sum(every))
    return 2 * temperature * total / len(q)


def vectors(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    q, k = torch.randn(2, 5, 6, generator=generator)
    return q, k, normalize(torch.randn(9, 6, generator=generator))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("temperature", [0.07, 0.2, 1.0])
def test_losses_are_those_of_the_papers(seed: int, temperature: float):
    q, k, negatives = vectors(seed)
    found = info_nce(q, k, negatives, temperature).item()
    assert found == pytest.approx(by_hand(q.tolist(), k.tolist(), negatives.tolist(), temperature), rel=1e-5)
    found = batch_info_nce(q, k, temperature).item()
    assert found == pytest.approx(batch_by_hand(q.tolist(), k.tolist(), temperature), rel=1e-5)


def test_losses_of_known_angles():
    q = torch.eye(3)
    assert info_nce(q, 2 * q, q[:0], 0.5).item() == pytest.approx(0)
    assert info_nce(q[:1], q[1:2], q[2:], 0.5).item() == pytest.approx(math.log(2))
    assert batch_info_nce(q, q, 0.5).item() == pytest.approx(-math.log(math.e**2 / (math.e**2 + 2)))


def test_gradients_reach_queries_only():
    q, k, negatives = (each.requires_grad_() for each in vectors())
    (info_nce(q, k, negatives) + batch_info_nce(q, k)).backward()
    assert q.grad.abs().sum() > 0
    assert k.grad is None
    assert negatives.grad is None


def layout(module: nn.Sequential) -> list[type]:
    return [type(layer) for layer in module]


def test_heads_of_v1_and_v2_have_no_bn():
    assert layout(build("moco-v1").projector) == [nn.Linear]
    assert layout(build("moco-v2").projector) == [nn.Linear, nn.ReLU, nn.Linear]


def test_heads_of_v3():
    model = build("moco-v3")
    assert layout(model.projector) == [nn.Linear, nn.BatchNorm1d, nn.ReLU, nn.Linear, nn.BatchNorm1d]
    assert not model.projector[4].affine
    assert layout(model.predictor) == [nn.Linear, nn.BatchNorm1d, nn.ReLU, nn.Linear]


def test_model_compares_the_first_view_with_the_key_of_the_second_and_queues_it():
    model = build("moco-v2").eval()
    with torch.no_grad():
        for parameter in model.target.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    query, key = two_views()
    q = model.projector(model.pooled(query))
    k = model.target["projector"](model.target["backbone"](key)[-1].mean(dim=(2, 3)))
    negatives = model.queue.vectors
    loss = model([query, key])["loss"]
    expected = by_hand(q.tolist(), k.tolist(), negatives.tolist(), 0.2)
    assert loss.item() == pytest.approx(expected, rel=1e-4)
    torch.testing.assert_close(model.queue.vectors[:16], normalize(k))
    assert torch.equal(model.queue.vectors[16:], negatives[16:])


def test_model_v3_compares_both_ways():
    model = build("moco-v3", temperature=0.5).eval()
    views = two_views()
    z = [model.projector(model.pooled(view)) for view in views]
    q1, q2 = (model.predictor(each) for each in z)
    k1, k2 = z  # the target starts as the online network
    expected = sum(batch_by_hand(q.tolist(), k.tolist(), 0.5) for q, k in ((q1, k2), (q2, k1)))
    assert model(views)["loss"].item() == pytest.approx(expected, rel=1e-4)
