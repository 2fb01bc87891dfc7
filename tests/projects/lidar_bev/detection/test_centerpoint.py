"""The detector as a whole: it learns two sweeps by heart."""

import numpy as np
import pytest
import torch

from ccrop.projects.lidar_bev.detection import CenterPoint, LabeledSweep
from ccrop.projects.lidar_bev.evaluation.center_ap import Truth, center_metrics
from ccrop.projects.lidar_bev.grid import Grid
from ccrop.projects.lidar_bev.models import PillarEncoder

GRID = Grid(low=(-8, -8, -3), high=(8, 8, 1), cell=0.5)
CLASSES = ("Car", "Pedestrian")


def detector(heading: str = "angle") -> CenterPoint:
    torch.manual_seed(0)
    return CenterPoint(PillarEncoder(GRID, 4, "small"), CLASSES, distances=(2.0, 0.5), channels=16, heading=heading)


def sweep_with_boxes(seed: int):
    """Noise on the ground, and boxes full of points."""
    rng = np.random.default_rng(seed)
    place = np.array([(-5, -5), (-5, 4), (0, 0), (5, -4), (4, 5)]) + rng.uniform(-0.7, 0.7, (5, 2))
    labels = np.array([0, 1, 0, 1, 0])
    sizes = np.where(labels[:, None] == 0, (4.0, 1.8, 1.5), (0.6, 0.6, 1.8))
    boxes = np.column_stack([place, np.full(5, -1.0), sizes, rng.uniform(-3, 3, 5)]).astype(np.float32)
    points = [np.column_stack([rng.uniform(-8, 8, (300, 2)), np.full((300, 2), (-1.8, 0.3))])]
    for box in boxes:
        local = rng.uniform(-0.5, 0.5, (60, 3)) * box[3:6]
        cos, sin = np.cos(box[6]), np.sin(box[6])
        x, y = cos * local[:, 0] - sin * local[:, 1], sin * local[:, 0] + cos * local[:, 1]
        points.append(np.column_stack([x + box[0], y + box[1], local[:, 2] + box[2], np.full(60, 0.6)]))
    return np.concatenate(points).astype(np.float32), boxes, labels


def test_two_sweeps_are_learned_by_heart():
    model = detector(heading="axis")
    sweeps = [sweep_with_boxes(seed) for seed in (0, 1)]
    points, boxes, labels = ([torch.from_numpy(sweep[i]) for sweep in sweeps] for i in range(3))
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    losses = []
    for _ in range(120):
        loss, _ = model.parse_losses(model(points, boxes, labels, mode="loss"))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 5
    found = model(points, mode="predict")  # by the batch's own statistics, which are those that were learned
    truths = [Truth(own.numpy(), classes.numpy()) for own, classes in zip(boxes, labels, strict=True)]
    for label in range(2):
        metrics = center_metrics(truths, found, label)
        assert metrics.mean_ap > 0.9
        assert metrics.translation < 0.3
        assert metrics.heading < 0.3


def test_the_first_heatmaps_are_nearly_empty():
    model = detector().eval()
    with torch.no_grad():
        maps = model([torch.from_numpy(sweep_with_boxes(0)[0])])
    assert maps.logits.shape == (1, 2, 16, 16)
    assert maps.regression.shape == (1, 8, 16, 16)
    assert maps.logits.sigmoid().mean().item() == pytest.approx(0.1, abs=0.02)


def test_every_parameter_learns():
    model = detector()
    points, boxes, labels = (torch.from_numpy(each) for each in sweep_with_boxes(0))
    model.parse_losses(model([points], [boxes], [labels], mode="loss"))[0].backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())


def test_a_distance_for_each_class():
    with pytest.raises(ValueError, match="an entry for each of the classes"):
        CenterPoint(PillarEncoder(GRID, 4, "small"), CLASSES, distances=(2.0,))


def test_an_unknown_code_of_headings_is_refused():
    with pytest.raises(ValueError, match=r"model\.heading must be one of angle, axis, got 'bins'"):
        detector("bins")


def test_samples_move_with_their_boxes_and_objects_without_points_are_no_class():
    points, boxes, labels = sweep_with_boxes(2)
    sample = dict(points=points, boxes=boxes, labels=labels, num_points=np.array([0, 60, 60, 60, 60]))
    step = LabeledSweep(dict(angle=0.0, mirror_x=0.0, mirror_y=1.0, scale=(1.0, 1.0), shift=(0.0, 0.0, 0.0)))
    packed = step(sample | dict(rng=np.random.default_rng(0)))
    mirrored = torch.from_numpy(boxes) * torch.tensor([1.0, -1, 1, 1, 1, 1, -1])
    torch.testing.assert_close(packed["boxes"], mirrored)
    torch.testing.assert_close(packed["points"], torch.from_numpy(points) * torch.tensor([1.0, -1, 1, 1]))
    assert packed["labels"].tolist() == [-1, 1, 0, 1, 0]


def test_groups_have_heads_of_their_own():
    torch.manual_seed(0)
    encoder = PillarEncoder(GRID, 4, "small")
    model = CenterPoint(encoder, ("a", "b", "c"), (1.0, 1.0, 1.0), 8, groups=(("c",), ("a", "b")), velocity=True)
    maps = model([torch.from_numpy(sweep_with_boxes(0)[0])])
    assert maps.logits.shape == (1, 3, 16, 16)
    assert maps.regression.shape == (1, 2 * 10, 16, 16)
    # c's heatmap and the first group's boxes alone hang on the first half of the grouped convolutions
    for outputs, first in ((maps.logits[:, 2], True), (maps.logits[:, 0], False), (maps.regression[:, 10:], False)):
        branch = model.head.regression if outputs.ndim == 4 else model.head.heatmaps
        (gradient,) = torch.autograd.grad(outputs.sum(), branch[0][0].weight, retain_graph=True)
        assert [bool(half.abs().sum() > 0) for half in gradient.chunk(2)] == [first, not first]
    with pytest.raises(ValueError, match="must name each of the classes a, b, c once, got a, b: set both"):
        CenterPoint(encoder, ("a", "b", "c"), (1.0, 1.0, 1.0), groups=(("a", "b"),))


def test_velocities_move_with_their_sweep():
    points, boxes, labels = sweep_with_boxes(2)
    velocities = np.array([[1, 2], [0, 1], [3, 0], [np.nan, np.nan], [0, 0]], dtype=np.float32)
    sample = dict(points=points, boxes=boxes, labels=labels, num_points=np.full(5, 60), velocities=velocities)
    step = LabeledSweep(dict(angle=0.0, mirror_x=1.0, mirror_y=0.0, scale=(1.1, 1.1), shift=(3.0, 3.0, 3.0)))
    moved = step(sample | dict(rng=np.random.default_rng(0)))["velocities"].numpy()
    np.testing.assert_allclose(moved, velocities * np.float32(1.1) * [-1, 1], rtol=1e-6)


def test_in_bf16_points_and_losses_keep_their_digits():
    """Coordinates of 50 m have steps of 0.25 m in bf16: what comes of points is the same bit for bit."""
    model = detector()
    points, boxes, labels = (torch.from_numpy(each) for each in sweep_with_boxes(0))
    expected = model.backbone.pillars([points])
    plain = model([points], [boxes], [labels], mode="loss")
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(model.backbone.pillars([points]), expected)
        assert {each.dtype for each in model([points])[:2]} == {torch.float32}
        losses = model([points], [boxes], [labels], mode="loss")
    assert {name: loss.item() for name, loss in losses.items()} == pytest.approx(
        {name: loss.item() for name, loss in plain.items()}, rel=0.02
    )
