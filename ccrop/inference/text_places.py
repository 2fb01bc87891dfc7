"""Where a short text fits next to a box of a picture."""

from collections.abc import Iterable, Iterator

Rectangle = tuple[float, float, float, float]


def free_place(
    box: Rectangle, text: tuple[float, float], picture: tuple[int, int], taken: Iterable[Rectangle]
) -> Rectangle | None:
    """The first place next to a box that lies in the picture and is clear of what is taken.

    Above the box, below it, inside it if there is room, to its right, or to its left.

    Args:
        box: left, top, right, bottom in pixels, like all rectangles here.
        text: width and height in pixels.
        picture: width and height in pixels.
        taken: rectangles that the text must not cover.

    Returns:
        None if there is no such place.
    """
    width, height = text
    taken = list(taken)
    for left, top in _places(box, width, height):
        place = (left, top, left + width, top + height)
        inside = left >= 0 and top >= 0 and place[2] <= picture[0] and place[3] <= picture[1]
        if inside and not any(_overlap(place, each) for each in taken):
            return place
    return None


def _places(box: Rectangle, width: float, height: float) -> Iterator[tuple[float, float]]:
    """Left upper corners of a text: flush with the left side of its box, then with the right one, then beside it."""
    x0, y0, x1, y1 = box
    for x in (x0, x1 - width):
        yield x, y0 - height
        yield x, y1
    if x1 - x0 > 2 * width and y1 - y0 > 3 * height:
        yield x0, y0
    yield x1, y0
    yield x0 - width, y0


def _overlap(one: Rectangle, other: Rectangle) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
