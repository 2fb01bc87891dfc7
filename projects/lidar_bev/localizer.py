"""Heatmap -> boxes of the objects in a sweep: the localizer for bird's-eye views."""

from typing import Any

import torch
import torch.nn.functional as F
from mmengine.registry import TASK_UTILS
from torch import Tensor

from ccrop.localization import MultiObject
from ccrop.projects.lidar_bev.grid import Grid
from ccrop.projects.lidar_bev.sweep_heatmap import (
    cells_above_ground,
    geometric_heatmap,
    learned_heatmap,
    smoothed,
    walls,
)

LONG = 1.5  # meters: vehicles, not people
CANDIDATES = 256  # minimum number of boxes from which K are taken


class BevClusters:
    """Clusters of a geometric heatmap blended with a learned one, without walls, spread over the sweep.

    Args:
        grid: config of the grid of the encoder.
        stride: side of the heatmap's cells in cells of the grid.
        max_boxes: K.
        sigma: meters, of the Gaussian that merges the cells of an object into one peak.
        threshold, floor, merge: of :class:`ccrop.localization.MultiObject`.
        max_side: boxes with a longer side in meters, houses or bushes, are dropped.
        wall_length, wall_thickness: in meters, see :func:`.walls`; walls are removed from the heatmap.
        min_side: shorter sides are lengthened to it, in meters.
        behind: boxes with a side of ``LONG`` or more are moved by this many meters away from the sensor, which sees
            the near side of objects.
        spacing: of more than K boxes, those with the best score within this many meters are kept first, then the
            second best, and so on.
    """

    uses_features = True

    def __init__(
        self,
        grid: dict[str, Any] | Grid,
        stride: int = 1,
        max_boxes: int = 64,
        sigma: float = 0.4,
        threshold: float = 0.5,
        floor: float = 0.05,
        merge: float = 0.8,
        max_side: float = 10.0,
        wall_length: float = 8.0,
        wall_thickness: float = 1.0,
        min_side: float = 0.8,
        behind: float = 0.6,
        spacing: float = 6.0,
    ) -> None:
        if not 0 < min_side < max_side:
            raise ValueError(f"sides must satisfy 0 < min_side < max_side, got {min_side} and {max_side} m")
        if sigma < 0 or spacing < 0:
            raise ValueError(f"sigma and spacing must not be negative, got {sigma} and {spacing} m")
        self.grid: Grid = TASK_UTILS.build(grid) if isinstance(grid, dict) else grid
        self.grid.map_shape(stride)
        self.cells = Grid(self.grid.low, self.grid.high, self.grid.cell * stride)
        self.max_boxes = max_boxes
        self.sigma = sigma
        self.max_side = max_side
        self.min_side = min_side
        self.wall_length = wall_length
        self.wall_thickness = wall_thickness
        self.behind = behind
        self.spacing = spacing
        self.regions = MultiObject(max(CANDIDATES, max_boxes), threshold, floor, merge=merge)

    @torch.no_grad()
    def __call__(
        self, sweeps: list[Tensor], features: Tensor | None = None, learned: float = 0.0
    ) -> tuple[Tensor, Tensor]:
        """Boxes of a batch, the best scores first, without a loop over sweeps or boxes.

        Args:
            sweeps: N of ``(points, 3 or more)`` in meters.
            features: ``(N, C, h, w)`` of the encoder, where ``learned`` is not 0.
            learned: fraction of the learned heatmap, in [0, 1].

        Returns:
            ``boxes (N, K, 5)`` float32 x0, y0, x1, y1 in fractions of the grid, score, zero beyond the count, and
            ``counts (N,)`` int64.
        """
        boxes, counts, _ = self.regions.objects(self.heatmap(sweeps, features, learned))
        low, high = (boxes.new_tensor(each[:2]) for each in (self.grid.low, self.grid.high))
        extent = high - low
        center = (boxes[..., :2] + boxes[..., 2:4]) / 2 * extent
        sides = (boxes[..., 2:4] - boxes[..., :2]) * extent
        away = F.normalize(center + low, dim=2) * self.behind
        center = (center + away.where(sides.amax(dim=2, keepdim=True) >= LONG, 0.0)).clamp(min=0).minimum(extent)
        exists = torch.arange(boxes.shape[1], device=boxes.device) < counts[:, None]
        exists &= (sides <= self.max_side).all(dim=2)
        half = sides.clamp(min=self.min_side) / 2
        corners = torch.cat([(center - half) / extent, (center + half) / extent], dim=2).clamp(0, 1)
        boxes = torch.cat([corners, boxes[..., 4:]], dim=2)
        chosen = spread_order(center, boxes[..., 4].where(exists, -1.0), self.spacing)[:, : self.max_boxes]
        boxes, exists = boxes.take_along_dim(chosen[..., None], dim=1), exists.gather(1, chosen)
        best = boxes[..., 4].where(exists, -1.0).argsort(dim=1, descending=True)
        boxes = boxes.where(exists[..., None], 0.0).take_along_dim(best[..., None], dim=1)
        return boxes, exists.sum(dim=1)

    @torch.no_grad()
    def heatmap(self, sweeps: list[Tensor], features: Tensor | None = None, learned: float = 0.0) -> Tensor:
        """The heatmap ``(N, H, W)`` in [0, 1] that the boxes come from; arguments as of :meth:`__call__`."""
        cells = cells_above_ground(sweeps, self.cells)
        heatmap = geometric_heatmap(cells, self.cells)
        wall = walls(heatmap, self.cells, self.wall_length, self.wall_thickness)
        if learned:
            assert features is not None
            heatmap = (1 - learned) * heatmap + learned * learned_heatmap(features, cells, self.cells)
        heatmap = smoothed(heatmap.where(~wall, 0.0), self.sigma / self.cells.cell)
        return heatmap / heatmap.amax(dim=(1, 2), keepdim=True).clamp(min=torch.finfo(heatmap.dtype).tiny)


def spread_order(centers: Tensor, scores: Tensor, spacing: float) -> Tensor:
    """Order ``(N, M)`` in which boxes are taken, so that they spread over the sweep.

    First all that are the best within ``spacing`` of themselves, by descending score, then the second best, and so on.

    Args:
        centers: ``(N, M, 2)`` in meters.
        scores: ``(N, M)``, negative if there is no box; those come last.
        spacing: in meters.
    """
    near = (centers[:, :, None] - centers[:, None]).square().sum(dim=-1) < spacing**2
    place = torch.arange(scores.shape[1], device=scores.device)
    before = (scores[:, None] > scores[:, :, None]) | (
        (scores[:, None] == scores[:, :, None]) & (place[None, :] < place[:, None])
    )
    turn = (near & before).sum(dim=2).where(scores >= 0, scores.shape[1])
    by_score = scores.argsort(dim=1, descending=True, stable=True)
    return by_score.gather(1, turn.gather(1, by_score).argsort(dim=1, stable=True))
