"""The second stage: sampling points, targets, scores and gradients by hand, and a detector that learns with it."""

import math

import numpy as np
import pytest
import torch

from ccrop.projects.lidar_bev.detection import CenterPoint
from ccrop.projects.lidar_bev.detection.decoding import Decoded
from ccrop.projects.lidar_bev.detection.second_stage import (
    CONFIDENCES,
    SecondStage,
    box_points,
    drawn,
    joint_score,
    matched,
    refined,
    refinements,
    sampled,
)
from ccrop.projects.lidar_bev.evaluation.polygons import ious_3d
from ccrop.projects.lidar_bev.grid import Grid
from ccrop.projects.lidar_bev.models import PillarEncoder
from ccrop.projects.lidar_bev.views import Motion

GRID = Grid(low=(-8, -8, -3), high=(8, 8, 1), cell=0.5)
CAR = (4.0, 2.0, 1.5)


def found_of(boxes: torch.Tensor, labels: list[int], kept: list[bool] | None = None) -> Decoded:
    """Detections of one sweep."""
    keep = torch.ones(1, len(boxes), dtype=torch.bool) if kept is None else torch.tensor([kept])
    return Decoded(boxes[None], torch.full((1, len(boxes)), 0.5), torch.tensor([labels]), keep, None)


def random_boxes(number: int, seed: int) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    values = [rng.uniform(-6, 6, (number, 3)), rng.uniform(0.5, 4, (number, 3)), rng.uniform(-3.1, 3.1, (number, 1))]
    return torch.from_numpy(np.concatenate(values, axis=1))


def test_points_of_a_rotated_box():
    """Heading 30 degrees: ahead is (cos 30, sin 30), left is (-sin 30, cos 30)."""
    points = box_points(torch.tensor([1.0, -2, 0, 4, 2, 1.5, math.pi / 6]))
    c, s = math.sqrt(3) / 2, 0.5
    expected = [(1, -2), (1 + 2 * c, -2 + 2 * s), (1 - 2 * c, -2 - 2 * s), (1 - s, -2 + c), (1 + s, -2 - c)]
    np.testing.assert_allclose(points.numpy(), expected, atol=1e-6)


def test_values_are_bilinear_between_centers_of_cells_and_zero_beyond():
    """A map of x and y of its cells' centers gives the places back: columns run along x, rows along y."""
    centers = torch.arange(16) - 7.5
    maps = torch.stack([centers.expand(16, 16), centers[:, None].expand(16, 16)])[None]
    places = torch.tensor([[[(0.0, 0.0), (-7.5, 3.2), (6.25, -5.5)], [(1.0, 7.5), (9.1, 0.0), (0.0, -30.0)]]])
    values = sampled(maps, places, GRID)
    assert values.shape == (1, 2, 3, 2)
    inside = (places.abs() <= 7.5).all(dim=-1)
    torch.testing.assert_close(values[inside], places[inside])
    assert (values[~inside] == 0).all()
    assert inside.sum() == 4


def test_refinements_by_hand_and_back():
    """An object a meter to the north of a box that heads north is a meter ahead of it."""
    box = torch.tensor([1.0, 2, 0, 4, 2, 1.5, math.pi / 2])
    thing = torch.tensor([0.5, 3.0, 0.2, 5, 2, 3, math.pi / 2 + 0.1 - math.pi])
    expected = [1, 0.5, 0.2, math.log(1.25), 0, math.log(2), 0.1]
    assert refinements(box, thing).tolist() == pytest.approx(expected, abs=1e-6)
    boxes, objects = random_boxes(50, 0), random_boxes(50, 1)
    back = refined(boxes, refinements(boxes, objects))
    torch.testing.assert_close(back[:, :6], objects[:, :6])
    torch.testing.assert_close((2 * back[:, 6]).cos(), (2 * objects[:, 6]).cos())  # the same axis
    torch.testing.assert_close((2 * back[:, 6]).sin(), (2 * objects[:, 6]).sin())
    assert ((back[:, 6] - boxes[:, 6]).cos() > -1e-9).all()  # at most a right angle from the first stage's heading
    assert (back[:, 6].abs() <= math.pi).all()


def test_confidences_by_overlap():
    """The same class counts, the nearest object of it, and min(1, max(0, 2 * IoU - 0.5)) of the volumes."""
    box = torch.tensor([0.0, 0, 0, *CAR, 0.3])
    move = lambda ahead: box + torch.tensor([ahead * math.cos(0.3), ahead * math.sin(0.3), 0, 0, 0, 0, 0])  # noqa: E731
    boxes = torch.stack([move(0.4), move(1.0), move(2.0), move(0.0), move(0.1), move(0.0)])
    kept = [True, True, True, True, True, False]
    found = found_of(boxes, [0, 0, 0, 1, 2, 0], kept)
    far = torch.tensor([50.0, 50, 0, *CAR, 0])
    matches = matched(found, [torch.stack([far, box, box])], [torch.tensor([0, 0, -1])], "iou")
    ious = [3.6 / 4.4, 3 / 5, 2 / 6, 0, 0, 0]  # of a length of 4, the overlap is 4 - d of 4 + d
    expected = [min(1, max(0, 2 * iou - 0.5)) for iou in ious]
    assert matches.confidence[0].tolist() == pytest.approx(expected, abs=1e-5)
    assert matches.right[0].tolist() == [True, True, False, False, False, False]
    assert matches.nearest[0, :3].tolist() == [1, 1, 1]
    torch.testing.assert_close(matches.objects[0, 0], box)
    torch.testing.assert_close(matches.objects[0, 3:], boxes[3:])  # no object of the class: the box itself


def test_confidences_by_distance():
    """Within a meter, and for each object only the nearest box: another one is a false detection."""
    things = torch.tensor([[0.0, 0, 0, *CAR, 0], [0.0, 5, 0, *CAR, 0], [6.0, 0, 0, *CAR, 0]])
    boxes = torch.tensor([[0.5, 0, 0, *CAR, 1], [-0.3, 0, 0, *CAR, 0], [0, 3.9, 0, *CAR, 0], [6, 0.9, 0, *CAR, 0]])
    matches = matched(found_of(boxes, [0, 0, 0, 0]), [things], [torch.zeros(3, dtype=torch.long)], "distance")
    assert matches.confidence[0].tolist() == [0, 1, 0, 1]
    assert matches.right[0].tolist() == [False, True, False, True]
    unkept = found_of(boxes, [0, 0, 0, 0], [True, False, True, True])
    matches = matched(unkept, [things], [torch.zeros(3, dtype=torch.long)], "distance")
    assert matches.confidence[0].tolist() == [1, 0, 0, 1]


@pytest.mark.parametrize("confidence", CONFIDENCES)
def test_sweeps_of_a_batch_are_matched_alone(confidence: str):
    """Any sweeps, with other numbers of objects and without any: as if each were the batch."""
    objects = [random_boxes(5, 2), random_boxes(0, 3), random_boxes(9, 4)]
    labels = [torch.arange(len(own)) % 2 for own in objects]
    noise = torch.randn(3, 9, 7, generator=torch.Generator().manual_seed(0), dtype=torch.double) * 0.2
    boxes = torch.stack([random_boxes(9, 4), random_boxes(9, 5), objects[2] + noise[2]])
    found = Decoded(boxes, torch.ones(3, 9), (torch.arange(9) % 2).expand(3, 9), torch.ones(3, 9) > 0, None)
    every = matched(found, objects, labels, confidence)
    for i in range(3):
        own = Decoded(*(each[i : i + 1] for each in found[:4]), None)
        alone = matched(own, [objects[i]], [labels[i]], confidence)
        for one, other in zip(alone[1:], every[1:], strict=True):
            torch.testing.assert_close(one[0], other[i])
    assert every.confidence[1].sum() == 0
    assert every.confidence[2].sum() > 1
    if confidence == "iou":
        expected = np.diag(ious_3d(boxes[2].numpy(), objects[2].numpy()))
        near = torch.cdist(boxes[2, :, :2], objects[2][:, :2]).argmin(dim=1) == torch.arange(9)
        wanted = (2 * torch.tensor(expected) - 0.5).clamp(0, 1)
        torch.testing.assert_close(every.confidence[2][near], wanted[near])


def test_as_many_right_boxes_as_others_at_most():
    right = torch.zeros(2, 40, dtype=torch.bool)
    right[0, :30], right[1, :3] = True, True
    others = ~right
    others[:, 39] = False  # not kept
    torch.manual_seed(0)
    own, rest = drawn(right, others, 16)
    assert (own.sum(dim=1).tolist(), rest.sum(dim=1).tolist()) == ([8, 3], [8, 13])
    assert not (own & ~right).any()
    assert not (rest & ~others).any()
    torch.manual_seed(1)
    assert not torch.equal(drawn(right, others, 16)[0], own)
    few, rest = drawn(right[:, :12], others[:, :12], 128)
    assert torch.equal(few, right[:, :12])
    assert torch.equal(rest, others[:, :12])


def test_the_joint_score():
    assert joint_score(torch.tensor([0.9, 0.25]), torch.tensor([0.4, 1.0])).tolist() == pytest.approx([0.6, 0.5])


def test_the_loss_by_hand():
    """A network of given outputs: cross-entropy of all boxes, differences of the right one alone."""
    boxes = torch.tensor([[0.0, 0, 0, *CAR, 0], [5, 5, 0, *CAR, 0], [-5, 0, 0, *CAR, 0]])
    thing = torch.tensor([[0.5, 0, 0.1, 4, 2, 1.5, 0.1]])
    stage = SecondStage(1, 4, "distance")
    logits, values = torch.tensor([[0.5, -1.0, 3.0]]), torch.zeros(1, 3, 7)
    stage.forward = lambda *_: (logits, values)
    arguments = (torch.zeros(1, 1, 4, 4), found_of(boxes, [0, 0, 0], [True, True, False]), [thing])
    losses = stage.loss(*arguments, [torch.tensor([0])], GRID)
    expected = (math.log1p(math.exp(-0.5)) + math.log1p(math.exp(-1))) / 2
    assert losses["loss_confidence"].item() == pytest.approx(expected, abs=1e-6)
    assert losses["loss_refinement"].item() == pytest.approx(0.5 + 0.1 + 0.1, abs=1e-6)
    weighted = stage.loss(*arguments, [torch.tensor([0])], GRID, [torch.tensor([0.0])])  # an unknown axis
    assert weighted["loss_refinement"].item() == pytest.approx(0.6, abs=1e-6)
    nothing = stage.loss(*arguments, [torch.tensor([-1])], GRID)  # no class of the detector
    assert nothing["loss_refinement"].item() == 0


def sweep(seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Noise on the ground and two boxes full of points."""
    rng = np.random.default_rng(seed)
    boxes = np.array([[-4, -4, -1, *CAR, 0.4], [4, 3, -1, *CAR, 2.0]], dtype=np.float32)
    boxes[:, :2] += rng.uniform(-1, 1, (2, 2))
    points = [np.column_stack([rng.uniform(-8, 8, (200, 2)), np.full((200, 2), (-1.8, 0.3))])]
    for box in boxes:
        local = rng.uniform(-0.5, 0.5, (80, 3)) * box[3:6]
        cos, sin = np.cos(box[6]), np.sin(box[6])
        x, y = cos * local[:, 0] - sin * local[:, 1], sin * local[:, 0] + cos * local[:, 1]
        points.append(np.column_stack([x + box[0], y + box[1], local[:, 2] + box[2], np.full(80, 0.6)]))
    return torch.from_numpy(np.concatenate(points).astype(np.float32)), torch.from_numpy(boxes), torch.tensor([0, 1])


def detector(second_stage: str | None, **settings) -> CenterPoint:
    torch.manual_seed(0)
    groups, distances = (("a",), ("b",)), (1.0, 1.0)
    settings = dict(channels=8, groups=groups, velocity=True, min_score=0.0, top=40) | settings
    return CenterPoint(PillarEncoder(GRID, 4, "small"), ("a", "b"), distances, second_stage=second_stage, **settings)


@pytest.mark.parametrize("confidence", CONFIDENCES)
def test_the_gradient_reaches_the_second_stage_alone(confidence: str):
    """And the first stage, its BN statistics included, stays as it is while the second one learns."""
    model = detector(confidence).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    points, boxes, labels = zip(*map(sweep, (0, 1)), strict=True)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    losses = []
    for _ in range(30):
        torch.manual_seed(1)
        each = model(list(points), list(boxes), list(labels), mode="loss")
        assert set(each) == {"loss_confidence", "loss_refinement"}
        loss, _ = model.parse_losses(each)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    own = {name for name, value in model.named_parameters() if value.grad is not None}
    assert own == {name for name, _ in model.named_parameters() if name.startswith("second_stage.")}
    after = model.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed
    assert changed <= own
    assert losses[-1] < losses[0] / 2


@pytest.mark.parametrize("confidence", CONFIDENCES)
def test_detections_are_refined_rescored_and_ordered(confidence: str):
    model = detector(confidence, iou_power=0.5).eval()
    with torch.no_grad():
        model.second_stage.refinement.bias[0] = 0.5  # ahead
        model.second_stage.confidence.bias -= 4  # the joint scores are below those of the first stage
    points = sweep(0)[0]
    new = model([points], mode="predict")[0]
    stage, model.second_stage = model.second_stage, None
    old = model([points], mode="predict")[0]
    logits, values = stage(model.backbone([points]), torch.from_numpy(old.boxes)[None], GRID)
    assert (values == torch.tensor([0.5, 0, 0, 0, 0, 0, 0])).all()
    scores = (old.scores * logits.sigmoid()[0].detach().numpy()) ** 0.5
    order = np.argsort(-scores, kind="stable")
    np.testing.assert_allclose(new.scores, scores[order], rtol=1e-4)
    assert not np.array_equal(order, np.arange(len(order)))
    expected = old.boxes.copy()
    expected[:, 0] += 0.5 * np.cos(old.boxes[:, 6])
    expected[:, 1] += 0.5 * np.sin(old.boxes[:, 6])
    np.testing.assert_allclose(new.boxes[:, :6], expected[order][:, :6], atol=1e-4)
    np.testing.assert_array_equal(new.labels, old.labels[order])
    np.testing.assert_allclose(new.velocities, old.velocities[order], atol=1e-5)
    limit = float(np.median(scores))
    model.second_stage, model.min_score = stage, limit
    assert (model([points], mode="predict")[0].scores >= limit).all()


@pytest.mark.parametrize("axes", [("x",), ("y",), ("x", "y")])
def test_a_sweep_and_its_mirror_image_are_refined_alike(axes: tuple[str, ...]):
    model = detector("iou", flips=("x", "y"), heading="axis").eval()
    with torch.no_grad():
        for values in model.second_stage.refinement.parameters():
            values.normal_(0, 0.1, generator=torch.Generator().manual_seed(3))
    motion = Motion(mirror_x="x" in axes, mirror_y="y" in axes)
    points = sweep(0)[0].numpy()
    own, other = (model([torch.from_numpy(each)], mode="predict")[0] for each in (points, motion.points(points)))
    assert len(own.boxes) == len(other.boxes) > 10
    back = motion.boxes(other.boxes)
    order = [np.lexsort(np.round(each[:, :2], 2).T) for each in (own.boxes, back)]
    np.testing.assert_allclose(back[order[1]][:, :6], own.boxes[order[0]][:, :6], atol=2e-3)
    np.testing.assert_allclose(np.cos(back[order[1], 6] - own.boxes[order[0], 6]), 1, atol=1e-3)
    np.testing.assert_allclose(other.scores[order[1]], own.scores[order[0]], atol=1e-3)


def test_in_bf16_boxes_and_confidences_keep_their_digits():
    model = detector("iou").eval()
    points, boxes, labels = sweep(0)
    features = model.backbone([points])
    plain = sampled(features, box_points(boxes[None]), GRID)
    assert sampled(features.bfloat16(), box_points(boxes[None]), GRID).dtype == torch.float32  # as under autocast
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(sampled(features, box_points(boxes[None]), GRID), plain)
        logits, values = model.second_stage(features, boxes[None], GRID)
        assert (logits.dtype, values.dtype) == (torch.float32, torch.float32)
        losses = model([points], [boxes], [labels], mode="loss")
    assert all(loss.isfinite() for loss in losses.values())


def test_it_is_off_by_default_and_an_unknown_one_is_refused():
    assert not [name for name in detector(None).state_dict() if "second" in name]
    with pytest.raises(ValueError, match=r"model\.second_stage must be one of iou, distance, got 'boxes'"):
        detector("boxes")
