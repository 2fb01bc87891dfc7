"""Scene views: where they lie, and that their transforms find the same pixels again."""

import numpy as np
import pytest
import torch
from PIL import Image

from ccrop.views import ReferenceAugmentation, ScatterBoxes, ScenePair, SceneViews
from ccrop.views.rectangles import intersection
from ccrop.views.scene_views import crop_transforms

NO_BOXES = np.zeros((0, 5), np.float32)


@pytest.mark.parametrize("size", [(240, 320), (410, 512), (100, 700), (90, 60)])
def test_views_are_squares_of_the_side_inside_the_image_that_overlap(size):
    pair = ScenePair(side=160, zoom=(0.8, 1.25), shift=0.3)
    for seed in range(200):
        views = pair(np.random.default_rng(seed), size, NO_BOXES, 2)
        width, height = (views[:, 2:] - views[:, :2]).T
        assert (width == height).all()
        assert (views[:, :2] >= 0).all()
        assert (views[:, 2:] <= size[::-1]).all()
        assert (width <= min(size)).all()
        if min(size) > 200:
            assert (width >= 128).all()
            assert (width <= 200).all()
        first, second = torch.from_numpy(views).double()
        assert intersection(first, second) > 0


def test_zoom_is_log_uniform_and_shift_is_bounded():
    pair = ScenePair(side=100, zoom=(0.5, 2.0), shift=0.2)
    views = np.array([pair(np.random.default_rng(s), (2000, 2000), NO_BOXES, 2) for s in range(3000)])
    sides = views[:, :, 2] - views[:, :, 0]
    assert np.log2(sides / 100).mean() == pytest.approx(0, abs=0.03)
    assert np.log2(sides / 100).std() == pytest.approx(2 / 12**0.5, abs=0.02)
    inner = ((views > 0) & (views < 2000)).all(axis=(1, 2))
    middles = (views[..., :2] + views[..., 2:]) / 2
    distance = np.abs(middles[inner, 1] - middles[inner, 0]) / sides[inner, :1]
    assert distance.max() <= 0.2 + 0.02
    assert distance.max() > 0.19


def test_the_first_view_shows_the_middle_of_some_box_every_one_alike():
    boxes = np.array([[0.1, 0.1, 0.12, 0.12, 0.9], [0.8, 0.7, 0.95, 0.9, 0.1]], np.float32)
    pair = ScenePair(side=160)
    middles = (boxes[:, :2] + boxes[:, 2:4]) / 2 * (1000, 800)
    shown = []
    for seed in range(400):
        left, top, right, bottom = pair(np.random.default_rng(seed), (800, 1000), boxes, 2)[0]
        shown.append([left - 1 <= x <= right + 1 and top - 1 <= y <= bottom + 1 for x, y in middles])
    assert all(any(each) for each in shown)
    assert np.mean([each[0] for each in shown]) == pytest.approx(0.5, abs=0.08)


def test_bad_settings_are_named():
    with pytest.raises(ValueError, match=r"shift must be in \[0, 1\)"):
        ScenePair(shift=1.0)
    with pytest.raises(ValueError, match="side and zoom"):
        ScenePair(zoom=(1.5, 1.0))
    with pytest.raises(ValueError, match="side and zoom"):
        ScenePair(side=0)


def test_transforms_find_the_corners_of_a_crop():
    crops = np.array([[10, 20, 60, 120], [0, 0, 200, 100]])
    transforms = crop_transforms(crops, (100, 200))
    corners = np.array([[10 / 200, 20 / 100, 1], [60 / 200, 120 / 100, 1]])
    np.testing.assert_allclose(corners @ transforms[0].T, [[0, 0], [1, 1]], atol=1e-6)
    np.testing.assert_allclose(transforms[1], [[1, 0, 0], [0, 1, 0]])


def sample(boxes: np.ndarray = NO_BOXES, seed: int = 0) -> dict:
    pixels = np.zeros((240, 320, 3), np.uint8)
    pixels[100:120, 200:220] = 255  # one bright square
    return dict(image=Image.fromarray(pixels), clusters=boxes, rng=np.random.default_rng(seed), index=3)


@pytest.mark.parametrize("seed", range(5))
def test_the_same_object_is_found_in_both_views(seed: int):
    boxes = np.array([[200 / 320, 100 / 240, 220 / 320, 120 / 240, 0.5]], np.float32)
    found = SceneViews(ScenePair(side=120), size=96, max_boxes=4)(sample(boxes, seed))
    assert found["counts"] == 1
    assert found["boxes"].shape == (4, 5)
    torch.testing.assert_close(found["boxes"][0], torch.from_numpy(boxes[0]))
    assert not found["boxes"][1:].any()
    assert found["index"] == 3
    for view, transform in zip(found["views"], found["transforms"], strict=True):
        bright = (view[..., 0] > 127).nonzero().double()
        if len(bright) == 0:
            continue
        top, left = (bright.amin(dim=0) / 96).tolist()
        bottom, right = ((bright.amax(dim=0) + 1) / 96).tolist()
        corners = boxes[0, :4].reshape(2, 2) @ transform[:, :2].numpy().T + transform[:, 2].numpy()
        assert [left, top, right, bottom] == pytest.approx(corners.clip(0, 1).ravel().tolist(), abs=0.015)


def test_more_boxes_than_expected_are_an_error_that_says_what_to_do():
    with pytest.raises(ValueError, match=r"image 3 has 2 boxes.*the localizer's max_boxes"):
        SceneViews(ScenePair(), size=32, max_boxes=1)(sample(np.zeros((2, 5), np.float32)))


def test_augmentation_in_the_workers_is_an_error():
    step = SceneViews(ScenePair(), size=32, max_boxes=1)
    step.augment = ReferenceAugmentation()
    with pytest.raises(ValueError, match="augment='device'"):
        step(sample())


def test_scattered_boxes_keep_their_sizes_and_forget_their_places():
    boxes = np.array([[0.1, 0.2, 0.15, 0.4, 0.7], [0.5, 0.5, 0.9, 0.6, 0.2]], np.float32)
    moved = np.array([ScatterBoxes()(sample(boxes, seed))["clusters"] for seed in range(2000)])
    np.testing.assert_allclose(
        moved[..., 2:4] - moved[..., :2], np.tile([[0.05, 0.2], [0.4, 0.1]], (2000, 1, 1)), atol=1e-6
    )
    np.testing.assert_allclose(moved[..., 4], np.tile(boxes[:, 4], (2000, 1)))
    assert moved[..., :4].min() >= 0
    assert moved[..., :4].max() <= 1
    free = 1 - (boxes[:, 2:4] - boxes[:, :2])
    np.testing.assert_allclose(moved[..., :2].mean(axis=0), free / 2, atol=0.02)
    assert np.corrcoef(moved[:, 0, 0], moved[:, 1, 0])[0, 1] == pytest.approx(0, abs=0.1)
