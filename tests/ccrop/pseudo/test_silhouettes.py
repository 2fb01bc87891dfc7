"""Silhouettes of drawn objects whose extent is known."""

import numpy as np
import pytest

from ccrop.pseudo import silhouette, snap

SIZE = 96
DISC = (40, 30, 61, 51)  # x0, y0, x1, y1 of a disc of radius 10 about (50, 40)


def disc_mask(x: int = 50, y: int = 40, radius: int = 10) -> np.ndarray:
    rows, columns = np.mgrid[:SIZE, :SIZE]
    return (columns - x) ** 2 + (rows - y) ** 2 <= radius**2


def scene(channels: int, object_level: float, ground: np.ndarray | float = 120.0, noise: float = 4.0) -> np.ndarray:
    """A disc on a ground; in several channels it differs in the first one only."""
    rng = np.random.default_rng(0)
    image = np.broadcast_to(np.asarray(ground, float), (SIZE, SIZE))[..., None].repeat(channels, 2)
    image = image + rng.normal(0, noise, image.shape)
    image[disc_mask(), 0] = object_level
    return image.clip(0, 255).astype(np.uint8)


def overlap(box: np.ndarray, other: tuple[float, ...]) -> float:
    shared = max(0.0, min(box[2], other[2]) - max(box[0], other[0])) * max(
        0.0, min(box[3], other[3]) - max(box[1], other[1])
    )
    areas = [(each[2] - each[0]) * (each[3] - each[1]) for each in (box, other)]
    return shared / (sum(areas) - shared)


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("level", [20, 230])
@pytest.mark.parametrize("ground", ["flat", "slope"])
def test_a_box_that_is_off_moves_onto_the_object(channels: int, level: int, ground: str):
    slope = np.linspace(100, 140, SIZE)[None].repeat(SIZE, 0)
    image = scene(channels, level, 120.0 if ground == "flat" else slope)
    image = image[..., 0] if channels == 1 else image
    off = np.array([[44, 26, 66, 49], [36, 34, 58, 55], [38, 28, 63, 53]], float)
    assert overlap(off[0], DISC) < 0.7
    for box in off:
        found = snap(image, box[None])
        assert overlap(found.boxes[0], DISC) > 0.85
        assert found.source.tolist() == [0]


def test_a_silhouette_says_what_it_found():
    found = silhouette(scene(1, 220, noise=0.0), np.array([38.0, 28.0, 63.0, 53.0]))
    assert found.box == DISC
    assert np.array_equal(found.mask, disc_mask()[30:51, 40:61])
    assert found.background.tolist() == [120.0]
    assert found.contrast == pytest.approx(100 / 255, abs=1e-3)
    assert found.salience == pytest.approx(disc_mask().sum() * 100 / 255, rel=1e-3)


def test_sixteen_bits_are_as_good_as_eight():
    image = scene(1, 220)[..., 0]
    found, wide = (
        silhouette(each, np.array([44.0, 26.0, 66.0, 49.0])) for each in (image, image.astype(np.uint16) * 257)
    )
    assert wide.box == found.box
    assert wide.contrast == pytest.approx(found.contrast, rel=1e-4)


def test_boxes_of_one_object_become_one_and_two_objects_stay_two():
    image = scene(1, 230)
    image[disc_mask(20, 75, 8)] = 10
    boxes = np.array([[44, 26, 66, 49], [10, 65, 30, 85], [38, 28, 63, 53]], float)
    found = snap(image, boxes)
    assert len(found.boxes) == 2
    assert found.source[0] in (0, 2)
    assert found.source[1] == 1
    assert overlap(found.boxes[1], (12, 67, 29, 84)) > 0.85
    assert [mask.shape for mask in found.masks] == [(y1 - y0, x1 - x0) for x0, y0, x1, y1 in found.boxes.astype(int)]


@pytest.mark.parametrize(
    ("image", "why"),
    [
        (np.full((SIZE, SIZE), 90, np.uint8), "flat"),
        (np.random.default_rng(1).normal(120, 12, (SIZE, SIZE)).clip(0, 255).astype(np.uint8), "noise"),
        (scene(1, 126)[..., 0], "too faint for its noise"),
    ],
)
def test_where_nothing_stands_out_there_is_no_box(image: np.ndarray, why: str):
    found = snap(image, np.array([[38.0, 28.0, 63.0, 53.0]]))
    assert [len(each) for each in found] == [0, 0, 0, 0], why


def test_no_boxes_long_ones_and_ones_beside_the_image():
    image = scene(1, 230)
    assert len(snap(image, np.zeros((0, 4))).boxes) == 0
    assert len(snap(image, np.array([[38.0, 28.0, 63.0, 53.0]]), max_side=20).boxes) == 0
    beside = np.array([[-30, -30, -5, -5], [200, 10, 220, 30], [50, 40, 50, 40], [95, 95, 120, 120]], float)
    assert len(snap(image, beside).boxes) == 0


def test_an_object_at_the_image_edge_keeps_the_edge():
    image = np.full((SIZE, SIZE), 120, np.uint8)
    image[disc_mask(0, 40, 12)] = 230
    found = snap(image, np.array([[0.0, 30.0, 14.0, 50.0]]))
    assert found.boxes.tolist() == [[0.0, 28.0, 13.0, 53.0]]
