"""Crops that follow clusters, against a plain loop and against the crops they generalise."""

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from ccrop.views import BetaCenters, ContrastiveCrop, CropNoise, GaussianCenters, MultiObjectCrop, RandomCrop
from ccrop.views.crops import TRIES, contrastive_crops
from ccrop.views.multi_object_crop import PairNoise, area_ranges, choose_cluster, cluster_crops

SIZES = [(240, 320), (480, 640), (37, 53), (24, 24), (10, 1000), (1, 1), (600, 30)]


def random_boxes(rng: np.random.Generator, count: int) -> NDArray[np.float32]:
    corners = np.sort(rng.random((count, 2, 2)), axis=1).reshape(count, 4)
    return np.concatenate([corners, rng.uniform(0.1, 1, (count, 1))], axis=1).astype(np.float32)


def share_seen(view: NDArray[np.int64], box: NDArray[np.floating], size: tuple[int, int]) -> float:
    x0, y0, x1, y1 = box[0] * size[1], box[1] * size[0], box[2] * size[1], box[3] * size[0]
    across = max(0, min(view[2], x1) - max(view[0], x0))
    down = max(0, min(view[3], y1) - max(view[1], y0))
    return across * down / max((x1 - x0) * (y1 - y0), 1e-9)


def plain(size, box, area, aspect, center, scale, min_side, min_visible, ratio=(3 / 4, 4 / 3)):
    """One view as the words have it: the first try that fits and shows enough, else centered on the cluster."""
    height, width = size
    sizes = []
    for position, shape in zip(area, aspect, strict=True):
        pixels = height * width * (scale[0] + (scale[1] - scale[0]) * position)
        form = math.exp(math.log(ratio[0]) + (math.log(ratio[1]) - math.log(ratio[0])) * shape)
        sizes.append(
            (
                max(round(math.sqrt(pixels * form)), min(min_side, width)),
                max(round(math.sqrt(pixels / form)), min(min_side, height)),
            )
        )

    def start(length, side, low, high, position):
        first = min(max(int(np.float32(length) * low) - side // 2, 0), length - side)
        last = min(max(int(np.float32(length) * high) - side // 2, 0), length - side)
        return first + math.floor((last - first) * position)

    def place(w, h, position):
        left = start(width, w, box[0], box[2], position[0])
        top = start(height, h, box[1], box[3], position[1])
        return [left, top, left + w, top + h]

    fitting = [(w, h) for w, h in sizes if 0 < w <= width and 0 < h <= height]
    for (w, h), position in zip(sizes, center, strict=True):
        if (w, h) in fitting:
            view = place(w, h, position)
            if share_seen(np.array(view), box, size) >= min_visible:
                return view
    largest = max(1, min(width, round(height * ratio[1]))), max(1, min(height, round(width / ratio[0])))
    return place(*(fitting[0] if fitting else largest), (0.5, 0.5))


@pytest.mark.parametrize("size", SIZES)
def test_equals_a_plain_loop(size: tuple[int, int]):
    rng = np.random.default_rng(size)
    boxes = random_boxes(rng, 200)
    noise = PairNoise.draw(rng, 200, 2, BetaCenters(0.6))
    low = rng.uniform(0.001, 0.5, (200, 2))
    scale = np.stack([low, low + rng.uniform(0, 0.5, (200, 2))], axis=-1)
    sizes = torch.tensor([size]).expand(200, 2)
    views = cluster_crops(sizes, torch.from_numpy(boxes[:, :4]), noise, torch.from_numpy(scale), min_side=24)
    for image in range(200):
        for view in range(2):
            drawn = (noise.area[image, view], noise.aspect[image, view], noise.center[image, view])
            numbers = (drawn_.numpy() for drawn_ in drawn)
            expected = plain(size, boxes[image, :4], *numbers, scale[image, view], 24, 0.5)
            assert views[image, view].tolist() == expected


@pytest.mark.parametrize("size", SIZES)
def test_one_cluster_and_single_object_sizes_are_contrastive_crop(size: tuple[int, int]):
    rng = np.random.default_rng(1)
    crop = MultiObjectCrop(cluster_scale=None, scene_prob=0, min_visible=0)
    for box in random_boxes(rng, 100):
        noise = CropNoise.draw(rng, 2, alpha=0.6)
        center = torch.from_numpy(noise.center)[None, :, None].expand(1, 2, TRIES, 2)
        same = PairNoise(torch.zeros(1), *(torch.from_numpy(x)[None] for x in (noise.area, noise.aspect)), center)
        views = crop.batch(torch.tensor([size]), torch.from_numpy(box)[None, None], torch.tensor([1]), same)
        np.testing.assert_array_equal(views[0].numpy(), contrastive_crops(size, box, noise))


def test_no_cluster_is_random_crop():
    for seed in range(50):
        first, second = (np.random.default_rng(seed) for _ in range(2))
        nothing = np.zeros((0, 5), dtype=np.float32)
        np.testing.assert_array_equal(
            MultiObjectCrop()(first, (240, 320), nothing, 2), RandomCrop()(second, (240, 320), nothing, 2)
        )


def test_scene_prob_one_is_random_crop_and_zero_never_is():
    boxes = np.array([[0.1, 0.1, 0.2, 0.2, 1]], dtype=np.float32)
    rng = np.random.default_rng(0)
    areas = [
        np.prod(view[2:] - view[:2]) / (240 * 320)
        for prob in (0.0, 1.0)
        for _ in range(200)
        for view in MultiObjectCrop(scene_prob=prob)(rng, (240, 320), boxes, 2)
    ]
    assert max(areas[:400]) < 0.05
    assert min(areas[400:]) > 0.15


@pytest.mark.parametrize("centers", [BetaCenters(0.1), BetaCenters(1), GaussianCenters()])
@pytest.mark.parametrize("size", SIZES)
def test_views_lie_inside_and_show_half_of_one_cluster(size: tuple[int, int], centers):
    rng = np.random.default_rng(2)
    crop = MultiObjectCrop(centers=centers, scene_prob=0)
    for _ in range(100):
        boxes = random_boxes(rng, 4)
        views = crop(rng, size, boxes, 2)
        assert (views[:, :2] >= 0).all()
        assert (views[:, 2:] > views[:, :2]).all()
        assert (views[:, 2:] <= [size[1], size[0]]).all()
        if 24 <= min(size) < max(size) < 2 * min(size):
            sides = (boxes[:, 2:4] - boxes[:, :2]) * [size[1], size[0]]
            shown = [min(share_seen(view, box, size) for view in views) for box in boxes]
            # whole pixels cost a box as much as its side is short
            assert max(s + 1 / side for s, side in zip(shown, sides.min(axis=1), strict=True)) >= 0.5


def test_the_size_follows_the_cluster():
    rng = np.random.default_rng(3)
    small = np.array([[0.5, 0.5, 0.6, 0.6, 1]], dtype=np.float32)  # 48 x 64 px of 480 x 640
    crop = MultiObjectCrop(cluster_scale=(1.0, 4.0), scene_prob=0)
    areas = np.array([np.prod(v[2:] - v[:2]) for _ in range(500) for v in crop(rng, (480, 640), small, 2)])
    assert areas.min() > 0.95 * 48 * 64
    assert areas.max() < 4.05 * 48 * 64
    anywhere = MultiObjectCrop(cluster_scale=(1.0, 4.0), scene_prob=0, min_visible=0)
    areas = np.array([np.prod(v[2:] - v[:2]) for _ in range(500) for v in anywhere(rng, (480, 640), small, 2)])
    assert areas.mean() == pytest.approx(2.5 * 48 * 64, rel=0.03)

    tight_and_wide = MultiObjectCrop(cluster_scale=[(1.0, 1.5), (3.0, 4.0)], scene_prob=0)
    for _ in range(100):
        tight, wide = tight_and_wide(rng, (480, 640), small, 2)
        assert 1.8 < np.prod(wide[2:] - wide[:2]) / np.prod(tight[2:] - tight[:2]) < 4.2

    tiny = np.array([[0.5, 0.5, 0.505, 0.505, 1]], dtype=np.float32)
    sides = np.concatenate([v[2:] - v[:2] for _ in range(50) for v in crop(rng, (480, 640), tiny, 2)])
    assert sides.min() == 24


def test_area_ranges_by_hand():
    boxes = torch.tensor([[0, 0, 0.1, 0.1], [0, 0, 1, 1], [0, 0, 1, 0.6]])
    scale = torch.tensor([[1.0, 4.0]])
    ranges = area_ranges(torch.tensor([[100, 200]]).expand(3, 2), boxes, scale)[:, 0]
    expected = torch.tensor([[0.01, 0.04], [0.5, 1], [0.3334, 1]], dtype=torch.float64)
    # 200 x 60 px is long: half of its length in a view that is 3 : 4 takes 100 x 133 px, two thirds of the image
    torch.testing.assert_close(ranges, expected, rtol=0, atol=1e-3)


def test_the_overlap_of_two_views_can_be_asked_for():
    rng = np.random.default_rng(4)
    boxes = np.array([[0.3, 0.3, 0.6, 0.7, 1]], dtype=np.float32)

    def overlaps(iou):
        crop, found = MultiObjectCrop(scene_prob=0, iou=iou), []
        for _ in range(300):
            a, b = crop(rng, (480, 640), boxes, 2)
            shared = np.prod(np.clip(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0, None))
            found.append(shared / (np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]) - shared))
        return np.array(found)

    def inside(found):
        return ((found >= 0.3) & (found <= 0.5)).mean()

    assert inside(overlaps((0.3, 0.5))) > 0.9
    assert inside(overlaps(None)) < 0.7


@pytest.mark.parametrize("evenness", [0.0, 0.5, 1.0])
def test_clusters_are_drawn_by_score_and_area(evenness: float):
    boxes = torch.tensor([[0, 0, 1, 1, 0.5], [0, 0, 0.5, 0.5, 1], [0, 0, 0.1, 0.1, 1], [0, 0, 1, 1, 1]])
    position = (torch.arange(10000, dtype=torch.float64) + 0.5) / 10000
    chosen = choose_cluster(boxes.expand(10000, 4, 5), torch.full((10000,), 3), position, evenness)
    weights = np.array([0.5 * 1, 1 * 0.25, 1 * 0.01]) ** (1 - evenness)
    shares = torch.bincount(chosen, minlength=4) / 10000
    np.testing.assert_allclose(shares.numpy(), [*weights / weights.sum(), 0], atol=2e-4)


def test_gaussian_centers_leave_the_middle_and_the_corners():
    drawn = GaussianCenters(sigma=1 / 3).draw(np.random.default_rng(5), (200_000,))
    radius = np.linalg.norm(2 * drawn - 1, axis=1)
    assert radius.max() <= 1
    # density over the disc: 1 - exp(-r^2 / 2 sigma^2), so counts over rings of equal area follow it
    edges = np.sqrt(np.linspace(0, 1, 11))
    counts = np.histogram(radius, edges)[0] / len(radius)
    middle = (edges[1:] ** 2 + edges[:-1] ** 2) / 2
    density = 1 - np.exp(-middle * 9 / 2)
    np.testing.assert_allclose(counts, density / density.sum(), atol=0.004)


def test_beta_centers_are_those_of_contrastive_crop():
    first, second = (np.random.default_rng(6) for _ in range(2))
    np.testing.assert_array_equal(BetaCenters(0.3).draw(first, (7,)), second.beta(0.3, 0.3, size=(7, 2)))
    assert ContrastiveCrop(0.3).alpha == BetaCenters(0.3).alpha


@pytest.mark.parametrize(
    "settings", [dict(evenness=2), dict(scene_prob=-0.1), dict(cluster_scale=(4, 1)), dict(min_visible=1.5)]
)
def test_impossible_settings(settings: dict):
    with pytest.raises(ValueError, match=next(iter(settings))):
        MultiObjectCrop(**settings)


@pytest.mark.parametrize("centers", [BetaCenters(0.4), BetaCenters(2.0), GaussianCenters(1 / 3), GaussianCenters(1.0)])
def test_centers_on_a_device_have_the_law_of_those_in_the_workers(centers):
    torch.manual_seed(0)
    sampled = centers.sample((100_000,)).numpy()
    drawn = centers.draw(np.random.default_rng(0), (100_000,))
    assert sampled.shape == drawn.shape
    assert ((sampled >= 0) & (sampled <= 1)).all()
    shares = np.linspace(0.02, 0.98, 25)
    for of_both in ((sampled[:, 0], drawn[:, 0]), (sampled[:, 1], drawn[:, 1]), (radii(sampled), radii(drawn))):
        np.testing.assert_allclose(*(np.quantile(each, shares) for each in of_both), atol=0.012)
    assert centers.sample((3, 2, 5)).shape == (3, 2, 5, 2)


def radii(centers):
    return np.linalg.norm(2 * centers - 1, axis=-1)
