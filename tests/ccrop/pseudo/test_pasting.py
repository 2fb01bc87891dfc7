"""Pasted pieces: where they land, what they change, and what they are called."""

from itertools import combinations

import numpy as np
import pytest

from ccrop.pseudo import Piece, cut_pieces, paste

GROUND, OBJECT = 100, 220


def image_of(boxes: list[tuple[int, int, int, int]], channels: int = 3, size: int = 128) -> np.ndarray:
    image = np.full((size, size, channels), GROUND, np.uint8)
    for x0, y0, x1, y1 in boxes:
        image[y0:y1, x0:x1] = OBJECT
    return image


def square_piece(side: int = 12, label: int = 5, channels: int = 3, level: int = OBJECT) -> Piece:
    """An upright square with a margin of two pixels and a hard edge."""
    pixels = np.full((side + 4, side + 4, channels), GROUND, np.uint8)
    pixels[2:-2, 2:-2] = level
    alpha = np.zeros((side + 4, side + 4), np.float32)
    alpha[2:-2, 2:-2] = 1
    return Piece(pixels, alpha, np.full(channels, float(GROUND), np.float32), label)


def meet(one: np.ndarray, other: np.ndarray) -> bool:
    return bool((np.minimum(one[2:], other[2:]) > np.maximum(one[:2], other[:2])).all())


@pytest.mark.parametrize("channels", [1, 3, 5])
def test_pieces_are_cut_along_silhouettes(channels: int):
    image = image_of([(20, 30, 32, 50), (70, 70, 90, 82)], channels)
    boxes = np.array([[19, 29, 34, 52], [68, 69, 92, 84]], float)
    first, second = cut_pieces(image, boxes, [3, 7])
    assert (first.label, second.label) == (3, 7)
    assert first.pixels.shape == (24, 16, channels)
    assert first.alpha.shape == (24, 16)
    assert (first.pixels[first.alpha > 0.99] == OBJECT).all()
    assert first.alpha[2:-2, 2:-2].min() > 0.5 > first.alpha[1].max()
    assert first.background.tolist() == [GROUND] * channels


def test_no_piece_of_what_is_cut_off_or_only_in_part_in_its_box():
    image = image_of([(0, 30, 12, 50), (60, 60, 90, 90)])
    assert cut_pieces(image, np.array([[0.0, 30.0, 12.0, 50.0]]), [0]) == []  # at the edge
    assert cut_pieces(image, np.array([[70.0, 70.0, 82.0, 82.0]]), [0]) == []  # a part
    assert cut_pieces(image, np.array([[58.0, 58.0, 92.0, 92.0]]), [0], max_side=30) == []
    assert cut_pieces(image, np.zeros((0, 4)), []) == []


def test_a_pasted_square_has_its_exact_box_and_level():
    image = image_of([])
    given = image.copy()
    pasted, boxes, labels = paste(
        image, np.zeros((0, 4)), np.zeros(0, int), [square_piece()], np.random.default_rng(0), scale=(1, 1)
    )
    assert np.array_equal(image, given)
    assert labels.tolist() == [5]
    assert labels.dtype == np.int64
    assert boxes.dtype == np.float32
    x0, y0, x1, y1 = boxes[0].astype(int)
    assert (x1 - x0, y1 - y0) == (12, 12)
    expected = given.copy()
    expected[y0:y1, x0:x1] = OBJECT
    assert np.array_equal(pasted, expected)


def test_levels_follow_the_ground():
    for ground, adaptation, level in ((60, 1.0, 180), (60, 0.0, 220), (60, 0.5, 200)):
        image = np.full((64, 64, 3), ground, np.uint8)
        pasted, boxes, _ = paste(
            image,
            np.zeros((0, 4)),
            np.zeros(0, int),
            [square_piece()],
            np.random.default_rng(0),
            scale=(1, 1),
            adaptation=adaptation,
        )
        x0, y0, x1, y1 = boxes[0].astype(int)
        assert (pasted[y0:y1, x0:x1] == level).all()
    white = np.full((64, 64, 3), 250, np.uint8)  # the piece would be clipped to almost nothing
    pasted, boxes, _ = paste(white, np.zeros((0, 4)), np.zeros(0, int), [square_piece()], np.random.default_rng(0))
    assert len(boxes) == 0
    assert np.array_equal(pasted, white)


@pytest.mark.parametrize("seed", range(8))
def test_whatever_is_pasted_meets_nothing_and_changes_nothing_else(seed: int):
    rng = np.random.default_rng(seed)
    own = np.array([[10, 10, 40, 40], [90, 20, 120, 70]], np.float32)
    image = image_of([tuple(map(int, box)) for box in own])
    pieces = [square_piece(side, label) for label, side in enumerate(rng.integers(6, 30, 12))]
    pasted, boxes, labels = paste(image, own, np.array([8, 9]), pieces, rng)
    assert np.array_equal(boxes[:2], own)
    assert labels[:2].tolist() == [8, 9]
    assert len(boxes) == len(labels) > 4
    assert not any(meet(*pair) for pair in combinations(boxes, 2))
    changed = (pasted != image).any(axis=2)
    rows, columns = np.nonzero(changed)
    for x0, y0, x1, y1 in boxes[2:]:
        within = changed[int(y0) : int(y1), int(x0) : int(x1)]
        assert within.all(axis=None) or within.mean() > 0.9  # the box is tight
        assert min(x1 - x0, y1 - y0) >= 4
    near = (
        (columns[:, None] >= boxes[2:, 0] - 3)
        & (columns[:, None] < boxes[2:, 2] + 3)
        & (rows[:, None] >= boxes[2:, 1] - 3)
        & (rows[:, None] < boxes[2:, 3] + 3)
    )
    assert near.any(axis=1).all()
    sizes = (boxes[2:, 2:] - boxes[2:, :2]).max(axis=1)
    sides = np.array([piece.alpha.shape[0] - 4 for piece in pieces])[labels[2:]]
    assert (sizes > 0.6 * sides - 2.5).all()
    assert (sizes < 1.4 * sides + 2.5).all()


def test_no_room_no_piece():
    image = image_of([], size=32)
    everywhere = np.array([[0.0, 0.0, 32.0, 32.0]], np.float32)
    for boxes, piece in (
        (everywhere, square_piece(6)),
        (np.zeros((0, 4)), square_piece(40)),
        (np.zeros((0, 4)), square_piece(3)),
    ):
        pasted, after, _ = paste(
            image, boxes, np.zeros(len(boxes), int), [piece], np.random.default_rng(0), scale=(1, 1)
        )
        assert len(after) == len(boxes)
        assert np.array_equal(pasted, image)


def test_grey_images_keep_their_shape():
    image = image_of([])[..., 0]
    pasted, boxes, _ = paste(
        image, np.zeros((0, 4)), np.zeros(0, int), [square_piece(channels=1)], np.random.default_rng(0)
    )
    assert pasted.shape == image.shape
    assert len(boxes) == 1
