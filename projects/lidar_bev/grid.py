"""The bird's-eye-view grid: which part of a sweep a map shows, and how meters become cells.

Columns run along x, rows along y, both upwards: cell (row, column) of a map ``(N, C, H, W)`` reaches from
``low + (column, row) * cell`` one cell further.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True)
class Grid:
    """A box in space, divided into square cells seen from above.

    Attributes:
        low: smallest x, y, z in meters.
        high: largest x, y, z.
        cell: side of a cell in meters; the box's sides along x and y are multiples of it.

    Raises:
        ValueError: they are not, or the box or its cells have no extent.
    """

    low: tuple[float, float, float]
    high: tuple[float, float, float]
    cell: float

    def __post_init__(self) -> None:
        if self.cell <= 0 or any(high <= low for low, high in zip(self.low, self.high, strict=True)):
            raise ValueError(f"high must exceed low and cell be positive, got {self}")
        for name, low, high in zip("xy", self.low, self.high, strict=False):
            cells = (high - low) / self.cell
            if abs(cells - round(cells)) > 1e-3:
                raise ValueError(
                    f"{name} from {low} to {high} m is {cells:.3f} cells of {self.cell} m, but must be whole: "
                    f"end at {low + round(cells) * self.cell:g} m"
                )

    @cached_property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        columns, rows = (round((high - low) / self.cell) for low, high in zip(self.low[:2], self.high[:2], strict=True))
        return rows, columns

    @property
    def extent(self) -> tuple[float, float, float, float]:
        """x0, y0, x1, y1 in meters."""
        return self.low[0], self.low[1], self.high[0], self.high[1]

    def map_shape(self, stride: int) -> tuple[int, int]:
        """Rows and columns of a map with cells ``stride`` times as large.

        Raises:
            ValueError: they are not whole numbers.
        """
        if self.shape[0] % stride or self.shape[1] % stride:
            raise ValueError(
                f"a grid of {self.shape[0]} x {self.shape[1]} cells has no map of stride {stride}: choose low "
                f"and high so that both counts are multiples of {stride}"
            )
        return self.shape[0] // stride, self.shape[1] // stride

    def to_cells(self, stride: int = 1) -> NDArray[np.float64]:
        """``(2, 3)``: takes x, y in meters to x, y (columns, rows) in cells of a map."""
        side = self.cell * stride
        return np.array([[1 / side, 0, -self.low[0] / side], [0, 1 / side, -self.low[1] / side]])

    def to_fractions(self) -> NDArray[np.float64]:
        """``(2, 3)``: takes x, y in meters to fractions of a map, as in :mod:`ccrop.views.windows`."""
        rows, columns = self.shape
        return self.to_cells() / np.array([[columns], [rows]])

    def inside(self, points: Tensor) -> Tensor:
        """Which of the points ``(N, 3 or more)`` lie in the grid, ``(N,)`` bool."""
        shown = torch.ones(len(points), dtype=torch.bool, device=points.device)
        for values, low, high in zip(points[:, :3].unbind(dim=1), self.low, self.high, strict=True):
            shown &= (values >= low) & (values < high)
        return shown

    def above(self, points: Tensor) -> Tensor:
        """Which of the points ``(N, 3 or more)`` lie within the grid's x and y, whatever their z: ``(N,)`` bool."""
        shown = torch.ones(len(points), dtype=torch.bool, device=points.device)
        for values, low, high in zip(points[:, :2].unbind(dim=1), self.low[:2], self.high[:2], strict=True):
            shown &= (values >= low) & (values < high)
        return shown

    def cells(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Rows and columns ``(N,)`` int64 of points ``(N, 3 or more)`` that lie within the grid's x and y."""
        rows, columns = self.shape
        x, y = (((points[:, axis] - self.low[axis]) / self.cell).long() for axis in (0, 1))
        # points per rounding error below the upper end belong to the last cell
        return y.clamp(max=rows - 1), x.clamp(max=columns - 1)


def stacked(sweeps: list[Tensor]) -> tuple[Tensor, Tensor]:
    """All points ``(sum N, C)`` of sweeps ``(N, C)``, and the index of each one's sweep, ``(sum N,)`` int64."""
    counts = torch.tensor([len(sweep) for sweep in sweeps], device=sweeps[0].device)
    return torch.cat(sweeps), torch.arange(len(sweeps), device=counts.device).repeat_interleave(counts)
