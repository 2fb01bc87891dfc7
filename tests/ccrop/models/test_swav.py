"""SwAV: codes and loss in plain Python, views of several sizes, prototypes and queue over the epochs."""

import math

import pytest
import torch
from methods import build, two_views
from torch import Tensor
from torch.nn.functional import normalize

from ccrop.models.swav import sinkhorn, swav_loss


def cosines(num: int = 6, prototypes: int = 4, seed: int = 0) -> Tensor:
    return torch.rand(num, prototypes, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def codes_by_hand(scores: list[list[float]], epsilon: float, iterations: int) -> list[list[float]]:
    codes = [[math.exp(score / epsilon) for score in row] for row in scores]
    for _ in range(iterations):
        used = [sum(column) for column in zip(*codes, strict=True)]
        codes = [[code / total for code, total in zip(row, used, strict=True)] for row in codes]
        codes = [[code / sum(row) for code in row] for row in codes]
    return codes


def loss_by_hand(scores: list, codes: list, temperature: float) -> float:
    losses = []
    for assigned, code in enumerate(codes):
        for predicting, score in enumerate(scores):
            if assigned == predicting:
                continue
            total = 0.0
            for target, row in zip(code, score, strict=True):
                every = [math.exp(each / temperature) for each in row]
                total -= sum(t * math.log(each / sum(every)) for t, each in zip(target, every, strict=True))
            losses.append(total / len(score))
    return sum(losses) / len(losses)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("epsilon", "iterations"), [(0.05, 3), (0.5, 1), (1.0, 5)])
def test_codes_are_those_of_sinkhorn_and_knopp(seed: int, epsilon: float, iterations: int):
    scores = cosines(seed=seed)
    expected = torch.tensor(codes_by_hand(scores.tolist(), epsilon, iterations))
    torch.testing.assert_close(sinkhorn(scores, epsilon, iterations), expected, atol=1e-5, rtol=1e-4)


def test_codes_sum_to_one_and_use_all_prototypes_alike():
    codes = sinkhorn(cosines(num=40), epsilon=0.3, iterations=200)
    torch.testing.assert_close(codes.sum(dim=1), torch.ones(40))
    torch.testing.assert_close(codes.sum(dim=0), torch.full((4,), 10.0), atol=1e-3, rtol=0)


def test_vectors_that_all_prefer_one_prototype_are_shared_out():
    scores = cosines(num=8)
    scores[:, 0] = 1
    assert (scores.argmax(dim=1) == 0).all()
    assert sinkhorn(scores, 0.3, iterations=50).sum(dim=0).max() < 2.01


@pytest.mark.parametrize("epsilon", [0.03, 0.05])
def test_codes_of_any_cosines_are_finite(epsilon: float):
    codes = sinkhorn(torch.tensor([[1.0, -1.0, -1.0], [1.0, -1.0, 0.0], [-1.0, -1.0, -1.0]]).bfloat16(), epsilon)
    assert codes.dtype == torch.float32
    assert codes.isfinite().all()
    torch.testing.assert_close(codes.sum(dim=1), torch.ones(3))


@pytest.mark.parametrize("num_views", [2, 5])
@pytest.mark.parametrize("temperature", [0.1, 1.0])
def test_loss_is_swapped_prediction(num_views: int, temperature: float):
    scores = [cosines(seed=seed) for seed in range(num_views)]
    codes = [sinkhorn(cosines(seed=seed), 0.5) for seed in (8, 9)]
    expected = loss_by_hand([each.tolist() for each in scores], [each.tolist() for each in codes], temperature)
    assert swav_loss(scores, codes, temperature).item() == pytest.approx(expected, rel=1e-5)


def test_no_gradient_reaches_the_codes():
    scores = [cosines(seed=seed).requires_grad_() for seed in range(2)]
    codes = [cosines(seed=seed).abs().requires_grad_() for seed in (8, 9)]
    swav_loss(scores, codes).backward()
    assert all(each.grad.abs().sum() > 0 for each in scores)
    assert all(each.grad is None for each in codes)
    assert not sinkhorn(scores[0]).requires_grad


def multi_crop() -> list[Tensor]:
    small = torch.randn(6, 16, 3, 8, 8, generator=torch.Generator().manual_seed(5))
    return [*two_views(), *small]


def test_model_of_views_of_two_sizes():
    model = build("swav").eval()
    views = multi_crop()
    z = [normalize(model.projector(model.pooled(view))) for view in views]
    prototypes = normalize(model.prototypes.weight)
    scores = [(each @ prototypes.T).tolist() for each in z]
    codes = [codes_by_hand(score, 0.05, 3) for score in scores[:2]]
    assert model(views)["loss"].item() == pytest.approx(loss_by_hand(scores, codes, 0.1), rel=1e-4)
    torch.testing.assert_close(model.embeddings, z[0])
    for queue, each in zip(model.queues, z, strict=False):
        torch.testing.assert_close(queue.vectors, each)


def test_views_of_one_size_go_through_the_backbone_together():
    model = build("swav")
    batches = []
    model.backbone.register_forward_hook(lambda module, args, output: batches.append(tuple(args[0].shape)))
    model(multi_crop())
    assert batches == [(32, 3, 16, 16), (96, 3, 8, 8)]


def test_prototypes_are_of_unit_length_and_frozen_at_first():
    model = build("swav")
    model.before_epoch(0, 2)
    model(two_views())["loss"].backward()
    weight = model.prototypes.weight
    torch.testing.assert_close(weight.norm(dim=1), torch.ones(12))
    assert weight.grad.abs().max() == 0  # and not None, which DDP would wait for
    model.before_epoch(1, 2)
    model(two_views())["loss"].backward()
    assert weight.grad.abs().max() > 0


def test_a_float_starts_the_queue_after_a_fraction_of_the_run():
    model = build("swav", queue_from=0.15).eval()
    model(two_views(seed=1))
    for epochs, start in ((100, 15), (10, 2), (20, 3)):
        for epoch in range(epochs):
            model.before_epoch(epoch, epochs)
            assert model.uses_queue == (epoch >= start)


def test_queue_joins_in_the_codes_when_it_is_full():
    model = build("swav").eval()
    model.before_epoch(1, 2)
    assert not model.uses_queue
    model(two_views(seed=1))
    model.before_epoch(0, 2)
    assert not model.uses_queue
    model.before_epoch(1, 2)
    assert model.uses_queue

    prototypes = normalize(model.prototypes.weight)
    views = two_views()
    scores = [normalize(model.projector(model.pooled(view))) @ prototypes.T for view in views]
    together = [torch.cat([queue.vectors @ prototypes.T, s]) for queue, s in zip(model.queues, scores, strict=True)]
    codes = [codes_by_hand(each.tolist(), 0.05, 3)[-16:] for each in together]
    expected = loss_by_hand([each.tolist() for each in scores], codes, 0.1)
    assert model(views)["loss"].item() == pytest.approx(expected, rel=1e-3)
