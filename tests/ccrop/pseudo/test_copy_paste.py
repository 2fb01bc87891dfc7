"""Pasted objects look as they did, their boxes are tight, and nothing else changes."""

import numpy as np
import pytest

from ccrop.pseudo import Piece, cut_pieces, paste

DISC = (np.hypot(*np.mgrid[-8:9, -8:9]) <= 8.5).astype(np.float32)


def disc(level: int = 200, background: int = 100, label: int = 0, channels: int = 3) -> Piece:
    """A disc of 17 pixels with a margin of 2, which alpha alone shows."""
    alpha = np.pad(DISC, 2)
    pixels = np.full((*alpha.shape, channels), level, np.uint8)
    return Piece(pixels, alpha, np.full(channels, background, np.float32), label)


def scene(channels: int = 3, shape: tuple[int, int] = (90, 120)) -> np.ndarray:
    """A flat image with objects of levels 200 and 20."""
    image = np.full((*shape, channels), 100, np.uint8)
    image[20:32, 30:50] = 200
    image[60:70, 80:88] = 20
    return image


OBJECTS = np.array([[29.0, 19, 51, 33], [79, 59, 89, 71]])


@pytest.mark.parametrize("channels", [1, 3, 5])
def test_a_piece_is_the_object_with_its_silhouette_and_background(channels: int):
    pieces = cut_pieces(scene(channels), OBJECTS, [4, 2])
    assert [piece.label for piece in pieces] == [4, 2]
    for piece, level, (height, width) in zip(pieces, (200, 20), ((12, 20), (10, 8)), strict=True):
        assert piece.pixels.shape == (height + 4, width + 4, channels)
        assert piece.alpha.shape == (height + 4, width + 4)
        assert (piece.pixels[2:-2, 2:-2] == level).all()
        assert (piece.pixels[:2] == 100).all()
        assert (piece.alpha[3:-3, 3:-3] == 1).all()
        assert (piece.alpha[[0, -1]] == 0).all()
        assert piece.background.tolist() == [100] * channels


def test_boxes_without_a_clear_silhouette_give_no_piece():
    image = scene()
    boxes = np.array([[60.0, 20, 80, 40], [20, 10, 70, 60]])  # nothing, much wider
    assert cut_pieces(image, boxes, [0, 0]) == []
    assert cut_pieces(image, OBJECTS, [0, 0], max_side=21)[0].alpha.shape == (14, 12)


@pytest.mark.parametrize("turns", range(4))
def test_what_the_edge_of_the_image_may_cut_off_gives_no_piece(turns: int):
    for gap, number in ((0, 0), (2, 1)):
        image = np.full((60, 60, 3), 100, np.uint8)
        image[gap : gap + 10, 24:36] = 220
        box = {0: [23, 0, 37, 13], 1: [0, 23, 13, 37], 2: [23, 47, 37, 60], 3: [47, 23, 60, 37]}[turns]
        assert len(cut_pieces(np.rot90(image, turns), np.array([box], float), [0])) == number


def test_a_piece_of_the_same_size_is_pasted_as_it_was():
    image = np.full((60, 60, 3), 100, np.uint8)
    pasted, boxes, _ = paste(image, np.zeros((0, 4)), np.zeros(0, int), [disc()], np.random.default_rng(0), (1.0, 1.0))
    x0, y0, x1, y1 = boxes[0].astype(int)
    assert (x1 - x0, y1 - y0) == (17, 17)
    assert (pasted[y0:y1, x0:x1] == np.where(DISC[..., None] > 0, 200, 100)).all()


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("channels", [1, 3, 5])
def test_boxes_are_tight_and_apart_and_the_rest_is_unchanged(seed: int, channels: int):
    rng = np.random.default_rng(seed)
    image, before = np.full((128, 128, channels), 60, np.uint8), np.array([[10.0, 10, 60, 50], [90, 90, 128, 128]])
    image = image[..., 0] if channels == 1 and seed % 2 else image
    original = image.copy()
    pieces = [disc(label=number, channels=channels) for number in range(1, 8)]
    pasted, boxes, labels = paste(image, before, np.array([0, 9]), pieces, rng)
    assert (image == original).all()
    assert pasted.shape == image.shape
    assert pasted.dtype == np.uint8
    assert boxes.dtype == np.float32
    assert (boxes[:2] == before).all()
    assert labels[:2].tolist() == [0, 9]
    assert len(boxes) == len(labels) > 4
    assert set(np.diff(labels[2:])) <= {1, 2, 3}  # each piece once, in order
    changed = (pasted != image).reshape(128, 128, -1).any(axis=2)
    for index, (x0, y0, x1, y1) in enumerate(boxes.astype(int)):
        others = np.delete(boxes, index, axis=0)
        assert ((others[:, :2] >= (x1, y1)) | (others[:, 2:] <= (x0, y0))).any(axis=1).all()
        if index >= 2:
            standing_out = np.abs(pasted.reshape(128, 128, -1)[..., 0].astype(int) - 60) > 50  # half of the contrast
            here = standing_out[y0 - 1 : y1 + 1, x0 - 1 : x1 + 1]
            rows, columns = np.flatnonzero(here.any(axis=1)), np.flatnonzero(here.any(axis=0))
            assert [rows[0], columns[0], rows[-1], columns[-1]] == [1, 1, y1 - y0, x1 - x0]
            assert 17 * 0.6 - 2 <= x1 - x0 <= 17 * 1.4 + 2
        margin = 4  # of the pieces, magnified
        changed[max(y0 - margin, 0) : y1 + margin, max(x0 - margin, 0) : x1 + margin] &= index < 2
    assert not changed.any()


def test_levels_follow_the_background():
    image = np.full((60, 60, 3), [40, 50, 60], np.uint8)
    pasted, boxes, _ = paste(
        image, np.zeros((0, 4)), np.zeros(0, int), [disc(180, 100)], np.random.default_rng(1), (1.0, 1.0)
    )
    x, y = ((boxes[0, :2] + boxes[0, 2:]) / 2).astype(int)
    assert pasted[y, x].tolist() == [120, 130, 140]


def test_what_would_not_stand_out_is_left_out():
    white = np.full((60, 60, 3), 250, np.uint8)
    for piece, number in ((disc(200, 100), 0), (disc(100, 200), 1)):
        assert len(paste(white, np.zeros((0, 4)), np.zeros(0, int), [piece], np.random.default_rng(0))[1]) == number


def test_no_room_and_too_small_give_nothing():
    image, none = np.full((30, 30, 3), 100, np.uint8), (np.zeros((0, 4)), np.zeros(0, int))
    full = (np.array([[0.0, 0, 30, 30]]), np.array([3]))
    rng = np.random.default_rng(0)
    for there, scale in ((full, (1.0, 1.0)), (none, (2.0, 2.0)), (none, (0.1, 0.1))):
        pasted, boxes, labels = paste(image, *there, [disc()] * 3, rng, scale)
        assert (pasted == image).all()
        assert boxes.tolist() == there[0].tolist()
        assert labels.tolist() == there[1].tolist()


def test_pieces_are_turned_unless_they_are_upright():
    wedge = np.zeros((12, 8), np.float32)
    wedge[2:-2, 2:4] = 1
    wedge[8:10, 2:6] = 1  # an L
    piece = Piece(np.where(wedge[..., None] > 0, 200, 100).astype(np.uint8), wedge, np.float32([100]), 0)

    def seen(upright: bool) -> set[bytes]:
        rng, image, kinds = np.random.default_rng(0), np.full((40, 40, 1), 100, np.uint8), set()
        for _ in range(60):
            pasted, boxes, _ = paste(
                image, np.zeros((0, 4)), np.zeros(0, int), [piece], rng, (1.0, 1.0), upright=upright
            )
            x0, y0, x1, y1 = boxes[0].astype(int)
            kinds.add((pasted[y0:y1, x0:x1, 0].tobytes(), y1 - y0))
        return kinds

    shape = np.where(wedge[2:-2, 2:-2] > 0, 200, 100).astype(np.uint8)
    assert seen(upright=True) == {(shape.tobytes(), 8), (np.ascontiguousarray(shape[:, ::-1]).tobytes(), 8)}
    assert len(seen(upright=False)) == 8


def test_scales_are_drawn_log_uniformly_within_their_range():
    image, none = np.full((200, 200, 3), 100, np.uint8), (np.zeros((0, 4)), np.zeros(0, int))
    rng = np.random.default_rng(0)
    sides = [np.ptp(paste(image, *none, [disc()], rng, (0.5, 2.0))[1][0, ::2]) / 17 for _ in range(400)]
    assert 0.4 < min(sides) < 0.6
    assert 1.8 < max(sides) < 2.1
    assert abs(np.mean(np.array(sides) < 1.0) - 0.5) < 0.1  # 4 standard errors
