"""Windows around the same places in all views, against plain Python."""

import math
import random

import pytest
import torch
from torch import Tensor

from ccrop.views.centers import BetaCenters, GaussianCenters
from ccrop.views.windows import (
    BACKGROUND_TRIES,
    WindowNoise,
    mirrored,
    pooled_windows,
    transformed,
    window_pairs,
)

NUM, VIEWS, BOXES, WINDOWS = 5, 2, 4, 6


def noise(seed: int = 0, alpha: float = 0.6, boxes: int = BOXES) -> WindowNoise:
    torch.manual_seed(seed)
    return WindowNoise.draw(NUM, VIEWS, boxes, WINDOWS, BetaCenters(alpha))


def scene(seed: int = 0, turned: bool = False) -> tuple[Tensor, Tensor, Tensor]:
    """Boxes ``(N, K, 4)``, counts and transforms ``(N, V, 2, 3)`` of views that overlap."""
    torch.manual_seed(seed)
    start = torch.rand(NUM, BOXES, 2) * 0.8
    boxes = torch.cat([start, start + 0.02 + 0.15 * torch.rand(NUM, BOXES, 2)], dim=-1)
    counts = torch.tensor([BOXES, 2, 1, 0, 3])
    transforms = torch.zeros(NUM, VIEWS, 2, 3)
    for image in range(NUM):
        for view in range(VIEWS):
            zoom = random.Random(seed * 99 + image * 9 + view).uniform(1.2, 1.6)
            angle = (0.3 * view + 0.1 * image) if turned else 0.0
            cos, sin = zoom * math.cos(angle), zoom * math.sin(angle)
            linear = torch.tensor([[cos, -sin], [sin, cos]])
            transforms[image, view, :, :2] = linear
            transforms[image, view, :, 2] = 0.5 - linear @ torch.tensor([0.5, 0.5]) + 0.05 * view
    transforms = torch.stack([mirrored(transforms[:, view], torch.rand(NUM) < 0.5) for view in range(VIEWS)], dim=1)
    return boxes, counts, transforms


def apply(transform: list[list[float]], point: tuple[float, float]) -> tuple[float, float]:
    return tuple(a * point[0] + b * point[1] + c for a, b, c in transform)


def visible(box: list[float], transform: list[list[float]]) -> float:
    """Share of the transformed box that is in the view."""
    x0, y0, x1, y1 = transformed_by_hand(box, transform)
    width, height = min(x1, 1) - max(x0, 0), min(y1, 1) - max(y0, 0)
    return max(width, 0) * max(height, 0) / ((x1 - x0) * (y1 - y0))


def transformed_by_hand(box: list[float], transform: list[list[float]]) -> tuple[float, ...]:
    middle = apply(transform, ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2))
    half = [(box[2] - box[0]) / 2, (box[3] - box[1]) / 2]
    extent = [math.hypot(row[0] * half[0], row[1] * half[1]) for row in transform]
    return (
        *(m - e for m, e in zip(middle, extent, strict=True)),
        *(m + e for m, e in zip(middle, extent, strict=True)),
    )


class TestTransformed:
    @pytest.mark.parametrize("turned", [False, True])
    def test_against_plain_python(self, turned: bool):
        boxes, _, transforms = scene(turned=turned)
        found = transformed(boxes[:, None], transforms)
        for image in range(NUM):
            for view in range(VIEWS):
                for box in range(BOXES):
                    expected = transformed_by_hand(boxes[image, box].tolist(), transforms[image, view].tolist())
                    assert found[image, view, box].tolist() == pytest.approx(expected, abs=1e-5)

    def test_corners_of_a_box_where_nothing_turns(self):
        transform = torch.tensor([[2.0, 0, -0.5], [0, 4, 1]])
        assert transformed(torch.tensor([[0.1, 0.2, 0.5, 0.4]]), transform).tolist() == [
            pytest.approx([-0.3, 1.8, 0.5, 2.6])
        ]

    def test_a_square_stays_as_large_when_it_turns(self):
        cos, sin = math.cos(0.7), math.sin(0.7)
        x0, y0, x1, y1 = transformed(torch.tensor([[1.0, 1, 3, 3]]), torch.tensor([[cos, -sin, 0], [sin, cos, 0]]))[0]
        assert (x1 - x0).item() == pytest.approx(2, abs=1e-5)
        assert (y1 - y0).item() == pytest.approx(2, abs=1e-5)

    def test_mirrored_twice_is_nothing(self):
        transforms = scene()[2][:, 0]
        everything = torch.ones(NUM, dtype=torch.bool)
        torch.testing.assert_close(mirrored(mirrored(transforms, everything), everything), transforms)
        assert torch.equal(mirrored(transforms, ~everything), transforms)

    def test_mirrored_turns_x_around(self):
        transform = torch.tensor([[[2.0, 0, -0.5], [0, 4, 1]]])
        left, top, right, bottom = transformed(
            torch.tensor([[[0.3, 0.0, 0.4, 0.1]]]), mirrored(transform, torch.tensor([True]))
        )[0, 0].tolist()
        assert (left, top, right, bottom) == pytest.approx((1 - 0.3, 1, 1 - 0.1, 1.4))


class TestWindowPairs:
    @pytest.mark.parametrize("seed", range(5))
    @pytest.mark.parametrize("turned", [False, True])
    def test_objects_are_the_visible_clusters(self, seed: int, turned: bool):
        boxes, counts, transforms = scene(seed, turned)
        drawn = noise(seed)
        windows, is_object = window_pairs(boxes, counts, transforms, drawn, num_objects=3, scale=(1, 1), offset=0)
        assert windows.shape == (NUM, VIEWS, WINDOWS, 4)
        for image in range(NUM):
            usable = [
                k
                for k in range(int(counts[image]))
                if all(visible(boxes[image, k].tolist(), t.tolist()) >= 0.5 for t in transforms[image])
            ]
            chosen = sorted(usable, key=lambda k: -drawn.order[image, k].item())[:3]
            assert is_object[image].tolist() == [slot < 3 and len(usable) > 0 for slot in range(WINDOWS)]
            for slot in range(3 if usable else 0):
                k = chosen[slot % len(chosen)]
                for view in range(VIEWS):
                    x0, y0, x1, y1 = transformed_by_hand(boxes[image, k].tolist(), transforms[image, view].tolist())
                    sides = [min(max(side, 0.1), 1) for side in (x1 - x0, y1 - y0)]
                    start = [
                        min(max((low + high - side) / 2, 0), 1 - side)
                        for low, high, side in zip((x0, y0), (x1, y1), sides, strict=True)
                    ]
                    expected = [*start, *(s + side for s, side in zip(start, sides, strict=True))]
                    assert windows[image, view, slot].tolist() == pytest.approx(expected, abs=1e-5)

    @pytest.mark.parametrize("seed", range(3))
    def test_background_is_the_same_place_in_all_views_and_has_a_cluster_s_size(self, seed: int):
        boxes, counts, transforms = scene(seed)
        windows, is_object = window_pairs(
            boxes, counts, transforms, noise(seed), num_objects=0, scale=(1, 1), offset=0, min_side=1e-3
        )
        assert not is_object.any()
        sizes = {
            tuple(round(s, 4) for s in (boxes[n, k, 2:] - boxes[n, k, :2]).tolist())
            for n in range(NUM)
            for k in range(counts[n])
        }
        for image in range(NUM):
            for window in range(WINDOWS):
                places = []
                for view in range(VIEWS):
                    x0, y0, x1, y1 = windows[image, view, window].tolist()
                    (a, _, c), (_, e, f) = transforms[image, view].tolist()
                    size = (round((x1 - x0) / abs(a), 4), round((y1 - y0) / abs(e), 4))
                    assert any(size == pytest.approx(known, abs=2e-4) for known in sizes)
                    if min(x0, y0) > 0.01 and max(x1, y1) < 0.99:  # not moved into the view
                        places.append((((x0 + x1) / 2 - c) / a, ((y0 + y1) / 2 - f) / e))
                if len(places) == VIEWS:
                    assert places[0] == pytest.approx(places[1], abs=1e-4)

    def test_background_avoids_clusters(self):
        covered = torch.tensor([[[0.0, 0.0, 1.0, 0.7]]]).expand(NUM, 1, 4)
        whole = torch.tensor([[1.0, 0, 0], [0, 1, 0]]).expand(NUM, VIEWS, 2, 3)
        small = torch.cat([covered, torch.tensor([0.0, 0.0, 0.1, 0.1]).expand(NUM, 3, 4)], dim=1)
        drawn = noise()._replace(size=torch.full((NUM, WINDOWS), 0.99))  # the last box of the batch, a small one
        windows, _ = window_pairs(
            small, torch.full((NUM,), 4), whole, drawn, num_objects=0, scale=(1, 1), offset=0, min_side=0.01
        )
        tries = drawn.place[..., 1]
        free = (tries >= 0.75).any(dim=-1)
        assert free.float().mean() > 0.9
        assert (windows[:, 0, :, 1][free] >= 0.7 - 1e-5).all()
        assert tries.shape[-1] == BACKGROUND_TRIES

    def test_without_any_cluster_windows_are_a_sixth_of_the_first_view(self):
        transforms = scene()[2]
        for boxes in (torch.zeros(NUM, BOXES, 4), torch.zeros(NUM, 0, 4)):
            windows, is_object = window_pairs(
                boxes,
                torch.zeros(NUM, dtype=torch.long),
                transforms,
                noise(boxes=boxes.shape[1]),
                num_objects=3,
                scale=(1, 1),
                offset=0,
            )
            assert not is_object.any()
            torch.testing.assert_close(
                windows[:, 0, :, 2:] - windows[:, 0, :, :2], torch.full((NUM, WINDOWS, 2), 1 / 6)
            )

    def test_windows_lie_in_the_views_whatever_is_drawn(self):
        for seed in range(10):
            boxes, counts, transforms = scene(seed, turned=seed % 2 == 0)
            windows, _ = window_pairs(boxes, counts, transforms, noise(seed), 3, scale=(0.5, 60), offset=2)
            assert (windows >= -1e-6).all()
            assert (windows <= 1 + 1e-6).all()
            assert (windows[..., 2:] - windows[..., :2] >= 0.1 - 1e-6).all()

    def test_scale_and_offset_are_per_view(self):
        boxes = torch.tensor([[[0.4, 0.4, 0.5, 0.6]]]).expand(NUM, 1, 4)
        whole = torch.tensor([[1.0, 0, 0], [0, 1, 0]]).expand(NUM, VIEWS, 2, 3)
        drawn = noise(boxes=1)
        windows, is_object = window_pairs(
            boxes, torch.ones(NUM), whole, drawn, 1, scale=(1, 4), offset=0.5, min_side=0.01
        )
        assert is_object[:, 0].all()
        for image in range(NUM):
            for view in range(VIEWS):
                factor = math.sqrt(1 + 3 * drawn.area[image, view, 0].item())
                u, v = drawn.center[image, view, 0].tolist()
                x, y = 0.45 + 0.5 * 0.05 * (2 * u - 1), 0.5 + 0.5 * 0.1 * (2 * v - 1)
                expected = (x - 0.05 * factor, y - 0.1 * factor, x + 0.05 * factor, y + 0.1 * factor)
                assert windows[image, view, 0].tolist() == pytest.approx(expected, abs=1e-5)


def test_noise_is_beta_in_the_centers_and_uniform_elsewhere():
    torch.manual_seed(0)
    drawn = WindowNoise.draw(400, 2, 3, 8, BetaCenters(0.5))
    assert drawn.center.mean().item() == pytest.approx(0.5, abs=0.01)
    assert drawn.center.var().item() == pytest.approx(0.125, abs=0.005)  # 1 / (4 (2 alpha + 1))
    for numbers in (drawn.order, drawn.size, drawn.place, drawn.area):
        assert numbers.mean().item() == pytest.approx(0.5, abs=0.03)
        assert numbers.var().item() == pytest.approx(1 / 12, abs=0.01)


def test_background_lies_at_places_that_are_given():
    boxes, counts, transforms = scene(turned=True)
    torch.manual_seed(1)
    places = 0.3 + 0.4 * torch.rand(NUM, 7, 2)
    drawn = noise().placed(places, transforms[:, 0])
    back = torch.linalg.inv(transforms[:, 0, :, :2])
    for image in range(NUM):
        points = (drawn.place[image].flatten(0, 1) - transforms[image, 0, :, 2]) @ back[image].T
        distance = (points[:, None] - places[image]).norm(dim=-1).amin(dim=1)
        assert distance.max() < 1e-5
        assert len(points.round(decimals=4).unique(dim=0)) == 7
    windows, is_object = window_pairs(boxes, 0 * counts, transforms, drawn, 0, (1.0, 1.0), offset=0, min_side=1e-3)
    assert not is_object.any()
    middle = (windows[:, 0, :, :2] + windows[:, 0, :, 2:]) / 2
    shown = drawn.place.flatten(1, 2)
    inside = ((middle > 0.2) & (middle < 0.8)).all(dim=-1)
    assert inside.sum() > 5
    assert (middle[:, :, None] - shown[:, None]).norm(dim=-1).amin(dim=-1)[inside].max() < 1e-5


@pytest.mark.parametrize("offset", [0.25, 0.5, 0.8])
def test_gaussian_centers_keep_a_share_of_the_box_in_every_window(offset: float):
    """(1 - offset / (2 sqrt 2))^2 of it, where the center lies farthest away, along the diagonal."""
    box = torch.tensor([[[0.45, 0.4, 0.55, 0.6]]])
    straight = torch.tensor([[[[1.0, 0, 0], [0, 1, 0]]] * 2])
    torch.manual_seed(0)
    drawn = WindowNoise.draw(1, 2, 1, 4000, GaussianCenters())
    windows, _ = window_pairs(box, torch.tensor([1]), straight, drawn, 4000, (1.0, 2.0), offset, 1e-3)
    low, high = windows[..., :2].maximum(box[..., None, :2]), windows[..., 2:].minimum(box[..., None, 2:])
    kept = (high - low).clamp(min=0).prod(dim=-1) / 0.02
    least = (1 - offset / (2 * math.sqrt(2))) ** 2
    assert kept.min() >= least - 1e-5
    assert kept.min() < least + 0.05


def test_pooled_windows_are_means_of_the_map():
    maps = torch.zeros(2, 1, 8, 10)
    maps[1, 0, 2:4, 5:10] = 3
    windows = torch.tensor([[[0.0, 0.0, 1.0, 1.0]], [[0.5, 0.25, 1.0, 0.5]]])
    assert pooled_windows(maps, windows, 1).flatten().tolist()[0] == 0
    ramp = torch.arange(10.0).expand(1, 1, 8, 10)
    quarters = pooled_windows(ramp, torch.tensor([[[0.2, 0.25, 0.6, 0.75], [0.4, 0.0, 0.8, 1.0]]]), 2)
    # a cell's middle lies at + 0.5: the ramp's mean over [2, 4) is 2.5, over [4, 6) 4.5
    assert quarters.tolist() == [pytest.approx([2.5, 4.5, 2.5, 4.5]), pytest.approx([4.5, 6.5, 4.5, 6.5])]
