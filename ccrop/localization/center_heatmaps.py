"""Gaussian center heatmaps: each object is a Gaussian whose size follows the object's."""

import torch
from torch import Tensor

FORMULAS = ("shipped", "corrected")


def gaussian_radius(sizes: Tensor, min_overlap: float = 0.1, min_radius: int = 2, formula: str = "shipped") -> Tensor:
    """How far from an object's center a box of its size still overlaps with it, in whole cells.

    CornerNet (Law & Deng, ECCV 2018, section 3.2) defines the radius within which a pair of moved corners keeps
    an IoU of ``min_overlap`` and solves a quadratic equation a r^2 - b r + c = 0 for each of three ways to move them;
    the smallest of the three counts. CenterPoint (Yin et al., CVPR 2021, section 4) uses it with
    ``min_overlap`` 0.1 and ``min_radius`` 2 on nuScenes.

    Args:
        sizes: ``(..., 2)`` the two sides of each box in cells.
        min_overlap: IoU in (0, 1).
        min_radius: smallest radius in cells.
        formula: "shipped", what CornerNet, CenterNet and CenterPoint run: the larger root, halved although
            the quadratic formula divides by 2 a; or "corrected", the roots that solve the equations.

    Returns:
        ``(...)`` int64, rounded down. Boxes without an area have ``min_radius``.
    """
    if not 0 < min_overlap < 1:
        raise ValueError(f"min_overlap must be in (0, 1), got {min_overlap}")
    if formula not in FORMULAS:
        raise ValueError(f"formula must be one of {', '.join(FORMULAS)}, got {formula!r}")
    first, second = sizes.double().clamp(min=0).unbind(-1)
    around, area, o = first + second, first * second, min_overlap
    radii = []
    for a, b, c, sign in (
        (1, around, area * (1 - o) / (1 + o), -1),  # one corner inwards, one outwards
        (4, 2 * around, area * (1 - o), -1),  # both inwards
        (4 * o, -2 * o * around, area * (o - 1), 1),  # both outwards
    ):
        root = (b**2 - 4 * a * c).clamp(min=0).sqrt()
        radii.append((b + root) / 2 if formula == "shipped" else (b + sign * root) / (2 * a))
    return torch.stack(radii).amin(dim=0).floor().long().clamp(min=min_radius)


def center_heatmaps(
    centers: Tensor, radii: Tensor, images: Tensor, labels: Tensor, shape: tuple[int, int, int, int]
) -> Tensor:
    """Draw all objects of a batch, in one scatter.

    Each object draws exp(-d^2 / 2 sigma^2) into its class's map, CenterNet (Zhou et al., 2019, section 3) and
    CenterPoint (Yin et al., CVPR 2021, section 4): d is the distance in cells to the cell that its center is in,
    sigma = (2 r + 1) / 6, and nothing is drawn more than r rows or columns away. Where objects overlap, the maximum
    counts. The center cell is exactly 1. An object whose center is outside the grid, or is not finite, draws
    nothing, so that padded batches of objects may be drawn as they are.

    Args:
        centers: ``(M, 2)`` x, y in cells: cell (row, column) reaches from (column, row) to (column + 1, row + 1).
        radii: ``(M,)`` int64 in cells, see :func:`gaussian_radius`.
        images: ``(M,)`` int64, which image of the batch.
        labels: ``(M,)`` int64, which class.
        shape: (N, C, H, W): images, classes, rows, columns.

    Returns:
        ``(N, C, H, W)`` float32 in [0, 1].

    Raises:
        ValueError: an object on the grid has an image or a label out of range.
    """
    num_images, num_classes, height, width = shape
    x, y = centers.floor().unbind(-1)
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    x, y = x.where(inside, 0).long(), y.where(inside, 0).long()
    for name, index, length in (("images", images, num_images), ("labels", labels, num_classes)):
        wrong = inside & ((index < 0) | (index >= length))
        if wrong.any():
            raise ValueError(f"{name} must be from 0 to {length - 1}, got {index[wrong].unique().tolist()}")

    # every cell of every object's square, object after object
    sides = 2 * radii + 1
    cells = (sides**2).where(inside, 0)
    owner = torch.arange(len(radii), device=radii.device).repeat_interleave(cells)
    number = torch.arange(len(owner), device=radii.device) - (cells.cumsum(0) - cells)[owner]
    down, right = (part - radii[owner] for part in (number // sides[owner], number % sides[owner]))
    values = torch.exp(-(down**2 + right**2) / (2 * (sides[owner] / 6) ** 2))

    rows, columns = y[owner] + down, x[owner] + right
    on_grid = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    plane = images[owner] * num_classes + labels[owner]
    index = ((plane * height + rows) * width + columns).where(on_grid, 0)
    heatmaps = torch.zeros(num_images * num_classes * height * width, dtype=torch.float32, device=centers.device)
    return heatmaps.scatter_reduce_(0, index, values.where(on_grid, 0.0), "amax").view(shape)
