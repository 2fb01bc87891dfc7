"""The dense loss beside windows: its targets and formula, and that it trains the backbone and nothing else's."""

import math

import pytest
import torch
from methods import METHODS, build, two_views

from ccrop.localization.gaussian_heatmaps import gaussian_radius
from ccrop.models import CenterHeatmapLoss, RegionPairs
from ccrop.models.center_heatmap_loss import cluster_heatmaps


def test_clusters_are_drawn_where_a_turned_view_shows_them():
    """A view of a 100 x 100 m frame, turned by 30 degrees and cut to 60 x 40 m, on a map of 30 x 20 cells of 2 m."""
    angle, extent, view = math.radians(30), 100.0, (60.0, 40.0)
    boxes = torch.tensor([[[0.45, 0.5, 0.49, 0.62, 1], [0.55, 0.45, 0.6, 0.5, 1], [0, 0, 0.1, 0.1, 1], [0.5] * 5]])
    cos, sin = math.cos(angle), math.sin(angle)
    rows = [(cos, -sin, view[0]), (sin, cos, view[1])]
    # of fractions of the frame: turn about its middle, then the view's middle is there
    linear = [[a * extent / side, b * extent / side] for a, b, side in rows]
    matrix = torch.tensor([[*each, 0.5 - sum(each) / 2] for each in linear])[None]
    heatmaps = cluster_heatmaps(boxes, torch.tensor([3]), matrix, (20, 30))
    assert heatmaps.shape == (1, 1, 20, 30)
    expected = torch.zeros(20, 30)
    for x0, y0, x1, y1, _ in boxes[0, :2].tolist():
        x, y = ((low + high) / 2 * extent - extent / 2 for low, high in ((x0, x1), (y0, y1)))
        column = math.floor((cos * x - sin * y + view[0] / 2) / 2)
        row = math.floor((sin * x + cos * y + view[1] / 2) / 2)
        radius = int(gaussian_radius(torch.tensor([(x1 - x0) * extent / 2, (y1 - y0) * extent / 2])))
        sigma = (2 * radius + 1) / 6
        for r in range(max(0, row - radius), min(20, row + radius + 1)):
            for c in range(max(0, column - radius), min(30, column + radius + 1)):
                value = math.exp(-((r - row) ** 2 + (c - column) ** 2) / (2 * sigma**2))
                expected[r, c] = max(float(expected[r, c]), value)
    torch.testing.assert_close(heatmaps[0, 0], expected)
    assert (expected == 1).sum() == 2  # the third cluster is outside the view, the fourth is padding


def test_an_untrained_head_expects_a_center_in_every_tenth_cell():
    torch.manual_seed(0)
    loss = CenterHeatmapLoss((4, 8), level=1, weight=0.5)
    maps = [None, torch.zeros(2, 8, 6, 6)]
    none = loss(maps, torch.zeros(2, 3, 5), torch.zeros(2, dtype=torch.long), torch.eye(2, 3).expand(2, 2, 3))
    p = 1 / (1 + math.exp(2.19))
    assert none.item() == pytest.approx(-0.5 * 2 * 36 * p**2 * math.log(1 - p), rel=1e-4)


def test_a_level_that_the_backbone_does_not_give_is_named():
    with pytest.raises(ValueError, match=r"map 2.*the backbone gives 2: .*model\.regions\.heatmap\.level"):
        CenterHeatmapLoss((4, 8), level=2)


@pytest.mark.parametrize("name", METHODS)
def test_every_method_trains_its_backbone_by_it(name: str):
    heatmap = dict(type=CenterHeatmapLoss, channels=4)
    model = build(name, regions=dict(type=RegionPairs, heatmap=heatmap))
    boxes = torch.tensor([[0.2, 0.2, 0.4, 0.5, 1], [0.6, 0.5, 0.9, 0.8, 1]]).expand(16, 2, 5)
    scene = dict(boxes=boxes, counts=torch.full((16,), 2), transforms=[torch.eye(2, 3).expand(16, 2, 3)] * 2)
    model.before_epoch(0, 2)
    losses = model(two_views(), **scene)
    assert set(losses) == {"loss", "loss_heatmap"}
    losses["loss_heatmap"].backward()
    trained = {key for key, parameter in model.named_parameters() if parameter.grad is not None}
    assert trained == {
        *(f"backbone.network.stages.0.{part}" for part in ("0.weight", "1.weight", "1.bias")),
        *(f"regions.heatmap.head.{part}" for part in ("0.weight", "1.weight", "1.bias", "3.weight", "3.bias")),
    }
