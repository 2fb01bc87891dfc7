import math

import numpy as np
import one_heatmap
import pytest
import torch
import torch.nn.functional as F

from ccrop.localization import peak_regions
from ccrop.localization.heatmap_regions import cell_order

SIZES = [(1, 1), (1, 9), (8, 1), (2, 2), (7, 7), (14, 9), (28, 28)]
RULES = [dict(min_distance=distance, merge=merge) for distance in (1, 2, 3) for merge in (0.5, 0.8, 1.0)]


def noise(generator, size):
    return torch.rand(6, *size, generator=generator)


def smooth(generator, size):
    """About one hill for every 4 x 4 cells."""
    coarse = torch.rand(6, 1, 2 + size[0] // 4, 2 + size[1] // 4, generator=generator)
    return F.interpolate(coarse, size, mode="bicubic").clamp(0, 1)[:, 0]


def plateaus(generator, size):
    return torch.randint(0, 5, (6, *size), generator=generator) / 4


def terraces(generator, size):
    return (smooth(generator, size) * 6).floor() / 6


def sparse(generator, size):
    """Three cells of four are exactly zero."""
    return noise(generator, size) * (noise(generator, size) > 0.75)


def outside(generator, size):
    """The last third of the rows is no part of the image."""
    heatmap = smooth(generator, size)
    heatmap[:, -(size[0] // 3) :] = -1
    return heatmap


def assert_equals_one_by_one(heatmap, **rule):
    regions = peak_regions(heatmap, **rule)
    assert regions.dtype == torch.long
    expected = np.stack([one_heatmap.regions(image, **rule) for image in heatmap.numpy()])
    within = heatmap >= 0
    assert torch.equal(regions[within], torch.from_numpy(expected)[within])


def rows(text):
    """A heatmap of tenths, as its digits read."""
    return torch.tensor([[int(digit) for digit in line] for line in text.split()])[None] / 10


@pytest.mark.parametrize("maps", [noise, smooth, plateaus, terraces, sparse, outside])
@pytest.mark.parametrize("size", SIZES)
def test_equals_tomato_cell_by_cell(size, maps):
    heatmap = maps(torch.Generator().manual_seed(sum(size)), size)
    for rule in RULES if math.prod(size) < 200 else RULES[1::3]:
        assert_equals_one_by_one(heatmap, **rule)


def test_equals_tomato_on_many_small_maps():
    generator = torch.Generator().manual_seed(0)
    for levels in (3, 6, 1000):
        heatmap = torch.randint(0, levels, (500, 5, 6), generator=generator) / (levels - 1)
        assert_equals_one_by_one(heatmap, merge=0.6)


def test_two_hills_share_the_cells_between_them():
    regions = peak_regions(rows("3952483"))
    assert regions.tolist() == [[[1, 1, 1, 1, 5, 5, 5]]]


def test_a_cell_climbs_to_its_highest_neighbor():
    assert peak_regions(rows("85679")).tolist() == [[[0, 0, 4, 4, 4]]]
    assert peak_regions(rows("649")).tolist() == [[[0, 2, 2]]]
    # the corner counts as a neighbor
    assert peak_regions(rows("600 030 009"))[0, 1, 1] == 8


@pytest.mark.parametrize(("merge", "expected"), [(0.76, [1, 1, 1, 3, 3]), (0.75, [1] * 5), (0.7, [1] * 5)])
def test_a_saddle_of_three_quarters_of_the_lower_peak(merge, expected):
    heatmap = torch.tensor([[[0.25, 1.0, 0.375, 0.5, 0.25]]])
    assert peak_regions(heatmap, merge=merge).tolist() == [[expected]]


def test_the_lower_peak_decides():
    # the saddle 6 is high beside 7 and low beside 9
    assert peak_regions(rows("09670"), merge=0.8).tolist() == [[[1] * 5]]
    assert peak_regions(rows("09690"), merge=0.8).tolist() == [[[1, 1, 1, 3, 3]]]


def test_a_chain_of_small_steps_is_one_hill():
    heatmap = torch.tensor([[[0.50, 0.45, 0.60, 0.55, 0.75, 0.70, 1.0]]])
    assert peak_regions(heatmap, merge=0.8).tolist() == [[[6] * 7]]


def test_a_low_bridge_joins_one_hill_only():
    """The plateau of 0.3 is level with both of its saddles and must not join the hills with each other."""
    regions = peak_regions(rows("00000000 09333380 00000000"))
    peaks = regions[0, 1, 1:7].tolist()
    assert peaks[0] == 9
    assert peaks[-1] == 14
    assert set(peaks) == {9, 14}


@pytest.mark.parametrize("height", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("size", [(1, 1), (3, 4), (9, 30)])
def test_a_level_map_is_one_region(size, height):
    assert (peak_regions(torch.full((2, *size), height), merge=1.0) == 0).all()


def test_a_plateau_is_one_region_whatever_its_shape():
    heatmap = rows("50505 55555 00500 55555 50505 00000 00050")
    regions = peak_regions(heatmap, merge=1.0)
    assert regions[heatmap == 0.5].unique().tolist() == [0, 33]


def test_peaks_within_min_distance_are_one():
    heatmap = rows("0900800")
    assert peak_regions(heatmap, 2)[0, 0].unique().tolist() == [1, 4]
    assert peak_regions(heatmap, 3)[0, 0].unique().tolist() == [1]
    heatmap = rows("90000 00000 00008")
    assert peak_regions(heatmap, 3).unique().tolist() == [0, 14]
    assert peak_regions(heatmap, 4).unique().tolist() == [0]


def test_cells_outside_separate():
    heatmap = rows("98789")
    assert peak_regions(heatmap, merge=0.5).unique().tolist() == [0]
    heatmap[..., 2] = -1
    assert peak_regions(heatmap, merge=0.5)[0, 0, [0, 1, 3, 4]].tolist() == [0, 0, 4, 4]


def test_a_long_stair_of_peaks():
    """Each peak joins the next over a saddle that is higher than the one behind it: one after the other."""
    steps = torch.arange(40)
    heatmap = torch.zeros(1, 1, 80)
    heatmap[0, 0, ::2] = 0.5 + steps / 100
    heatmap[0, 0, 1::2] = 0.49 + steps / 100
    for turned in (heatmap, heatmap.flip(2), heatmap.transpose(1, 2)):
        assert_equals_one_by_one(turned, merge=0.9)
        assert len(peak_regions(turned, merge=0.9).unique()) == 1


def test_does_not_depend_on_the_rest_of_the_batch():
    generator = torch.Generator().manual_seed(0)
    heatmap = torch.cat([maps(generator, (9, 12)) for maps in (noise, smooth, plateaus, sparse, outside)])
    alone = torch.cat([peak_regions(image[None]) for image in heatmap])
    assert torch.equal(peak_regions(heatmap), alone)
    assert torch.equal(peak_regions(heatmap.transpose(1, 2).contiguous().transpose(1, 2)), alone)


def test_no_images():
    assert peak_regions(torch.zeros(0, 4, 5)).shape == (0, 4, 5)


def test_order_of_cells():
    heatmap = torch.tensor([[[0.25, 1.0, 0.0], [1.0, 1e-40, -1.0]]])
    order = cell_order(heatmap).flatten()
    assert order.argsort(descending=True).tolist() == [1, 3, 0, 4, 2, 5]
    assert (order >= 0).tolist() == [True] * 5 + [False]
    assert torch.equal(cell_order(torch.tensor([[[-0.0]]])), cell_order(torch.tensor([[[0.0]]])))


def test_refuses_maps_with_too_many_cells():
    with pytest.raises(ValueError, match="at most 4194304 cells, got 2048 x 2049"):
        peak_regions(torch.empty(1, 2048, 2049, device="meta"))
