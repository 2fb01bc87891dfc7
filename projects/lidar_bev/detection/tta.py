"""Test-time augmentation: the maps of mirrored sweeps are mirrored back and averaged (Yin et al., CVPR 2021)."""

from collections.abc import Callable, Sequence
from itertools import chain, combinations

import torch
from torch import Tensor

from ccrop.projects.lidar_bev.detection.head import CenterMaps
from ccrop.projects.lidar_bev.detection.headings import HeadingCode
from ccrop.projects.lidar_bev.detection.targets import ANGLE, VELOCITY, num_channels
from ccrop.projects.lidar_bev.grid import Grid

AXES = ("x", "y")
SIDE = {"x": -1, "y": -2}  # dimension of a map: columns run along x


def check_flips(flips: Sequence[str], grid: Grid) -> None:
    """Check that mirrored sweeps still lie on the grid.

    Raises:
        ValueError: an axis is unknown, or the grid does not extend equally far to both sides along it.
    """
    for name in flips:
        if name not in AXES:
            raise ValueError(f"model.flips may contain x and y, got {name!r}")
        low, high = grid.low[AXES.index(name)], grid.high[AXES.index(name)]
        if abs(low + high) > 1e-6:
            raise ValueError(
                f"model.flips contains {name}, but the grid extends from {low} to {high} m along it: remove it"
            )


def averaged(
    probabilities: Callable[[list[Tensor]], CenterMaps],
    points: list[Tensor],
    flips: Sequence[str],
    groups: int,
    heading: HeadingCode = ANGLE,
) -> CenterMaps:
    """Maps averaged over a sweep and its mirror images along every combination of the axes.

    Args:
        probabilities: gives the maps of sweeps ``(points, columns)``, with heatmaps in [0, 1] instead of logits.
        points: N sweeps.
        flips: axes, "x" and "y".
        groups: number of groups of classes, each with its own boxes.
        heading: encoding of the headings.
    """
    every = [
        mirrored_maps(probabilities(mirrored_points(points, axes)), axes, groups, heading) for axes in choices(flips)
    ]
    logits, regression = (torch.stack(own).mean(dim=0) for own in zip(*(maps[:2] for maps in every), strict=True))
    ious = [maps.ious for maps in every if maps.ious is not None]
    return CenterMaps(logits, regression, torch.stack(ious).mean(dim=0) if ious else None)


def choices(flips: Sequence[str]) -> list[tuple[str, ...]]:
    """Every combination of the axes, in the order in which :func:`averaged` asks for maps; first none of them."""
    return list(chain.from_iterable(combinations(flips, number) for number in range(len(flips) + 1)))


def mirrored_boxes(boxes: Tensor, axes: Sequence[str]) -> Tensor:
    """Boxes ``(..., 7)`` of sweeps with negated coordinates along the axes; headings are in [-pi, pi]."""
    x, y, *others, heading = boxes.unbind(dim=-1)
    cos, sin = heading.cos(), heading.sin()
    if "x" in axes:
        x, cos = -x, -cos
    if "y" in axes:
        y, sin = -y, -sin
    return torch.stack([x, y, *others, torch.atan2(sin, cos)], dim=-1)


def mirrored_points(points: list[Tensor], axes: Sequence[str]) -> list[Tensor]:
    """Sweeps ``(points, columns)`` with negated coordinates along the axes."""
    signs = torch.ones(points[0].shape[1], dtype=points[0].dtype, device=points[0].device)
    signs[[AXES.index(name) for name in axes]] = -1
    return [sweep * signs for sweep in points]


def mirrored_maps(maps: CenterMaps, axes: Sequence[str], groups: int, heading: HeadingCode = ANGLE) -> CenterMaps:
    """The maps of mirrored sweeps mirrored back: cells, offsets, velocities and headings."""
    sides = [SIDE[name] for name in axes]
    logits, regression = maps.logits.flip(sides), maps.regression.flip(sides)
    ious = None if maps.ious is None else maps.ious.flip(sides)
    width = regression.shape[1] // groups
    signs, shift = regression.new_ones(width), regression.new_zeros(width)
    for name in axes:
        axis = AXES.index(name)
        signs[axis], shift[axis] = -1, 1  # the offset in a cell
        signs[-heading.channels :] *= signs.new_tensor(heading.mirrored[name])
        if width > num_channels(heading):
            signs[VELOCITY.start + axis] = -1
    regression = regression * signs.repeat(groups)[:, None, None] + shift.repeat(groups)[:, None, None]
    return CenterMaps(logits, regression, ious)
