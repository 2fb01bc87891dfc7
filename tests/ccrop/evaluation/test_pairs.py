"""Statistics of pairs, by hand."""

import math

import pytest
import torch

from ccrop.evaluation import pair_statistics, partners_found


def test_by_hand():
    views = torch.tensor(
        [
            [[0, 0, 100, 100], [50, 0, 150, 100]],  # share 50 x 100
            [[0, 0, 40, 40], [60, 60, 100, 100]],  # share nothing
            [[0, 0, 200, 100], [0, 0, 200, 100]],  # are the same
        ]
    )
    objects = torch.tensor(
        [
            [[60, 10, 80, 30], [0, 0, 100, 100]],  # 20 x 20 inside both; 100 x 100 half inside the second
            [[0, 0, 40, 40], [0, 0, 0, 0]],  # only in the first
            [[150, 0, 350, 100], [0, 0, 9, 9]],  # a quarter inside; the other is beyond the count
        ]
    )
    found = pair_statistics(views, objects, torch.tensor([2, 1, 1]))
    assert found.common == pytest.approx(1 / 3)
    assert found.iou == pytest.approx((5000 / 15000 + 0 + 1) / 3)
    assert found.view_share["small"] == pytest.approx(400 / 10000)
    assert found.view_share["large"] == pytest.approx((1.0 + 0.5) / 2)
    assert math.isnan(found.view_share["medium"])


def test_an_object_without_area_is_none():
    views = torch.tensor([[[0, 0, 10, 10]] * 2])
    found = pair_statistics(views, torch.tensor([[[5, 5, 5, 9]]]), torch.tensor([1]))
    assert found.common == 0


@pytest.mark.parametrize("visible", [0.3, 0.5, 0.9])
def test_how_much_must_be_seen(visible: float):
    widths = torch.arange(1, 101)
    first = torch.stack([torch.zeros(100), torch.zeros(100), widths, torch.full((100,), 50)], dim=1)
    views = torch.stack([first, torch.tensor([0, 0, 100, 50]).expand(100, 4)], dim=1)
    objects = torch.tensor([[[0.0, 0, 100, 50]]]).expand(100, 1, 4)
    found = pair_statistics(views, objects, torch.ones(100), visible)
    assert found.common == pytest.approx((widths >= 100 * visible).double().mean().item())


def test_partners_are_found_among_all_views():
    angles = torch.tensor([0.0, 1.5, 3.0, 4.5])
    first = torch.stack([angles.cos(), angles.sin()], dim=1)
    assert partners_found(first, 3 * first) == 1  # lengths do not count
    assert partners_found(first, first[[1, 0, 2, 3]]) == 0.5
    assert partners_found(first, first.roll(1, dims=0)) == 0
    constant = torch.ones(8, 4)
    assert partners_found(constant, constant) == pytest.approx(1 / 8)  # a collapsed network
