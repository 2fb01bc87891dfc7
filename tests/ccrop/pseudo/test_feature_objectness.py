"""Objectness: against a plain loop, on clouds whose answer is known, and if there is nothing to compare with."""

import math

import pytest
import torch

from ccrop.pseudo import objectness


def by_hand(boxes: torch.Tensor, box_images: list, windows: torch.Tensor, window_images: list, k: int) -> list[float]:
    everything = [*boxes.tolist(), *windows.tolist()]
    mean = [sum(column) / len(everything) for column in zip(*everything, strict=True)]
    centered = [[value - center for value, center in zip(row, mean, strict=True)] for row in everything]
    units = [[value / math.hypot(*row) for value in row] for row in centered]
    images = [*box_images, *window_images]
    found = []
    for own in range(len(boxes)):
        others = [row for row in range(len(everything)) if images[row] != images[own]]
        others.sort(key=lambda row: -sum(a * b for a, b in zip(units[own], units[row], strict=True)))
        found.append(sum(row < len(boxes) for row in others[:k]) / k)
    return found


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("k", [1, 3, 7])
def test_it_counts_the_boxes_among_the_nearest_of_other_images(seed: int, k: int):
    generator = torch.Generator().manual_seed(seed)
    boxes, windows = (torch.randn(number, 4, generator=generator, dtype=torch.float64) for number in (13, 17))
    box_images, window_images = (torch.randint(5, (number,), generator=generator) for number in (13, 17))
    found = objectness(boxes, box_images, windows, window_images, neighbors=k)
    expected = by_hand(boxes, box_images.tolist(), windows, window_images.tolist(), k)
    assert found.tolist() == pytest.approx(expected)


def test_boxes_that_come_again_in_other_images_stand_apart_from_those_that_look_like_any_window():
    generator = torch.Generator().manual_seed(0)
    towards = torch.zeros(16)
    towards[0] = 4
    objects = towards + torch.randn(100, 16, generator=generator)
    chance = torch.randn(100, 16, generator=generator)
    windows = torch.randn(200, 16, generator=generator)
    images = torch.arange(200) % 20
    found = objectness(torch.cat([objects, chance]), images, windows, images, neighbors=20)
    assert found[:100].mean() > 0.9
    assert found[100:].mean() < 0.5


def test_what_repeats_within_one_image_alone_does_not_count():
    generator = torch.Generator().manual_seed(0)
    repeated = torch.zeros(30, 8)
    repeated[:, 0] = 10
    windows = torch.randn(100, 8, generator=generator)
    elsewhere = torch.randn(20, 8, generator=generator)
    found = objectness(
        torch.cat([repeated, elsewhere]),
        torch.tensor([0] * 30 + [1] * 20),
        windows,
        torch.ones(100, dtype=torch.long),
        neighbors=10,
    )
    assert found[:30].max() < 0.5


def test_a_single_image_has_nothing_to_be_compared_with():
    boxes, windows = torch.eye(4), torch.eye(4).flip(0)
    zero = torch.zeros(4, dtype=torch.long)
    assert objectness(boxes, zero, windows, zero).tolist() == [1] * 4


def test_no_boxes():
    none = torch.zeros(0, dtype=torch.long)
    assert objectness(torch.zeros(0, 4), none, torch.randn(3, 4), torch.arange(3)).shape == (0,)


def test_a_drawn_bank_gives_nearly_the_same():
    generator = torch.Generator().manual_seed(0)
    objects = torch.randn(200, 4, generator=generator) + torch.tensor([5.0, 0, 0, 0])
    windows = torch.randn(200, 4, generator=generator)
    images = torch.arange(200)
    all_of_them = objectness(objects, images, windows, images, neighbors=20)
    some = objectness(objects, images, windows, images, neighbors=20, bank=150)
    assert all_of_them.mean() > 0.95
    assert float(some.mean()) == pytest.approx(float(all_of_them.mean()), abs=0.05)
