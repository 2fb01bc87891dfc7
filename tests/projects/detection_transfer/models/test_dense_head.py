"""The dense head against its formulas, cell by cell in plain Python."""

import math
import random

import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData
from operators import Operators

from ccrop.projects.detection_transfer.models.dense_head import (
    Candidates,
    DenseHead,
    assign,
    cells_of,
    overlaps,
    padded,
    quality_focal_loss,
)

TEST = dict(nms_pre=50, score_thr=0.05, iou_threshold=0.5, max_per_img=10)
CPU = torch.device("cpu")


def instances(boxes: list[list[float]], labels: list[int] | None = None) -> InstanceData:
    numbers = labels if labels is not None else [0] * len(boxes)
    return InstanceData(bboxes=torch.tensor(boxes).reshape(-1, 4).float(), labels=torch.tensor(numbers).long())


def sample(
    boxes: list[list[float]], labels: list[int], ignored: list[list[float]] = (), side: int = 32
) -> DetDataSample:
    meta = dict(img_shape=(side, side), ori_shape=(side, side), scale_factor=(1.0, 1.0))
    return DetDataSample(
        gt_instances=instances(boxes, labels), ignored_instances=instances(list(ignored)), metainfo=meta
    )


def owner_of(x: float, y: float, stride: float, sides: tuple[float, float], boxes: list, all_cells: list) -> int:
    """Which object a cell learns, by the rule of FCOS's center sampling, the nearest cell and the smaller object."""
    best, best_area = -1, math.inf
    for number, (x0, y0, x1, y1) in enumerate(boxes):
        if not sides[0] <= max(x1 - x0, y1 - y0) < sides[1]:
            continue
        cx, cy = (x0 + x1) / 2, (y0 + y1) / 2
        of_level = [(a, b) for a, b, _, limits in all_cells if limits == sides]
        nearest = min(abs(a - cx) + abs(b - cy) for a, b in of_level)
        is_nearest = abs(x - cx) + abs(y - cy) == nearest
        is_inside = x0 < x < x1 and y0 < y < y1
        is_near = max(abs(x - cx), abs(y - cy)) < 1.5 * stride
        area = (x1 - x0) * (y1 - y0)
        if (is_nearest or (is_inside and is_near)) and area < best_area:
            best, best_area = number, area
    return best


def test_each_cell_learns_what_the_rule_says():
    drawn = random.Random(0)
    ranges = ((0.0, 16.0), (16.0, math.inf))
    cells = cells_of([(8, 8), (4, 4)], (4, 8), ranges, CPU)
    every = [
        (stride * (column + 0.5), stride * (row + 0.5), stride, limits)
        for side, stride, limits in ((8, 4, ranges[0]), (4, 8, ranges[1]))
        for row in range(side)
        for column in range(side)
    ]
    assert cells.centers.tolist() == [[x, y] for x, y, _, _ in every]
    images = []
    for _ in range(20):
        boxes = []
        for _ in range(drawn.randrange(6)):
            x, y, w, h = (drawn.randrange(1, 24) + 0.25 for _ in range(4))
            boxes.append([x, y, min(32.0, x + w), min(32.0, y + h)])
        images.append(boxes)
    objects, _, exists = padded([instances(boxes) for boxes in images])
    found = assign(cells, objects, exists, radius=1.5)
    expected = [[owner_of(*cell, boxes, every) for cell in every] for boxes in images]
    assert found.tolist() == expected
    assert (found >= 0).any()


def test_no_object_falls_between_the_cells():
    cells = cells_of([(8, 8)], (4,), ((0.0, math.inf),), CPU)
    tiny = [[4 * column + 3.5, 4 * row + 3.5, 4 * column + 4.5, 4 * row + 4.5] for row, column in ((0, 0), (3, 5))]
    objects, _, exists = padded([instances(tiny)])
    assert set(assign(cells, objects, exists, 1.5).unique().tolist()) == {-1, 0, 1}


@pytest.mark.parametrize(
    ("box", "other", "iou", "giou"),
    [
        ([0, 0, 2, 2], [0, 0, 2, 2], 1, 1),
        ([0, 0, 2, 2], [1, 0, 3, 2], 2 / 6, 2 / 6),
        ([0, 0, 1, 1], [2, 0, 3, 1], 0, -1 / 3),
        ([0, 0, 2, 2], [1, 1, 3, 3], 1 / 7, 1 / 7 - 2 / 9),
    ],
)
def test_overlaps(box: list[float], other: list[float], iou: float, giou: float):
    found = overlaps(torch.tensor(box).float(), torch.tensor(other).float())
    assert [each.item() for each in found] == pytest.approx([iou, giou], abs=1e-6)


@pytest.mark.parametrize(("logit", "target"), [(0.3, 0.0), (-2.0, 0.7), (1.5, 1.0)])
def test_quality_focal_loss_is_equation_5(logit: float, target: float):
    score = 1 / (1 + math.exp(-logit))
    expected = -(abs(target - score) ** 2) * ((1 - target) * math.log(1 - score) + target * math.log(score))
    assert quality_focal_loss(torch.tensor(logit), torch.tensor(target)).item() == pytest.approx(expected, rel=1e-5)


def test_loss_of_a_batch_is_that_of_its_images_added_up():
    """Nothing of one image reaches another's loss, whatever padding the batch needs."""
    torch.manual_seed(0)
    head = DenseHead(3, 4, 8, test_cfg=TEST).eval()
    maps = torch.randn(3, 4, 8, 8)
    samples = [
        sample([[2, 2, 9, 9], [14, 12, 30, 28]], [2, 0]),
        sample([], []),
        sample([[20, 5, 28, 11]], [1], ignored=[[0, 0, 12, 12]]),
    ]
    objects, _, exists = padded([each.gt_instances for each in samples])
    positives = (assign(head((maps,))[2], objects, exists, 1.5) >= 0).sum(dim=1)
    alone = [head.loss((maps[number : number + 1],), [each])["loss_cls"] for number, each in enumerate(samples)]
    together = head.loss((maps,), samples)["loss_cls"]
    added = sum(loss * max(1, number) for loss, number in zip(alone, positives.tolist(), strict=True))
    torch.testing.assert_close(together * positives.sum(), added)


def test_cells_of_ignored_objects_cost_nothing_and_others_do():
    torch.manual_seed(0)
    head = DenseHead(1, 4, 8, test_cfg=TEST).eval()
    maps = torch.randn(1, 4, 8, 8)
    whole, part = [[0.0, 0, 32, 32]], [[0.0, 0, 16, 32]]
    losses = [head.loss((maps,), [sample([], [], ignored)])["loss_cls"].item() for ignored in (whole, part, [])]
    assert losses[0] == 0
    assert 0 < losses[1] < losses[2]


def test_the_loss_never_waits_for_a_device():
    head = DenseHead(3, 4, 8, test_cfg=TEST)
    samples = [sample([[2, 2, 9, 9]], [2]), sample([], []), sample([[20, 5, 28, 11]], [1], ignored=[[0, 0, 12, 12]])]
    with Operators() as operators:
        sum(head.loss((torch.randn(3, 4, 8, 8),), samples).values()).backward()
    assert operators.counts["convolution_backward"]
    assert operators.waiting == {}


@pytest.mark.parametrize(("separate", "shared"), [(False, True), (True, False)])
def test_scores_and_boxes_share_a_tower_or_have_one_each(separate: bool, shared: bool):
    torch.manual_seed(0)
    head = DenseHead(3, 4, 8, stacked_convs=2, separate_towers=separate, test_cfg=TEST).eval()
    maps = torch.randn(2, 4, 8, 8)
    logits, boxes, cells = head((maps,))
    box_tower = head.tower if shared else head.box_tower
    assert box_tower is not None
    assert len(box_tower) == 2
    expected = head.classifier(head.tower(maps)).flatten(2).transpose(1, 2)
    reach = 8 * head.regressor(box_tower(maps)).flatten(2).transpose(1, 2).exp()  # twice the stride of 4
    torch.testing.assert_close(logits, expected)
    torch.testing.assert_close(cells.centers - boxes[..., :2], reach[..., :2])
    torch.testing.assert_close(boxes[..., 2:] - cells.centers, reach[..., 2:])
    logits.sum().backward()
    gradients = [parameter.grad for parameter in box_tower.parameters()]
    assert [gradient is not None and bool(gradient.any()) for gradient in gradients] == [shared] * len(gradients)


@pytest.mark.parametrize("separate_towers", [False, True])
def test_training_on_one_batch_finds_its_objects(separate_towers: bool):
    torch.manual_seed(0)
    head = DenseHead(2, 8, 16, separate_towers=separate_towers, strides=(4, 8), sides=(10,), test_cfg=TEST)
    maps = (torch.randn(2, 8, 8, 8), torch.randn(2, 8, 4, 4))
    objects = [([[3.0, 4, 11, 12], [16, 16, 30, 28]], [0, 1]), ([[20.0, 2, 28, 9]], [1])]
    samples = [sample(*each) for each in objects]
    optimizer = torch.optim.Adam(head.parameters(), lr=0.01)
    for _ in range(150):
        optimizer.zero_grad()
        sum(head.loss(maps, samples).values()).backward()
        optimizer.step()
    with torch.no_grad():
        found = head.predict(maps, samples)
    for each, (boxes, labels) in zip(found, objects, strict=True):
        best = each[: len(boxes)]
        order = best.bboxes[:, 0].argsort()
        assert best.labels[order].tolist() == labels
        iou, _ = overlaps(best.bboxes[order], torch.tensor(boxes))
        assert (iou > 0.7).all()


def test_detections_are_suppressed_by_image_and_category_and_given_in_the_original_scale():
    head = DenseHead(2, 4, test_cfg=TEST)
    boxes = torch.tensor([[2.0, 2, 10, 10], [3, 2, 11, 10], [3, 2, 11, 10], [-5, 20, 5, 40], [40, 40, 50, 50]])
    scores = torch.tensor([0.9, 0.8, 0.7, 0.6, 0.5])
    labels = torch.tensor([0, 0, 1, 0, 0])
    candidates = Candidates(
        boxes.repeat(2, 1, 1), torch.stack([scores, scores.where(scores < 0.9, 0.01)]), labels.repeat(2, 1)
    )
    samples = [sample([], []), sample([], [])]
    samples[1].set_metainfo(dict(scale_factor=(0.5, 0.25)))
    first, second = head.detections(candidates, samples, rescale=True)
    assert first.bboxes.tolist() == [[2, 2, 10, 10], [3, 2, 11, 10], [0, 20, 5, 32]]
    assert first.labels.tolist() == [0, 1, 0]
    assert second.bboxes.tolist() == [[6, 8, 22, 40], [6, 8, 22, 40], [0, 80, 10, 128]]
    assert second.scores.tolist() == pytest.approx([0.8, 0.7, 0.6])


@pytest.mark.parametrize("wrong", [dict(max_per_img=-1), dict(nms_pre=0), dict(score_thr=30), dict(iou_threshold=-0.1)])
def test_settings_that_would_lose_detections_are_refused(wrong: dict):
    (name,) = wrong
    with pytest.raises(ValueError, match=rf"model\.test_cfg\.{name} must be "):
        DenseHead(3, 4, test_cfg=TEST | wrong)


def test_levels_must_have_ranges():
    with pytest.raises(ValueError, match="2 levels need 1 boundaries"):
        DenseHead(2, 4, strides=(4, 8))
