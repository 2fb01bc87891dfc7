"""Linear probe: what can be separated is, whatever the scale of the features."""

import pytest
import torch
import torch.nn.functional as F

from ccrop.evaluation import choose_learning_rate, linear_probe


def blobs(num: int, distance: float, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Three Gaussian classes in five dimensions."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(num) % 3
    return torch.randn(num, 5, generator=generator) + distance * torch.eye(5)[labels], labels


def accuracies(train, labels, test, test_labels, learning_rates, **settings) -> dict[float, float]:
    found = linear_probe(train, labels, test, learning_rates, **settings)
    return {lr: (classes == test_labels).float().mean().item() for lr, classes in found.items()}


def test_separable_classes_are_separated_and_a_rate_of_zero_learns_nothing():
    rates = (0.0, 0.1, 1.0)
    found = accuracies(*blobs(300, 8, 0), *blobs(90, 8, 1), rates, epochs=20, batch_size=64)
    assert list(found) == list(rates)
    assert found[0.1] == found[1.0] == 1
    assert found[0.0] == pytest.approx(1 / 3)  # the first class for all


def test_scale_and_offset_of_channels_do_not_matter():
    (train, labels), (test, test_labels) = blobs(300, 1.5, 0), blobs(300, 1.5, 1)
    scale, offset = torch.tensor([1e-2, 1.0, 10.0, 1e2, 3.0]), torch.tensor([5.0, -3.0, 0.0, 100.0, 1.0])
    settings = dict(learning_rates=(0.1, 1.0), epochs=20)
    plain = accuracies(train, labels, test, test_labels, **settings)
    scaled = accuracies(train * scale + offset, labels, test * scale + offset, test_labels, **settings)
    assert scaled == pytest.approx(plain, abs=0.01)
    assert 0.5 < plain[0.1] < 1


def test_one_step_is_that_of_softmax_regression():
    """With one batch and one epoch the classifier is lr times the negative gradient at zero."""
    (train, labels), (test, test_labels) = blobs(12, 1, 0), blobs(200, 1, 1)
    (accuracy,) = accuracies(train, labels, test, test_labels, (0.5,), epochs=1, batch_size=12).values()
    mean, std = train.mean(dim=0), train.std(dim=0)
    train, test = (train - mean) / std, (test - mean) / std
    weight = 0.5 * (F.one_hot(labels, 3) - 1 / 3).T @ train / 12  # the classes are equally many, so the bias stays 0
    assert accuracy == ((test @ weight.T).argmax(dim=1) == test_labels).float().mean().item()


def test_learns_where_gradients_are_switched_off():
    with torch.no_grad():
        (accuracy,) = accuracies(*blobs(300, 8, 0), *blobs(90, 8, 1), learning_rates=(0.1,), epochs=5).values()
    assert accuracy > 0.95


def test_the_rate_is_chosen_without_a_look_at_the_test_features():
    train, labels = blobs(300, 3, 0)
    assert choose_learning_rate(train, labels, (0.0, 0.1), epochs=20) == 0.1
    assert choose_learning_rate(train, labels, (1.0, 0.1, 0.3), epochs=20) == min(
        (lr for lr in (0.1, 0.3, 1.0)), key=lambda lr: (-held_out_hits(train, labels, lr), lr)
    )


def held_out_hits(train: torch.Tensor, labels: torch.Tensor, lr: float) -> int:
    """Correct ones of the first fifth of a drawn order, by a probe of the rest."""
    order = torch.randperm(300, generator=torch.Generator().manual_seed(0))
    (found,) = linear_probe(train[order[60:]], labels[order[60:]], train[order[:60]], (lr,), 20).values()
    return int((found == labels[order[:60]]).sum())
