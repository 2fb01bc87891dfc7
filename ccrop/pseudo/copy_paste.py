"""Copy-paste: objects cut out along their silhouettes and pasted into other scenes, where their boxes are exact.

Kisantal et al. (arXiv 1902.07296) paste small objects to train on more of them; Ghiasi et al. (Simple Copy-Paste, CVPR
2021) find scale jitter to matter and a realistic place not to; InsLoc (Yang et al., CVPR 2021) pretrains detectors
on pasted objects.
"""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from ccrop.pseudo.silhouettes import iou, silhouette, upper_median

MARGIN = 2  # pixels around a silhouette, for its soft edge
MIN_OVERLAP = 0.5  # IoU of a silhouette with the box that it was found in
MIN_SIDE = 4  # pixels of a pasted box
TRIES = 8  # places to look at for each piece
MIN_CONTRAST = 0.5  # of a pasted piece, as a fraction of what it was where it was cut out


class Piece(NamedTuple):
    """An object cut out of an image.

    Attributes:
        pixels: ``(h, w, C)``, as in the image, with a margin around the silhouette.
        alpha: ``(h, w)`` float32 in [0, 1], the silhouette with a soft edge.
        background: ``(C,)`` float32, median of the surroundings.
        label: of the object.
    """

    pixels: NDArray
    alpha: NDArray
    background: NDArray[np.float32]
    label: int


def cut_pieces(image: NDArray, boxes: NDArray[np.floating], labels: Sequence[int], max_side: float = 96) -> list[Piece]:
    """Cut objects out along their silhouettes.

    Boxes without a clear silhouette (IoU below 0.5 with its own box) or longer than `max_side` pixels, and objects
    at the image's edge, which may be cut off, give no piece.

    Args:
        image: ``(H, W)`` or ``(H, W, C)`` uint8 or uint16.
        boxes: ``(M, 4)`` x0, y0, x1, y1 in pixels.
        labels: M of them.
    """
    pieces = []
    for box, label in zip(boxes, labels, strict=True):
        if max(box[2] - box[0], box[3] - box[1]) > max_side or (found := silhouette(image, box)) is None:
            continue
        x0, y0, x1, y1 = found.box
        left, top, right, bottom = x0 - MARGIN, y0 - MARGIN, x1 + MARGIN, y1 + MARGIN
        at_edge = left < 0 or top < 0 or right > image.shape[1] or bottom > image.shape[0]
        if at_edge or iou(np.array(found.box), box[None]) < MIN_OVERLAP:
            continue
        pixels = image[top:bottom, left:right].reshape(bottom - top, right - left, -1).copy()
        alpha = cv2.GaussianBlur(np.pad(found.mask.astype(np.float32), MARGIN), (3, 3), 0)
        pieces.append(Piece(pixels, alpha, found.background, int(label)))
    return pieces


def paste(
    image: NDArray,
    boxes: NDArray[np.floating],
    labels: NDArray[np.integer],
    pieces: Sequence[Piece],
    rng: np.random.Generator,
    scale: tuple[float, float] = (0.6, 1.4),
    upright: bool = False,
) -> tuple[NDArray, NDArray[np.float32], NDArray[np.int64]]:
    """Paste pieces at random places of a copy of the image, none over an object or over another piece.

    A piece's levels move with the background, from where it was cut out to where it is pasted, so that its
    soft edge leaves no halo. It is left out if there is no room for it after a few tries, where it keeps less than
    half of its contrast because levels end at black or white, and where it becomes smaller than 4 pixels.

    Args:
        image: ``(H, W)`` or ``(H, W, C)`` uint8 or uint16, of as many channels as the pieces.
        boxes: ``(M, 4)`` x0, y0, x1, y1 in pixels of the objects that are there.
        labels: ``(M,)``.
        pieces: each is pasted once.
        scale: range of the factor by which a piece is magnified, drawn log-uniformly.
        upright: mirror from left to right only; otherwise, pieces are also rotated by multiples of 90 degrees.

    Returns:
        The image, boxes ``(M + P, 4)`` float32 and labels ``(M + P,)`` int64; the new ones are the last.
    """
    pasted = image.copy()
    canvas = pasted.reshape(*image.shape[:2], -1)
    taken, new_boxes, new_labels = np.asarray(boxes).tolist(), [], []
    for piece in pieces:
        pixels, alpha = _varied(piece, scale, upright, rng)
        x0, y0, width, height = cv2.boundingRect((alpha > 0.5).view(np.uint8))
        if min(width, height) < MIN_SIDE:
            continue
        window = _free_window(alpha.shape, canvas.shape, taken, rng)
        if window is None:
            continue
        left, top, right, bottom = window
        region = canvas[top:bottom, left:right]
        blended = _blended(region, pixels, alpha, piece.background)
        if blended is None:
            continue
        region[:] = blended
        taken.append(window)
        new_boxes.append([left + x0, top + y0, left + x0 + width, top + y0 + height])
        new_labels.append(piece.label)
    return (
        pasted,
        np.concatenate([boxes, np.reshape(new_boxes, (-1, 4))]).astype(np.float32),
        np.concatenate([labels, new_labels]).astype(np.int64),
    )


def _varied(
    piece: Piece, scale: tuple[float, float], upright: bool, rng: np.random.Generator
) -> tuple[NDArray, NDArray]:
    """Pixels and alpha of a piece, resized and mirrored at random."""
    size_draw, *draws = rng.random(4).tolist()
    factor = scale[0] * (scale[1] / scale[0]) ** size_draw
    mirrored, upended, transposed = (draw < 0.5 for draw in draws)
    height, width = (max(1, round(side * factor)) for side in piece.alpha.shape)
    averages = factor < 0.5 and piece.pixels.shape[2] <= 4  # OpenCV averages four channels at most
    interpolation = cv2.INTER_AREA if averages else cv2.INTER_LINEAR
    pixels: NDArray = cv2.resize(piece.pixels, (width, height), interpolation=interpolation).reshape(height, width, -1)
    alpha: NDArray = cv2.resize(piece.alpha, (width, height), interpolation=interpolation)
    if mirrored:
        pixels, alpha = pixels[:, ::-1], alpha[:, ::-1]
    if upended and not upright:
        pixels, alpha = pixels[::-1], alpha[::-1]
    if transposed and not upright:
        pixels, alpha = pixels.swapaxes(0, 1), alpha.T
    return pixels, alpha


def _free_window(
    size: Sequence[int], image_size: Sequence[int], taken: list[list[float]], rng: np.random.Generator
) -> list[int] | None:
    """A window of (height, width) as x0, y0, x1, y1 that meets none of the taken boxes; None if no try finds one."""
    height, width = size
    room_x, room_y = image_size[1] - width, image_size[0] - height
    if room_x < 0 or room_y < 0:
        return None
    for across, down in rng.random((TRIES, 2)).tolist():
        x, y = int(across * (room_x + 1)), int(down * (room_y + 1))
        if all(x >= x1 or y >= y1 or x + width <= x0 or y + height <= y0 for x0, y0, x1, y1 in taken):
            return [x, y, x + width, y + height]
    return None


def _blended(
    region: NDArray, pixels: NDArray, alpha: NDArray[np.float32], background: NDArray[np.float32]
) -> NDArray | None:
    """A region ``(h, w, C)`` with a piece on it; None if the piece would hardly stand out."""
    below = region.astype(np.float32)
    around = upper_median(below.reshape(-1, below.shape[2]))
    levels = pixels + (around - background)
    limit = np.iinfo(region.dtype).max
    if levels.min() < 0 or levels.max() > limit:
        whole = np.abs(levels - around)[alpha > 0.5].sum()
        levels = levels.clip(0, limit)
        if np.abs(levels - around)[alpha > 0.5].sum() < MIN_CONTRAST * whole:
            return None
    return (below + alpha[..., None] * (levels - below) + 0.5).astype(region.dtype)
