"""A sweep -> what the model is fed: views of it with its boxes, or the whole of it. Steps of a data set's pipeline."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch.utils.data import default_collate

from ccrop.datasets.base import NO_BOXES
from ccrop.projects.lidar_bev.grid import Grid
from ccrop.projects.lidar_bev.views import SweepViews

PLACE = 1.0  # side in meters of the cells from which places are drawn


class SceneSweeps(SweepViews):
    """:class:`.SweepViews` as :class:`ccrop.models.RegionPairs` wants them, in fractions of the sweep's own map.

    Gives ``views``, V tensors ``(points, columns)``, ``transforms``, V of ``(2, 3)`` to fractions of each view,
    ``boxes (max_boxes, 5)`` of the sample's ``clusters`` with their number ``counts``, ``places (num_places, 2)``
    where there are points, for background windows, and ``index``.

    Args:
        grid: of the encoder.
        max_boxes: K of the localizer.
        num_places: drawn from each sweep.
        kwargs: of SweepViews.

    Raises:
        ValueError: mirrored views would not show the grid's sweeps.
    """

    grid: Grid

    def __init__(self, grid: Grid, max_boxes: int, num_places: int = 256, **kwargs: Any) -> None:
        super().__init__(grid=grid, **kwargs)
        for axis, probability in enumerate((self.motion.mirror_x, self.motion.mirror_y)):
            low, high = grid.low[axis], grid.high[axis]
            if probability and min(high, -low) - max(low, -high) < (high - low) / 2:
                name = "xy"[axis]
                raise ValueError(
                    f"views mirrored along {name} do not show what lies from {low} to {high} m of it, so two views "
                    f"need not overlap: set motion.mirror_{name} to 0"
                )
        self.max_boxes = max_boxes
        self.num_places = num_places

    def __call__(self, sample: dict[str, Any]) -> dict[str, Any]:
        found = sample.get("clusters", NO_BOXES)
        if len(found) > self.max_boxes:
            raise ValueError(
                f"sweep {sample['index']} has {len(found)} boxes, but SceneSweeps expects at most {self.max_boxes}: "
                "give it the localizer's max_boxes"
            )
        made = super().__call__(sample)
        boxes = torch.zeros(self.max_boxes, 5)
        boxes[: len(found)] = torch.from_numpy(found)
        return dict(
            views=[torch.from_numpy(view) for view in made["views"]],
            transforms=list(torch.from_numpy(made["transforms"])),
            boxes=boxes,
            counts=len(found),
            places=torch.from_numpy(occupied_places(sample["points"], self.grid, self.num_places, sample["rng"])),
            index=sample["index"],
        )


class RandomBoxes:
    """Puts boxes around random places with points into ``clusters``: the control without localization.

    Args:
        grid: of the encoder.
        number: of boxes.
        sides: shortest and longest side in meters, log-uniform.
    """

    def __init__(self, grid: Grid, number: int, sides: tuple[float, float] = (1.0, 5.0)) -> None:
        if not 0 < sides[0] <= sides[1]:
            raise ValueError(f"sides must satisfy 0 < low <= high, got {tuple(sides)} m")
        self.grid = grid
        self.number = number
        self.sides = tuple(sides)

    def __call__(self, sample: dict[str, Any]) -> dict[str, Any]:
        rng = sample["rng"]
        center = occupied_places(sample["points"], self.grid, self.number, rng)
        half = np.exp(rng.uniform(*np.log(self.sides), (self.number, 1))) / (2 * _extent(self.grid))
        corners = np.concatenate([center - half, center + half], axis=1).clip(0, 1)
        boxes = np.column_stack([corners, np.ones(self.number)]).astype(np.float32)
        return sample | dict(clusters=boxes)


class WholeSweep:
    """The whole sweep as it is, for localization: ``sweeps (points, columns)`` and ``index``."""

    def __call__(self, sample: dict[str, Any]) -> dict[str, Any]:
        return dict(sweeps=torch.from_numpy(sample["points"]), index=sample["index"])


def occupied_places(points: NDArray, grid: Grid, number: int, rng: Generator) -> NDArray[np.float32]:
    """``(number, 2)`` in fractions of the grid, uniform over its cells of ``PLACE`` meters that hold points.

    Where no point lies in the grid, places are uniform over all of it.

    Args:
        points: ``(N, 2 or more)`` in meters.
    """
    cells = np.ceil(_extent(grid) / PLACE).astype(int)
    place = np.floor((points[:, :2] - grid.low[:2]) / PLACE).astype(int)
    place = place[((place >= 0) & (place < cells)).all(axis=1)]
    held = np.bincount(place[:, 0] * cells[1] + place[:, 1], minlength=cells.prod()) > 0
    chosen = rng.choice(np.flatnonzero(held if held.any() else ~held), number)
    corner = np.column_stack(np.divmod(chosen, cells[1]))
    return ((corner + rng.random((number, 2))) * PLACE / _extent(grid)).clip(0, 1).astype(np.float32)


def collate_sweeps(samples: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """A batch of samples: sweeps stay lists, since each has its own number of points; all else is stacked."""
    ragged = {"views", "sweeps"}
    batch = default_collate([{name: value for name, value in each.items() if name not in ragged} for each in samples])
    if "views" in samples[0]:
        batch["views"] = [list(view) for view in zip(*(each["views"] for each in samples), strict=True)]
    if "sweeps" in samples[0]:
        batch["sweeps"] = [each["sweeps"] for each in samples]
    return batch


def _extent(grid: Grid) -> NDArray[np.float64]:
    """Meters along x and y."""
    return np.subtract(grid.high[:2], grid.low[:2])
