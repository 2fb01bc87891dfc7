"""A trained second stage and its parts, told apart on a detector and on hand-made AP."""

import numpy as np
import pytest
import torch

from ccrop.projects.lidar_bev.detection import CenterPoint
from ccrop.projects.lidar_bev.grid import Grid
from ccrop.projects.lidar_bev.models import PillarEncoder
from ccrop.projects.studies.lidar_second_stage.trained import Measured, Once, detections, mean, parts, rows_of

GRID = Grid(low=(-8, -8, -3), high=(8, 8, 1), cell=0.5)


def test_parts_of_a_second_stage():
    """Scores alone keep the boxes of the first stage, boxes alone its order; the sweep is encoded once."""
    torch.manual_seed(0)
    settings = dict(distances=(1.0,), channels=8, top=30, min_score=0.0)
    model = CenterPoint(PillarEncoder(GRID, 4, "small"), ("a",), second_stage="iou", **settings).eval()
    torch.nn.init.normal_(model.second_stage.refinement.weight, std=0.05)
    encoder = model.backbone
    calls = []
    encoder.register_forward_hook(lambda *_: calls.append(1))
    model.backbone = Once(encoder)
    points = [torch.rand(400, 4) * torch.tensor([16, 16, 3, 1]) - torch.tensor([8, 8, 2, 0])]
    every = parts(model.second_stage)
    found = {}
    for name, stage in (("first", None), *every.items()):
        model.second_stage = stage
        found[name] = detections(model, points)
    assert len(calls) == 1
    first, both, scores, boxes = found.values()
    same = lambda one, other: np.array_equal(np.sort(one.boxes, axis=0), np.sort(other.boxes, axis=0))  # noqa: E731
    assert len(first.boxes) > 10
    np.testing.assert_allclose(np.sort(scores.boxes[:, 0]), np.sort(first.boxes[:, 0]), atol=1e-5)
    np.testing.assert_array_equal(both.scores, scores.scores)
    np.testing.assert_allclose(boxes.scores, np.sqrt(first.scores / 2), rtol=1e-5)  # a confidence of a half
    assert same(boxes, both)
    assert not same(boxes, first)


def test_rows_have_differences_of_means():
    values = np.full((2, 4, 3), 0.5)
    reference = Measured(("a", "b"), values, np.full((2, 2, 3), 0.2))
    higher = [reference._replace(distance=values + np.array([[0.1], [0.3]])[..., None] * step) for step in (0.5, 1.5)]
    rows = rows_of("iou", "second stage", mean(higher), reference)
    assert [row["metric"] for row in rows] == ["AP by center distance", *(f"AP by BEV IoU of {x}" for x in (0.5, 0.7))]
    assert (rows[0]["a"], rows[0]["b"], rows[0]["mean"]) == pytest.approx((60, 80, 70))
    assert (rows[0]["difference"], rows[0]["low"], rows[0]["high"]) == pytest.approx((20, 20, 20))
    assert rows[1]["difference"] == 0
