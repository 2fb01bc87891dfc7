import math

import pytest
import torch

from ccrop.localization import feature_heatmap


def by_hand(feature):
    """Rows of the heatmap of one feature map, given as nested lists (C, H, W)."""
    rows = [
        [sum(channel[y][x] for channel in feature) for x in range(len(feature[0][0]))] for y in range(len(feature[0]))
    ]
    low, high = min(map(min, rows)), max(map(max, rows))
    return [[(value - low) / (high - low) for value in row] for row in rows]


def test_sums_channels_and_normalises():
    features = torch.tensor([[[[1.0, -2.0]], [[3.0, 0.0]]], [[[0.0, 1.0]], [[10.0, 1.0]]]])
    # the sums are 4, -2 and 10, 2
    assert feature_heatmap(features).tolist() == [[[1.0, 0.0]], [[1.0, 0.0]]]
    assert feature_heatmap(torch.tensor([[[[0.0, 1.0, 4.0]]]])).tolist() == [[[0.0, 0.25, 1.0]]]


@pytest.mark.parametrize("size", [(1, 2), (7, 7), (14, 9)])
def test_agrees_with_the_formula(size):
    features = torch.randn(5, 3, *size, generator=torch.Generator().manual_seed(0))
    expected = torch.tensor([by_hand(feature) for feature in features.double().tolist()])
    torch.testing.assert_close(feature_heatmap(features), expected, atol=1e-6, rtol=0)


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
