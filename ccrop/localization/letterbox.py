"""Images that keep their aspect ratio on a padded canvas: their position, and boxes of the image itself."""

from collections.abc import Sequence

import torch
from torch import Tensor


def cells_inside(valid: Tensor, size: Sequence[int]) -> Tensor:
    """Cells of a map whose center is on the image, not on the padding.

    Args:
        valid: ``(N, 4)`` x0, y0, x1, y1 of the image in fractions of the canvas.
        size: (height, width) of the map in cells; the map covers the canvas.

    Returns:
        ``(N, height, width)`` bool.
    """
    rows, columns = ((torch.arange(length, device=valid.device) + 0.5) / length for length in size)
    x0, y0, x1, y1 = valid[:, :, None].unbind(1)
    inside_rows = (rows >= y0) & (rows < y1)
    inside_columns = (columns >= x0) & (columns < x1)
    return inside_rows[:, :, None] & inside_columns[:, None, :]


def boxes_in_image(boxes: Tensor, valid: Tensor | None) -> Tensor:
    """Boxes in fractions of the canvas to boxes in fractions of the image, cut at its edges.

    Args:
        boxes: ``(N, K, 5)`` x0, y0, x1, y1, score; boxes of zeros stay zeros.
        valid: ``(N, 4)`` x0, y0, x1, y1 of the image in fractions of the canvas; None if it is all of it.
    """
    if valid is None:
        return boxes
    start, end = valid[:, None, :2], valid[:, None, 2:]
    corners = [(corner - start) / (end - start) for corner in (boxes[..., :2], boxes[..., 2:4])]
    return torch.cat([torch.cat(corners, dim=-1).clamp(0, 1), boxes[..., 4:]], dim=-1)
