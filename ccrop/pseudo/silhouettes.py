"""Silhouettes: the connected region of a box that stands out from its surroundings.

The box of a cluster says roughly where an object is. Small objects are often brighter, darker or of another color than
their surroundings, so the edge of the region that differs from the surroundings gives a tight box, without a label.
"""

from math import ceil, floor
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

MARGIN = 0.4  # on each side of a box, in its sides: how far the object may reach beyond the box
MIN_MARGIN = 4  # pixels
FRAME = 2  # pixels: thickness of the window's outline, which shows the background
PEAK = 0.9  # quantile of the deviation within the box
SHARES = (0.3, 0.45, 0.6)  # of the peak, where the silhouette ends: the first that parts it from its neighbors
MIN_CONTRAST = 8  # of the peak, in levels of 255
MIN_SPREADS = 3  # of the peak, in standard deviations of the background
MIN_PIXELS = 9
MIN_PART = 0.1  # of the box: what is smaller is texture
MIN_FILLED = 0.4  # of the silhouette's own box
MAX_ELONGATION = 5
SAME = 0.5  # IoU of two silhouettes of one object


class Silhouette(NamedTuple):
    """The salient region within one box.

    Attributes:
        box: x0, y0, x1, y1 in whole pixels of the image, tight on the mask.
        mask: ``(y1 - y0, x1 - x0)`` bool, without holes.
        background: ``(C,)`` float32, median of the surroundings.
        contrast: mean deviation of the silhouette from the background, along the axis in which it differs most, as a
            fraction of a channel's range; at most the root of C.
    """

    box: tuple[int, int, int, int]
    mask: NDArray[np.bool_]
    background: NDArray[np.float32]
    contrast: float

    @property
    def salience(self) -> float:
        """Area x contrast."""
        return self.mask.sum() * self.contrast


class Snapped(NamedTuple):
    """Boxes after :func:`snap`, the most salient first.

    Attributes:
        boxes: ``(K, 4)`` float32 x0, y0, x1, y1 in pixels, tight on the silhouettes.
        source: ``(K,)`` int64, the box that each one comes from.
        masks: K silhouettes, bool, each of its box's height and width.
        contrast: ``(K,)`` float32, see :class:`Silhouette`.
    """

    boxes: NDArray[np.float32]
    source: NDArray[np.int64]
    masks: list[NDArray[np.bool_]]
    contrast: NDArray[np.float32]


def snap(image: NDArray, boxes: NDArray[np.floating], max_side: float = 96) -> Snapped:
    """Move boxes onto the silhouettes of what they show.

    Boxes without a silhouette are left out, and of several that meet the same one (IoU above 0.5) all but the one with
    the largest area x contrast.

    Args:
        image: ``(H, W)`` or ``(H, W, C)`` uint8 or uint16.
        boxes: ``(M, 4)`` x0, y0, x1, y1 in pixels.
        max_side: longer boxes, in pixels, are left out.
    """
    found = {
        index: each
        for index, box in enumerate(boxes)
        if max(box[2] - box[0], box[3] - box[1]) <= max_side and (each := silhouette(image, box)) is not None
    }
    order = sorted(found, key=lambda index: -found[index].salience)
    corners = np.array([found[index].box for index in order], np.float32).reshape(-1, 4)
    kept: list[int] = []
    for row, corner in enumerate(corners):
        if not (iou(corner, corners[kept]) > SAME).any():
            kept.append(row)
    source = [order[row] for row in kept]
    return Snapped(
        corners[kept],
        np.array(source, np.int64),
        [found[index].mask for index in source],
        np.array([found[index].contrast for index in source], np.float32),
    )


def silhouette(image: NDArray, box: NDArray[np.floating]) -> Silhouette | None:
    """The region of a box that stands out most from what lies around it; None if nothing does.

    The box is enlarged to a window, whose outline gives the background. The axis in the space of channels is the one
    along which the pixels of the box deviate most from the background (the first principal axis about it). Both of its
    directions are tried, so that a region can be brighter, darker or of another color. It ends where its deviation
    falls below a fraction of the peak. Regions that leave the window, other than by the image's own edge, belong to the
    background or to something larger.

    Args:
        image: ``(H, W)`` or ``(H, W, C)`` uint8 or uint16.
        box: ``(4,)`` x0, y0, x1, y1 in pixels.
    """
    height, width = image.shape[:2]
    x0, y0, x1, y1 = box.tolist()
    x0, y0, x1, y1 = max(floor(x0), 0), max(floor(y0), 0), min(ceil(x1), width), min(ceil(y1), height)
    if x1 - x0 < 2 or y1 - y0 < 2:
        return None
    beside, above = (max(MIN_MARGIN, round(MARGIN * side)) for side in (x1 - x0, y1 - y0))
    left, top, right, bottom = max(x0 - beside, 0), max(y0 - above, 0), min(x1 + beside, width), min(y1 + above, height)
    pixels = image[top:bottom, left:right].astype(np.float32).reshape(bottom - top, right - left, -1)
    inner = (slice(y0 - top, y1 - top), slice(x0 - left, x1 - left))

    frame = _frame(pixels)
    background = upper_median(frame)
    deviation = pixels - background
    axis = _principal_axis(deviation[inner])
    along = (deviation.reshape(-1, len(axis)) @ axis).reshape(deviation.shape[:2])
    spread = 1.4826 * upper_median(np.abs((frame - background) @ axis))
    levels = 255 if image.dtype == np.uint8 else 65535
    faintest = max(MIN_CONTRAST / 255 * levels, float(MIN_SPREADS * spread))
    room = (int(left > 0), int(top > 0), right - left - (right < width), bottom - top - (bottom < height))
    found = [_most_salient(each, inner, faintest, room) for each in (along, -along)]
    score, x, y, mask, level = max(found, key=lambda each: each.score)
    if not score:
        return None
    x, y, (h, w) = x + left, y + top, mask.shape
    return Silhouette((x, y, x + w, y + h), _filled(mask), background, level / levels)


class _Region(NamedTuple):
    """A connected region of a window: area x contrast within the box, left, top, mask, mean deviation."""

    score: float
    x: int
    y: int
    mask: NDArray[np.bool_]
    level: float


NOTHING = _Region(0.0, 0, 0, np.zeros((0, 0), bool), 0.0)


def _most_salient(
    deviation: NDArray[np.floating],
    inner: tuple[slice, slice],
    faintest: float,
    room: tuple[int, int, int, int],
) -> _Region:
    """The region of positive deviation ``(h, w)`` with the largest area x contrast within the box.

    Args:
        inner: the box in the window.
        faintest: a peak below it does not stand out.
        room: x0, y0, x1, y1 within which a region lies that does not leave the window.
    """
    shown = deviation[inner].ravel()
    rank = int(len(shown) * PEAK)
    peak = np.partition(shown, rank)[rank]
    if peak < faintest:
        return NOTHING
    first_x, first_y, last_x, last_y = room
    for share in SHARES:
        mask = (deviation > share * peak).view(np.uint8)
        number, regions, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
        suited = [
            index
            for index, (x, y, w, h, area) in enumerate(stats.tolist())
            if index > 0  # 0 is what does not stand out
            and area >= max(MIN_PIXELS, MIN_FILLED * w * h)
            and w * h >= MIN_PART * shown.size
            and max(w, h) <= MAX_ELONGATION * min(w, h)
            and first_x <= x <= last_x - w
            and first_y <= y <= last_y - h
        ]
        if suited:
            salience = np.bincount(regions[inner].ravel(), weights=shown, minlength=number)
            best = max(suited, key=lambda index: salience[index])
            x, y, w, h, _ = stats[best].tolist()
            region = regions[y : y + h, x : x + w] == best
            return _Region(salience[best], x, y, region, deviation[y : y + h, x : x + w][region].mean())
    return NOTHING


def _principal_axis(deviation: NDArray[np.float32]) -> NDArray[np.float32]:
    """Of pixels ``(h, w, C)``: the direction ``(C,)`` with the largest second moment about zero."""
    if deviation.shape[2] == 1:
        return np.ones(1, np.float32)
    flat = deviation.reshape(-1, deviation.shape[2])
    return cv2.eigen(flat.T @ flat)[2][0]


def _frame(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Pixels ``(n, C)`` of the outline of a window ``(h, w, C)``."""
    sides = pixels[:FRAME], pixels[-FRAME:], pixels[FRAME:-FRAME, :FRAME], pixels[FRAME:-FRAME, -FRAME:]
    return np.concatenate([side.reshape(-1, pixels.shape[2]) for side in sides])


def upper_median(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Over the first axis; several times as fast as ``numpy.median``."""
    rank = len(values) // 2
    return np.partition(values, rank, axis=0)[rank]


def _filled(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """A region without its holes."""
    outlines, _ = cv2.findContours(mask.view(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return cv2.drawContours(np.zeros(mask.shape, np.uint8), outlines, -1, 1, cv2.FILLED).view(bool)


def iou(box: NDArray[np.floating], boxes: NDArray[np.floating]) -> NDArray[np.floating]:
    """Intersection over union ``(M,)`` of a box ``(4,)`` with boxes ``(M, 4)``, none of them empty."""
    shared = (np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2])).clip(min=0).prod(axis=1)
    areas = [(each[..., 2:] - each[..., :2]).prod(axis=-1) for each in (box, boxes)]
    return shared / (areas[0] + areas[1] - shared)
