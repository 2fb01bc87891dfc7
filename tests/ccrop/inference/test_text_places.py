"""Texts next to boxes: in the picture, and clear of what is there."""

import pytest

from ccrop.inference.text_places import free_place

PICTURE, TEXT = (100, 60), (20, 10)


@pytest.mark.parametrize(
    ("box", "taken", "expected"),
    [
        ((40, 20, 50, 30), [], (40, 10, 60, 20)),  # above
        ((40, 5, 50, 15), [], (40, 15, 60, 25)),  # no room above: below
        ((40, 20, 50, 30), [(0, 0, 100, 20)], (40, 30, 60, 40)),
        ((90, 20, 98, 30), [], (78, 10, 98, 20)),  # flush with the right side
        ((10, 0, 90, 60), [], (10, 0, 30, 10)),  # inside
        ((40, 20, 50, 30), [(0, 0, 100, 20), (0, 30, 100, 60)], (50, 20, 70, 30)),  # to the right
        ((40, 20, 50, 30), [(0, 0, 100, 20), (0, 30, 100, 60), (55, 0, 60, 60)], (20, 20, 40, 30)),  # to the left
        ((40, 20, 50, 30), [(0, 0, 100, 60)], None),
        ((40, 0, 50, 60), [(50, 0, 100, 60), (20, 0, 40, 60)], None),
    ],
)
def test_the_first_free_place(box, taken, expected):
    assert free_place(box, TEXT, PICTURE, taken) == expected
