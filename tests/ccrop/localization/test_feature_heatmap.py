import math

import pytest
import torch
import torch.nn.functional as F

from ccrop.localization import feature_heatmap, fused_heatmap
from ccrop.localization.feature_heatmap import upsampled


def by_hand(feature):
    """Rows of the heatmap of one feature map, given as nested lists (C, H, W)."""
    rows = [
        [sum(channel[y][x] for channel in feature) for x in range(len(feature[0][0]))] for y in range(len(feature[0]))
    ]
    low, high = min(map(min, rows)), max(map(max, rows))
    return [[(value - low) / (high - low) for value in row] for row in rows]


def test_sums_channels_and_normalizes():
    features = torch.tensor([[[[1.0, -2.0]], [[3.0, 0.0]]], [[[0.0, 1.0]], [[10.0, 1.0]]]])
    # the sums are 4, -2 and 10, 2
    assert feature_heatmap(features).tolist() == [[[1.0, 0.0]], [[1.0, 0.0]]]
    assert feature_heatmap(torch.tensor([[[[0.0, 1.0, 4.0]]]])).tolist() == [[[0.0, 0.25, 1.0]]]


@pytest.mark.parametrize("size", [(1, 2), (7, 7), (14, 9)])
def test_agrees_with_the_formula(size):
    features = torch.randn(5, 3, *size, generator=torch.Generator().manual_seed(0))
    expected = torch.tensor([by_hand(feature) for feature in features.double().tolist()])
    torch.testing.assert_close(feature_heatmap(features), expected, atol=1e-6, rtol=0)


def distance_by_hand(feature, inside):
    """The same from distances to the mean over the cells inside, zero outside."""
    height, width = len(feature[0]), len(feature[0][0])
    cells = [(y, x) for y in range(height) for x in range(width) if inside[y][x]]
    means = [sum(channel[y][x] for y, x in cells) / len(cells) for channel in feature]
    far = {
        (y, x): math.sqrt(sum((channel[y][x] - mean) ** 2 for channel, mean in zip(feature, means, strict=True)))
        for y, x in cells
    }
    low, high = min(far.values()), max(far.values())
    return [[(far[y, x] - low) / (high - low) if (y, x) in far else 0.0 for x in range(width)] for y in range(height)]


@pytest.mark.parametrize("size", [(1, 3), (7, 7), (14, 9)])
def test_distance_agrees_with_the_formula(size):
    features = torch.randn(5, 3, *size, generator=torch.Generator().manual_seed(0))
    everywhere = [[True] * size[1]] * size[0]
    expected = torch.tensor([distance_by_hand(feature, everywhere) for feature in features.double().tolist()])
    torch.testing.assert_close(feature_heatmap(features, response="distance"), expected, atol=1e-5, rtol=0)


def test_distance_ignores_padding():
    features = torch.randn(2, 3, 6, 8, generator=torch.Generator().manual_seed(0))
    valid = torch.tensor([[0.0, 0.0, 1.0, 0.5], [0.0, 0.0, 0.75, 1.0]])
    inside = [[[y < 3 for _ in range(8)] for y in range(6)], [[x < 6 for x in range(8)] for _ in range(6)]]
    expected = torch.tensor(
        [distance_by_hand(feature, mask) for feature, mask in zip(features.double().tolist(), inside, strict=True)]
    )
    found = feature_heatmap(features, valid, "distance")
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
    features[0, :, 3:] = 1e4
    torch.testing.assert_close(feature_heatmap(features, valid, "distance"), found)


def test_distance_finds_what_responds_less():
    features = torch.full((1, 4, 5, 5), 3.0)
    features[0, :, 2, 2] = 1.0
    assert feature_heatmap(features)[0, 2, 2] == 0
    assert feature_heatmap(features, response="distance")[0, 2, 2] == 1
    assert feature_heatmap(features, response="distance").sum() == 1


def test_distance_without_signal_is_zero():
    for value in (0.0, 2.0, math.nan, math.inf):
        assert (feature_heatmap(torch.full((1, 2, 3, 3), value), response="distance") == 0).all()


def test_an_unknown_response_is_named():
    with pytest.raises(ValueError, match="response must be one of sum, distance, got 'mean'"):
        feature_heatmap(torch.rand(1, 2, 3, 3), response="mean")


def test_each_image_has_its_own_range():
    features = torch.rand(4, 2, 3, 3, generator=torch.Generator().manual_seed(0))
    features *= torch.tensor([1e-3, 1.0, 1e3, 1e6])[:, None, None, None]
    heatmap = feature_heatmap(features)
    assert heatmap.amin(dim=(1, 2)).tolist() == [0] * 4
    assert heatmap.amax(dim=(1, 2)).tolist() == [1] * 4
    for alone, together in zip(features.split(1), heatmap, strict=True):
        assert torch.equal(feature_heatmap(alone)[0], together)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_summed_in_float32(dtype):
    features = torch.ones(1, 4096, 1, 2, dtype=dtype)
    features[:, :10, :, 1] = 0
    features = torch.cat([features, torch.zeros(1, 4096, 1, 1, dtype=dtype)], dim=3)
    # in half precision, 4096 and 4086 are the same number
    assert feature_heatmap(features).tolist() == [[[1.0, pytest.approx(4086 / 4096), 0.0]]]
    assert feature_heatmap(features).dtype == torch.float32


@pytest.mark.parametrize("value", [0.0, 3.0, -1e30, math.nan, math.inf, -math.inf])
def test_no_signal_is_zero(value):
    features = torch.rand(3, 2, 4, 5, generator=torch.Generator().manual_seed(0))
    expected = feature_heatmap(features)
    features[1] = value
    heatmap = feature_heatmap(features)
    assert (heatmap[1] == 0).all()
    assert torch.equal(heatmap[::2], expected[::2])


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_one_non_finite_number_spoils_its_image_only(value):
    features = torch.rand(2, 2, 4, 5, generator=torch.Generator().manual_seed(0))
    features[0, 1, 2, 3] = value
    heatmap = feature_heatmap(features)
    assert (heatmap[0] == 0).all()
    assert heatmap[1].max() == 1


def test_range_beyond_float32_is_no_signal():
    assert feature_heatmap(torch.tensor([[[[-3e38, 0.0, 3e38]]]])).tolist() == [[[0.0, 0.0, 0.0]]]


PADDED = torch.tensor([[0.0, 0.25, 1.0, 0.75], [0.0, 0.0, 1.0, 1.0], [0.5, 0.0, 1.0, 1.0]])


@pytest.mark.parametrize("padding", [0.0, 1e6, -1e6, math.nan, math.inf])
def test_padding_is_zero_and_does_not_count_for_the_range(padding):
    features = torch.randn(3, 2, 8, 6, generator=torch.Generator().manual_seed(0))
    features[0, :, [0, 1, 6, 7]] = padding
    features[2, :, :, :3] = padding
    heatmap = feature_heatmap(features, PADDED)
    assert torch.equal(heatmap[0, 2:6], feature_heatmap(features[:1, :, 2:6])[0])
    assert torch.equal(heatmap[1], feature_heatmap(features[1:2])[0])
    assert torch.equal(heatmap[2, :, 3:], feature_heatmap(features[2:, :, :, 3:])[0])
    assert (heatmap[0, [0, 1, 6, 7]] == 0).all()
    assert (heatmap[2, :, :3] == 0).all()


def test_an_image_smaller_than_a_cell_has_no_signal():
    features = torch.randn(1, 2, 4, 4, generator=torch.Generator().manual_seed(0))
    assert (feature_heatmap(features, torch.tensor([[0.0, 0.0, 0.05, 1.0]])) == 0).all()


def test_upsampling_keeps_padding_out_of_the_image():
    heatmap = torch.rand(3, 8, 6, generator=torch.Generator().manual_seed(0))
    heatmap[0, [0, 1, 6, 7]] = 0
    heatmap[2, :, :3] = 0
    large = upsampled(heatmap, (24, 30), PADDED)
    torch.testing.assert_close(large[0, 6:18], upsampled(heatmap[:1, 2:6], (12, 30))[0])
    torch.testing.assert_close(large[1], upsampled(heatmap[1:2], (24, 30))[0])
    torch.testing.assert_close(large[2, :, 15:], upsampled(heatmap[2:, :, 3:], (24, 15))[0])
    assert (large[0, :6] == 0).all()
    assert (large[2, :, :15] == 0).all()
    assert upsampled(heatmap, (8, 6), PADDED) is heatmap


def test_upsampling_is_linear_between_cell_centers():
    large = upsampled(torch.tensor([[[0.0, 1.0]]]), (1, 4))
    assert large.tolist() == [[[0.0, 0.25, 0.75, 1.0]]]


@pytest.mark.parametrize(("fusion", "expected"), [("arithmetic", [0, 0.5, 0.25, 1]), ("geometric", [0, 0, 0.25, 1])])
def test_mean_of_two_levels(fusion, expected):
    first = torch.tensor([[[[0.0, 4.0, 1.0, 4.0]]]])
    second = torch.tensor([[[[-1.0, -1.0, 1.0, 7.0]]]])
    # the heatmaps are 0, 1, 1/4, 1 and 0, 0, 1/4, 1
    assert fused_heatmap([first, second], fusion)[0, 0].tolist() == pytest.approx(expected)


@pytest.mark.parametrize("fusion", ["geometric", "arithmetic"])
def test_agrees_with_the_formula_of_fusion(fusion):
    generator = torch.Generator().manual_seed(0)
    sizes = [(4, 3), (16, 12), (8, 6)]
    levels = [torch.randn(5, 3, *size, generator=generator) for size in sizes]
    heatmap = fused_heatmap(levels, fusion)
    assert heatmap.shape == (5, 16, 12)
    for number in range(5):
        maps = [torch.tensor(by_hand(level[number].tolist()), dtype=torch.float64) for level in levels]
        maps = [F.interpolate(m[None, None], (16, 12), mode="bilinear")[0, 0] for m in maps]
        mean = sum(maps) / 3 if fusion == "arithmetic" else torch.stack(maps).log().mean(dim=0).exp()
        expected = (mean - mean.min()) / (mean.max() - mean.min())
        torch.testing.assert_close(heatmap[number].double(), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("fusion", ["geometric", "arithmetic"])
def test_coarse_says_what_and_fine_says_where(fusion):
    fine = torch.zeros(1, 1, 16, 16)
    fine[..., [2, 13], [2, 13]] = 1  # two equal spots
    coarse = torch.zeros(1, 1, 4, 4)
    coarse[..., 3, 3] = 1
    heatmap = fused_heatmap([fine, coarse], fusion)[0]
    assert heatmap.flatten().argmax() == 13 * 16 + 13
    assert heatmap[2, 2] < 0.6


def test_one_level_is_its_own_heatmap():
    features = torch.randn(2, 3, 5, 4, generator=torch.Generator().manual_seed(0))
    for fusion in ("geometric", "arithmetic"):
        assert torch.equal(fused_heatmap([features], fusion), feature_heatmap(features))
        torch.testing.assert_close(fused_heatmap([features] * 3, fusion), feature_heatmap(features))


@pytest.mark.parametrize("value", [0.0, 2.0, math.nan])
def test_a_level_without_signal(value):
    fine = torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    coarse = torch.rand(2, 1, 4, 4, generator=torch.Generator().manual_seed(1))
    coarse[0] = value
    assert (fused_heatmap([fine, coarse], "geometric")[0] == 0).all()
    torch.testing.assert_close(fused_heatmap([fine, coarse], "arithmetic")[0], feature_heatmap(fine)[0])
    for fusion in ("geometric", "arithmetic"):
        assert fused_heatmap([fine, coarse], fusion)[1].max() == 1


def test_fused_padding_is_zero():
    levels = [torch.rand(3, 2, *size, generator=torch.Generator().manual_seed(0)) for size in [(16, 12), (8, 6)]]
    for fusion in ("geometric", "arithmetic"):
        heatmap = fused_heatmap(levels, fusion, PADDED)
        cut = fused_heatmap([levels[0][:1, :, 4:12], levels[1][:1, :, 2:6]], fusion)
        torch.testing.assert_close(heatmap[0, 4:12], cut[0])
        assert (heatmap[0, [0, 3, 12, 15]] == 0).all()


def test_refuses_another_fusion():
    with pytest.raises(ValueError, match="fusion must be one of geometric, arithmetic, got 'sum'"):
        fused_heatmap([torch.zeros(1, 1, 2, 2)], "sum")
