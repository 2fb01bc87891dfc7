"""Gaussian center heatmaps: each object is a Gaussian whose size follows the object's."""

import torch
from torch import Tensor

FORMULAS = ("shipped", "corrected")
CELLS = 2**25  # objects x cells at once, on an accelerator


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
    """Draw all objects of a batch at once.

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
        ValueError: an object on the grid has an image or a label out of range; on an accelerator, where the host would
            have to wait to know, such an object draws nothing.
    """
    num_images, num_classes, height, width = shape
    x, y = centers.floor().unbind(-1)
    drawn = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    x, y = x.where(drawn, 0).long(), y.where(drawn, 0).long()
    on_cpu = centers.device.type == "cpu"
    for name, index, length in (("images", images, num_images), ("labels", labels, num_classes)):
        wrong = drawn & ((index < 0) | (index >= length))
        if on_cpu and wrong.any():
            raise ValueError(f"{name} must be from 0 to {length - 1}, got {index[wrong].unique().tolist()}")
        drawn = drawn & ~wrong
    planes = (images * num_classes + labels).where(drawn, 0)
    heatmaps = torch.zeros(num_images * num_classes, height, width, dtype=torch.float32, device=centers.device)
    draw = _draw_into_squares if on_cpu else _draw_into_planes
    return draw(heatmaps, x, y, radii, planes, drawn).view(shape)


def _draw_into_squares(heatmaps: Tensor, x: Tensor, y: Tensor, radii: Tensor, planes: Tensor, drawn: Tensor) -> Tensor:
    """Each object into the cells of its square only, in one scatter: their number must be known to go on."""
    _, height, width = heatmaps.shape
    # every cell of every object's square, object after object
    sides = 2 * radii + 1
    cells = (sides**2).where(drawn, 0)
    owner = torch.arange(len(radii), device=radii.device).repeat_interleave(cells)
    number = torch.arange(len(owner), device=radii.device) - (cells.cumsum(0) - cells)[owner]
    down, right = (part - radii[owner] for part in (number // sides[owner], number % sides[owner]))
    values = torch.exp(-(down**2 + right**2) / (2 * (sides[owner] / 6) ** 2))

    rows, columns = y[owner] + down, x[owner] + right
    on_grid = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    index = ((planes[owner] * height + rows) * width + columns).where(on_grid, 0)
    heatmaps.view(-1).scatter_reduce_(0, index, values.where(on_grid, 0.0), "amax")
    return heatmaps


def _draw_into_planes(heatmaps: Tensor, x: Tensor, y: Tensor, radii: Tensor, planes: Tensor, drawn: Tensor) -> Tensor:
    """Each object into every cell of its plane: more work, but the host knows all sizes and never waits."""
    _, height, width = heatmaps.shape
    rows, columns = (torch.arange(length, device=x.device) for length in (height, width))
    for part in torch.arange(len(x), device=x.device).split(max(1, CELLS // (height * width))):
        radius = radii[part, None, None]
        down, right = (rows - y[part, None])[:, :, None], (columns - x[part, None])[:, None]
        near = (down.abs() <= radius) & (right.abs() <= radius) & drawn[part, None, None]
        values = torch.exp(-(down**2 + right**2) / (2 * ((2 * radius + 1) / 6) ** 2))
        heatmaps.index_reduce_(0, planes[part], values.where(near, 0.0), "amax")
    return heatmaps
