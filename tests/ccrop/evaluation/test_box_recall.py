"""Boxes against annotated objects: by hand, and against one object and one box after the other."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from ccrop.evaluation import BoxQuality, box_quality, pseudo_box_quality
from ccrop.evaluation.box_recall import first_finds

MEASURES = ["center hit", "center inside", "IoU 0.3", "IoU 0.5"]


def overlap(first: list[float], second: list[float]) -> float:
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    shared = max(width, 0) * max(height, 0)
    areas = [(x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in (first, second)]
    return shared / (sum(areas) - shared)


def holds(box: list[float], other: list[float]) -> bool:
    """Whether the center of the other is in the box."""
    x, y = (other[0] + other[2]) / 2, (other[1] + other[3]) / 2
    return box[0] <= x <= box[2] and box[1] <= y <= box[3]


FINDS = {
    "center hit": lambda box, thing: holds(thing, box),
    "center inside": holds,
    "IoU 0.3": lambda box, thing: overlap(box, thing) >= 0.3,
    "IoU 0.5": lambda box, thing: overlap(box, thing) >= 0.5,
}


def scene(seed: int, images: int = 300, most_boxes: int = 6, most_objects: int = 5) -> tuple[Tensor, ...]:
    """Boxes, counts, objects, object counts and sizes: some objects are on boxes, and all slots hold something."""
    rng = torch.Generator().manual_seed(seed)

    def rectangles(number: int) -> Tensor:
        start = torch.rand(images, number, 2, generator=rng, dtype=torch.float64) * 0.8
        side = torch.rand(images, number, 2, generator=rng, dtype=torch.float64) ** 2 * 0.2 + 0.01
        return torch.cat([start, start + side], dim=-1)

    objects, boxes = rectangles(most_objects), rectangles(most_boxes)
    boxes[:, :-1] = objects + 0.02 * torch.randn(images, most_objects, 4, generator=rng, dtype=torch.float64)
    boxes[..., 2:] = boxes[..., 2:].maximum(boxes[..., :2] + 0.01)
    boxes = torch.cat([boxes, torch.ones(images, most_boxes, 1)], dim=-1)
    counts = torch.randint(most_boxes + 1, (images,), generator=rng)
    object_counts = torch.randint(most_objects + 1, (images,), generator=rng)
    sizes = torch.randint(100, 900, (images, 2), generator=rng)
    return boxes.float(), counts, objects, object_counts, sizes


def one_by_one(boxes: Tensor, counts: Tensor, objects: Tensor, object_counts: Tensor, sizes: Tensor, k: int):
    """Share of objects found by measure and size, CorLoc, and mean area, as one would count them."""
    limits = {"small": (0, 1024), "medium": (1024, 9216), "large": (9216, math.inf), "all": (0, math.inf)}
    found = {(measure, size): [] for measure in MEASURES for size in limits}
    located, areas = [], []
    for row in range(len(boxes)):
        height, width = sizes[row].tolist()
        own = boxes[row, : counts[row], :4].double().tolist()
        things = objects[row, : object_counts[row]].tolist()
        areas += [(x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in own[:k]]
        if things:
            located.append(any(overlap(box, thing) >= 0.5 for box in own[:1] for thing in things))
        for thing in things:
            pixels = (thing[2] - thing[0]) * width * (thing[3] - thing[1]) * height
            for size, (low, high) in limits.items():
                if low <= pixels < high:
                    for measure, finds in FINDS.items():
                        found[measure, size].append(any(finds(box, thing) for box in own[:k]))
    return {key: sum(each) / len(each) for key, each in found.items()}, sum(located) / len(located), areas


@pytest.mark.parametrize("k", [1, 3, 6])
def test_as_counted_one_by_one(k: int):
    data = scene(seed=k)
    quality = box_quality(*data, ks=[k])
    found, located, areas = one_by_one(*data, k)
    assert {
        (measure, size): by_k[k] for measure, sizes in quality.found.items() for size, by_k in sizes.items()
    } == pytest.approx(found)
    assert all(0 < share < 1 for share in found.values())
    assert quality.corloc == pytest.approx(located)
    assert quality.area[k] == pytest.approx(sum(areas) / len(areas))
    assert quality.boxes == pytest.approx(data[1].double().mean().item())


def only(boxes: list[list[float]], objects: list[list[float]], side: int = 100, ks: tuple[int, ...] = (1, 8)):
    """One image of side x side px; boxes and objects in pixels."""
    placed = torch.tensor(boxes, dtype=torch.float64).view(1, -1, 4) / side
    scored = torch.cat([placed, torch.ones(1, len(boxes), 1)], dim=-1)
    things = torch.tensor(objects, dtype=torch.float64).view(1, -1, 4) / side
    counts = [torch.tensor([len(each)]) for each in (boxes, objects)]
    return box_quality(scored, counts[0], things, counts[1], torch.tensor([[side, side]]), ks)


def shares(quality: BoxQuality, k: int, size: str = "all") -> list[float]:
    return [quality.found[measure][size][k] for measure in MEASURES]


def test_the_whole_image_has_every_center_inside_and_hits_only_what_lies_in_the_middle():
    corner, middle = [0, 0, 20, 20], [45, 45, 60, 60]
    assert shares(only([[0, 0, 100, 100]], [corner]), 1) == [0, 1, 0, 0]
    assert shares(only([[0, 0, 100, 100]], [middle]), 1) == [1, 1, 0, 0]


def test_a_box_at_the_edge_of_an_object_and_an_object_at_the_edge_of_a_box():
    assert shares(only([[0, 0, 20, 20]], [[10, 10, 90, 90]]), 1) == [1, 0, 0, 0]
    assert shares(only([[0, 0, 50, 50]], [[10, 10, 90, 90]]), 1) == [1, 1, 0, 0]
    assert shares(only([[0, 0, 20, 20]], [[11, 10, 90, 90]]), 1) == [0, 0, 0, 0]


def test_overlaps_at_the_limits():
    found = [shares(only([[0, 0, 8, height]], [[0, 0, 8, 128]], side=128), 1)[2:] for height in (38, 39, 63, 64)]
    assert found == [[0, 0], [1, 0], [1, 0], [1, 1]]


def test_later_boxes_count_for_larger_k_alone():
    boxes = [[90, 90, 95, 95]] * 3 + [[0, 0, 20, 20]]
    quality = only(boxes, [[0, 0, 20, 20]], ks=(1, 3, 4, 8))
    for k, share in {1: 0, 3: 0, 4: 1, 8: 1}.items():
        assert shares(quality, k) == [share] * 4
    assert quality.corloc == 0
    assert quality.area[3] == pytest.approx(25 / 1e4)
    assert quality.area[8] == pytest.approx((3 * 25 + 400) / 4 / 1e4)


def test_one_box_finds_no_more_when_asked_for_eight():
    assert shares(only([[80, 80, 90, 90]], [[0, 0, 20, 20]]), 8) == [0, 0, 0, 0]


def test_sizes_are_cocos_at_the_scale_of_the_image():
    objects = [[0, 0, 31, 31], [0, 0, 33, 33], [0, 0, 95, 95], [0, 0, 97, 97]]
    assert only([[0, 0, 1, 1]], objects).objects == dict(small=1, medium=2, large=1, all=4)
    assert only([[0, 0, 1, 1]], [[0, 0, 200, 4], [0, 0, 300, 4]], side=400).objects == dict(
        small=1, medium=1, large=0, all=2
    )


def test_what_is_absent_finds_nothing_and_is_not_found():
    boxes = torch.tensor([0.0, 0, 1, 1, 1]).expand(3, 2, 5)
    objects = torch.tensor([[0.4, 0.4, 0.6, 0.6], [0.5, 0.5, 0.5, 0.9]]).expand(3, 2, 4)
    sizes = torch.full((3, 2), 100)
    # no boxes; no objects; a box, and an object beside one without area
    quality = box_quality(boxes, torch.tensor([0, 2, 1]), objects, torch.tensor([1, 0, 2]), sizes, [1, 2])
    assert quality.objects == dict(small=2, medium=0, large=0, all=2)
    assert shares(quality, 2) == [0.5, 0.5, 0, 0]
    assert math.isnan(quality.found["center hit"]["large"][1])
    assert quality.corloc == 0
    assert quality.boxes == 1


def test_corloc_is_of_images_and_not_of_objects():
    box = [0.0, 0, 0.5, 0.5, 1]
    boxes = torch.tensor([[box], [box], [box]])
    objects = torch.tensor([[[0.0, 0, 0.5, 0.5]] * 3, [[0.6, 0.6, 0.9, 0.9]] * 3, [[0.0, 0, 0.5, 0.5]] * 3])
    quality = box_quality(boxes, torch.ones(3), objects, torch.tensor([3, 1, 0]), torch.full((3, 2), 100), [1])
    assert quality.corloc == 0.5
    assert quality.found["IoU 0.5"]["all"][1] == 0.75


def test_no_box_and_no_object_at_all():
    none = torch.zeros(2, 1, 5), torch.zeros(2), torch.zeros(2, 0, 4), torch.zeros(2), torch.full((2, 2), 100)
    quality = box_quality(*none, [1])
    assert quality.boxes == 0
    assert quality.objects["all"] == 0
    assert all(math.isnan(value) for value in (quality.area[1], quality.corloc, *shares(quality, 1)))


def test_the_first_find_is_the_best_scored_box_that_finds():
    boxes = torch.tensor([[[0.8, 0.8, 0.9, 0.9], [0.0, 0.0, 0.2, 0.2], [0.0, 0.0, 0.2, 0.2]]])
    objects = torch.tensor([[[0.0, 0.0, 0.2, 0.2], [0.5, 0.5, 0.6, 0.6], [0.0, 0.0, 0.2, 0.2]]])
    for first in first_finds(boxes, torch.tensor([3]), objects, torch.tensor([2])).values():
        assert first.tolist() == [[1, 3, 3]]


def test_more_boxes_never_find_less_and_scale_does_not_matter():
    boxes, counts, objects, object_counts, sizes = scene(seed=9)
    quality = box_quality(boxes, counts, objects, object_counts, sizes, range(1, 7))
    for by_size in quality.found.values():
        values = list(by_size["all"].values())
        assert values == sorted(values)
    stretched = objects * torch.tensor([2.0, 1, 2, 1])
    boxes = boxes * torch.tensor([2.0, 1, 2, 1, 1])
    again = box_quality(boxes, counts, stretched, object_counts, sizes // torch.tensor([1, 2]), range(1, 7))
    for measure in MEASURES:
        assert again.found[measure]["all"] == pytest.approx(quality.found[measure]["all"])


def test_pseudo_boxes_are_counted_by_their_own_size_and_objects_by_theirs():
    objects = [torch.tensor([[0.0, 0, 20, 20], [50, 50, 90, 90]]), torch.zeros(0, 4), np.array([[0.0, 0, 10, 10]])]
    boxes = [
        np.array([[0.0, 0, 20, 10], [0, 0, 20, 20], [60, 50, 100, 90]]),  # IoU 0.5 and 1 with the first; 0.6
        np.array([[5.0, 5, 15, 15]]),  # of no object
        torch.tensor([[0.0, 6, 10, 16]]),  # IoU 0.25
    ]
    quality = pseudo_box_quality(boxes, objects)
    assert quality["boxes"] == pytest.approx(5 / 3)
    assert quality["recall_0.5"] == quality["recall_0.3"] == pytest.approx(2 / 3)
    assert quality["recall_0.5_small"] == pytest.approx(1 / 2)
    assert quality["recall_0.5_medium"] == 1
    assert quality["precision_0.5"] == pytest.approx(3 / 5)
    assert quality["precision_0.5_small"] == pytest.approx(2 / 4)
    assert quality["precision_0.5_medium"] == 1
    assert math.isnan(quality["recall_0.3_large"])
    assert math.isnan(quality["precision_0.3_large"])


def test_pseudo_boxes_at_the_limits_of_overlap():
    for height, expected in ((38, [0, 0]), (39, [1, 0]), (63, [1, 0]), (64, [1, 1])):  # IoU height / 128
        quality = pseudo_box_quality([np.array([[0, 0, 8, height]])], [np.array([[0, 0, 8, 128]])])
        for name in ("recall", "precision"):
            assert [quality[f"{name}_{limit}"] for limit in (0.3, 0.5)] == expected


def test_pseudo_boxes_as_counted_one_by_one():
    boxes, counts, objects, object_counts, _ = scene(seed=5, images=40)
    given = [row[:count, :4] * 200 for row, count in zip(boxes, counts, strict=True)]
    real = [row[:count] * 200 for row, count in zip(objects, object_counts, strict=True)]
    quality = pseudo_box_quality(given, real)
    for limit in (0.3, 0.5):
        found = [
            any(overlap(b, o) >= limit for b in g.tolist())
            for g, r in zip(given, real, strict=True)
            for o in r.tolist()
        ]
        right = [
            any(overlap(b, o) >= limit for o in r.tolist())
            for g, r in zip(given, real, strict=True)
            for b in g.tolist()
        ]
        assert quality[f"recall_{limit}"] == pytest.approx(sum(found) / len(found))
        assert quality[f"precision_{limit}"] == pytest.approx(sum(right) / len(right))
        assert 0 < sum(found) < len(found)


def test_pseudo_boxes_of_nothing():
    quality = pseudo_box_quality([np.zeros((0, 4))], [np.array([[0, 0, 5, 5]])])
    assert quality["recall_0.5"] == 0
    assert math.isnan(quality["precision_0.5"])
    with pytest.raises(ValueError, match="there are boxes for 1 images and objects for 2"):
        pseudo_box_quality([np.zeros((0, 4))], [np.zeros((0, 4))] * 2)
