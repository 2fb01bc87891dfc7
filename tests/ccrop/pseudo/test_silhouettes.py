"""Boxes snap to drawn objects of known extent: any number of channels, bright and dark, on gradients and noise."""

import numpy as np
import pytest
from numpy.typing import NDArray

from ccrop.pseudo import silhouette, snap

FIGURES = {"disc": (40, 30, 61, 51), "rectangle": (40, 30, 66, 45)}  # x0, y0, x1, y1
CONTRASTS = {
    "bright": (np.array([90, 90, 90, 90]), np.array([180, 180, 180, 180])),
    "dark": (np.array([160, 160, 160, 160]), np.array([60, 60, 60, 60])),
    "of another color": (np.array([140, 100, 120, 100]), np.array([80, 160, 120, 40])),  # 100 levels of gray, about
}


def inside(figure: str, shape: tuple[int, int] = (90, 120)) -> NDArray[np.bool_]:
    x0, y0, x1, y1 = FIGURES[figure]
    y, x = np.mgrid[: shape[0], : shape[1]]
    if figure == "rectangle":
        return (x >= x0) & (x < x1) & (y >= y0) & (y < y1)
    return (x - (x0 + x1 - 1) / 2) ** 2 + (y - (y0 + y1 - 1) / 2) ** 2 <= ((x1 - x0) / 2) ** 2


def drawn(figure: str, contrast: str, channels: int, background: str = "flat") -> NDArray[np.uint8]:
    below, levels = (each[:channels] for each in CONTRASTS[contrast])
    image = np.where(inside(figure)[..., None], levels, below).astype(float)
    if background == "gradient":
        image += np.linspace(-20, 20, 120)[:, None]
    if background == "noise":
        image += np.random.default_rng(0).normal(0, 6, image.shape)
    image = image.clip(0, 255).astype(np.uint8)
    return image[..., 0] if channels == 1 else image


def overlap(first: NDArray, second: NDArray) -> float:
    sides = [max(min(first[i + 2], second[i + 2]) - max(first[i], second[i]), 0) for i in (0, 1)]
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (first, second)]
    return sides[0] * sides[1] / (sum(areas) - sides[0] * sides[1])


@pytest.mark.parametrize("background", ["flat", "gradient", "noise"])
@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("contrast", list(CONTRASTS))
@pytest.mark.parametrize("figure", list(FIGURES))
def test_a_box_that_is_off_snaps_to_the_object(figure: str, contrast: str, channels: int, background: str):
    image, true = drawn(figure, contrast, channels, background), np.array(FIGURES[figure])
    for off in ([5, -4, 6, -3], [-5, 4, -4, 5], [-6, -6, 6, 6], [3, 3, -3, -3]):
        given = true + np.array(off, float)
        found = snap(image, given[None])
        assert found.source.tolist() == [0]
        if background == "flat":
            assert found.boxes[0].tolist() == true.tolist()
        assert overlap(found.boxes[0], true) > max(0.8, overlap(given, true))


@pytest.mark.parametrize("figure", list(FIGURES))
def test_the_mask_is_the_figure_and_the_contrast_its_distance_from_the_background(figure: str):
    x0, y0, x1, y1 = FIGURES[figure]
    found = snap(drawn(figure, "bright", 3), np.array([[38.0, 28, 64, 52]]))
    assert (found.masks[0] == inside(figure)[y0:y1, x0:x1]).all()
    assert found.contrast[0] == pytest.approx(90 * 3**0.5 / 255, rel=1e-5)


def test_16_bit_images_have_the_same_silhouettes():
    image, box = drawn("disc", "dark", 3, "noise"), np.array([38.0, 28, 64, 52])
    found, deep = silhouette(image, box), silhouette(image.astype(np.uint16) * 257, box)
    assert found.box == deep.box
    assert (found.mask == deep.mask).all()
    assert found.contrast == pytest.approx(deep.contrast, rel=1e-4)
    assert deep.background == pytest.approx(found.background * 257)


def test_holes_are_filled():
    image = drawn("disc", "bright", 1)
    image[38:43, 48:53] = 90  # as bright as the background
    found = silhouette(image, np.array([38.0, 28, 64, 52]))
    assert (found.mask == inside("disc")[30:51, 40:61]).all()


def test_boxes_on_the_same_object_become_one_and_others_stay():
    image = drawn("disc", "bright", 3)
    image[60:70, 90:104] = 200
    image[10:18, 90:100] = 20
    boxes = np.array([[42.0, 30, 64, 50], [88, 58, 106, 72], [37, 29, 60, 54], [88, 8, 102, 20]])
    found = snap(image, boxes)
    assert {tuple(box) for box in found.boxes.tolist()} == {(40, 30, 61, 51), (90, 60, 104, 70), (90, 10, 100, 18)}
    assert len(found.source) == len(found.masks) == len(found.contrast) == 3
    for box, source in zip(found.boxes, found.source, strict=True):
        assert overlap(box, boxes[source]) > 0.4
    salience = [mask.sum() * contrast for mask, contrast in zip(found.masks, found.contrast, strict=True)]
    assert salience == sorted(salience, reverse=True)


@pytest.mark.parametrize("channels", [1, 3, 5])
def test_nothing_stands_out_of_flat_and_noisy_images(channels: int):
    boxes = np.array([[10.0, 10, 30, 30], [50, 20, 58, 29], [0, 0, 20, 20]])
    noise = np.random.default_rng(0).normal(128, 6, (90, 120, channels)).astype(np.uint8)
    for image in (np.full((90, 120, channels), 77, np.uint8), noise):
        found = snap(image, boxes)
        assert found.boxes.shape == (0, 4)
        assert found.source.shape == found.contrast.shape == (0,)
        assert found.masks == []


@pytest.mark.parametrize("turns", range(4))
def test_what_goes_on_beyond_the_window_is_no_object(turns: int):
    image = np.full((100, 100), 90, np.uint8)
    image[40:54, 50:] = 180  # a bar that starts in the box and leaves the window by one side
    x0, y0, x1, y1 = 42, 36, 66, 58
    for _ in range(turns):
        x0, y0, x1, y1 = y0, 100 - x1, y1, 100 - x0
    assert not len(snap(np.rot90(image, turns), np.array([[x0, y0, x1, y1]], float)).boxes)


def test_thin_and_tiny_things_are_no_objects():
    image = np.full((90, 120), 90, np.uint8)
    image[20:22, 20:40] = 200
    image[50:52, 50:54] = 200
    assert not len(snap(image, np.array([[18.0, 16, 42, 26], [48, 48, 56, 54]])).boxes)


def test_specks_of_a_large_box_are_texture_and_objects_of_a_small_one():
    image = np.full((90, 120), 90, np.uint8)
    for x, y in ((42, 32), (54, 32), (42, 44), (54, 44)):
        image[y : y + 5, x : x + 5] = 200
    assert not len(snap(image, np.array([[39.0, 29, 63, 53]])).boxes)
    assert snap(image, np.array([[40.0, 30, 49, 39]])).boxes.tolist() == [[42, 32, 47, 37]]


def test_an_object_at_the_edge_of_the_image_is_tight_too():
    image = np.full((90, 120), 90, np.uint8)
    image[:12, 100:] = 200
    found = snap(image, np.array([[96.0, -3, 125, 15]]))
    assert found.boxes.tolist() == [[100, 0, 120, 12]]


def test_boxes_that_are_outside_empty_or_long_are_left_out():
    image = drawn("disc", "bright", 3)
    outside = [[-30.0, -30, -5, -5], [130, 10, 150, 30], [40, 30, 40, 51], [61, 51, 40, 30], [40, 95, 60, 110]]
    assert not len(snap(image, np.array(outside)).boxes)
    assert snap(image, np.zeros((0, 4))).boxes.shape == (0, 4)
    box = np.array([[36.0, 26, 65, 55]])
    assert len(snap(image, box, max_side=29).boxes) == 1
    assert len(snap(image, box, max_side=28).boxes) == 0
