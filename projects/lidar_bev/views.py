"""Views of a sweep: rotated, mirrored, scaled, translated and thinned, each with the exact transform that made it.

A view's transform is a 2x3 matrix that takes x, y of the sweep to x, y of the view, both in meters.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from ccrop.projects.lidar_bev.boxes import wrapped
from ccrop.projects.lidar_bev.grid import Grid


class Motion(NamedTuple):
    """A similarity transform of the ground plane, with the same scale and a shift along z.

    Attributes:
        angle: counter-clockwise, in radians, before the mirrors.
        mirror_x, mirror_y: whether x, or y, is negated.
        scale: factor on all lengths.
        shift: along x, y, z in meters, applied last.
    """

    angle: float = 0.0
    mirror_x: bool = False
    mirror_y: bool = False
    scale: float = 1.0
    shift: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def transform(self) -> NDArray[np.float64]:
        """``(2, 3)``: x, y in meters to x, y in meters."""
        cos, sin = np.cos(self.angle), np.sin(self.angle)
        signs = np.where([self.mirror_x, self.mirror_y], -1.0, 1.0)
        linear = self.scale * signs[:, None] * np.array([[cos, -sin], [sin, cos]])
        return np.column_stack([linear, self.shift[:2]])

    def points(self, points: NDArray[np.float32]) -> NDArray[np.float32]:
        """Points ``(N, 3 or more)`` moved; the other columns stay."""
        transform = self.transform().astype(points.dtype)
        moved = points.copy()
        moved[:, :2] = points[:, :2] @ transform[:, :2].T + transform[:, 2]
        moved[:, 2] = points[:, 2] * self.scale + self.shift[2]
        return moved

    def vectors(self, vectors: NDArray) -> NDArray:
        """Vectors ``(M, 2)`` along x and y, such as velocities, rotated, mirrored and scaled."""
        return (vectors @ self.transform()[:, :2].T).astype(vectors.dtype)

    def boxes(self, boxes: NDArray) -> NDArray:
        """Boxes ``(M, 7)`` moved."""
        heading = boxes[:, 6] + self.angle
        if self.mirror_x:
            heading = np.pi - heading
        if self.mirror_y:
            heading = -heading
        center = self.points(boxes[:, :3])
        return np.column_stack([center, boxes[:, 3:6] * self.scale, wrapped(heading)]).astype(boxes.dtype)


class MotionRange(NamedTuple):
    """Ranges of random motions; the defaults are usual for detectors on 360-degree sweeps.

    Attributes:
        angle: largest rotation to either side in radians.
        mirror_x, mirror_y: probabilities.
        scale: smallest and largest factor.
        shift: standard deviations of x, y, z in meters.
    """

    angle: float = np.pi / 4
    mirror_x: float = 0.5
    mirror_y: float = 0.5
    scale: tuple[float, float] = (0.95, 1.05)
    shift: tuple[float, float, float] = (0.5, 0.5, 0.2)

    def draw(self, rng: Generator) -> Motion:
        """A random motion."""
        return Motion(
            angle=rng.uniform(-self.angle, self.angle),
            mirror_x=bool(rng.random() < self.mirror_x),
            mirror_y=bool(rng.random() < self.mirror_y),
            scale=rng.uniform(*self.scale),
            shift=tuple(rng.normal(0, self.shift).tolist()),
        )


def dropped(points: NDArray, share: float, rng: Generator) -> NDArray:
    """The points ``(N, C)`` without a random fraction ``share`` of them; at least one is kept."""
    kept = rng.random(len(points)) >= share
    if len(points) and not kept.any():
        kept[rng.integers(len(points))] = True
    return points[kept]


def thinned(points: NDArray, centers: NDArray, radius: float, share: float, rng: Generator) -> NDArray:
    """The points ``(N, C)`` without a random fraction of those near centers, as if seen from farther away.

    Args:
        centers: ``(K, 2)`` x, y in meters; a point within ``radius`` of any of them is near, seen from above.
        radius: in meters.
        share: fraction of the near points to drop.
    """
    near: NDArray[np.bool_] = np.zeros(len(points), dtype=bool)
    if len(centers):
        # the nearest of few centers: (N, K) at once would be large for many
        distance = np.full(len(points), np.inf, dtype=np.float32)
        for x, y in np.asarray(centers, dtype=np.float32):
            np.minimum(distance, (points[:, 0] - x) ** 2 + (points[:, 1] - y) ** 2, out=distance)
        near = distance <= radius**2
    return points[~near | (rng.random(len(points)) >= share)]


class SweepViews:
    """Pipeline step: views of a sample's sweep.

    Replaces ``points`` by ``views``, a list of ``(N, C)`` float32, and adds ``transforms (V, 2, 3)`` float32. Where
    ``grid`` is given these take fractions of the sweep's own map to fractions of each view's, as
    :func:`ccrop.views.windows.window_pairs` wants them with boxes in fractions; else they are meters to meters. Boxes
    of the sample stay those of the sweep.

    Args:
        motion: what each view's motion is drawn from.
        dropout: largest fraction of points that a view loses, drawn per view.
        thinning: places per view where the density is thinned, each around one of its points.
        thinning_radius: of these places in meters.
        thinning_share: largest fraction of the points there that are dropped, drawn per view.
        num_views: of each sweep.
        grid: see above.
    """

    def __init__(
        self,
        motion: MotionRange | None = None,
        dropout: float = 0.2,
        thinning: int = 4,
        thinning_radius: float = 4.0,
        thinning_share: float = 0.7,
        num_views: int = 2,
        grid: Grid | None = None,
    ) -> None:
        for name, share in (("dropout", dropout), ("thinning_share", thinning_share)):
            if not 0 <= share < 1:
                raise ValueError(f"{name} must be in [0, 1), got {share}")
        self.motion = MotionRange() if motion is None else motion
        self.dropout = dropout
        self.thinning = thinning
        self.thinning_radius = thinning_radius
        self.thinning_share = thinning_share
        self.num_views = num_views
        self.grid = grid

    def __call__(self, sample: dict[str, Any]) -> dict[str, Any]:
        rng = sample["rng"]
        sample = dict(sample)
        points = sample.pop("points")
        motions = [self.motion.draw(rng) for _ in range(self.num_views)]
        sample["views"] = [motion.points(self._degraded(points, rng)) for motion in motions]
        transforms = np.stack([motion.transform() for motion in motions])
        if self.grid is not None:
            transforms = between_fractions(transforms, self.grid)
        sample["transforms"] = transforms.astype(np.float32)
        return sample

    def _degraded(self, points: NDArray, rng: Generator) -> NDArray:
        points = dropped(points, rng.uniform(0, self.dropout), rng)
        if self.thinning:
            centers = points[rng.integers(len(points), size=self.thinning), :2]
            points = thinned(points, centers, self.thinning_radius, rng.uniform(0, self.thinning_share), rng)
        return points


def composed(second: NDArray, first: NDArray) -> NDArray:
    """The transform ``(..., 2, 3)`` that is ``first (..., 2, 3)`` and then ``second (..., 2, 3)``."""
    linear = second[..., :2] @ first[..., :2]
    offset = second[..., :2] @ first[..., 2:] + second[..., 2:]
    return np.concatenate([linear, offset], axis=-1)


def inverted(transforms: NDArray) -> NDArray:
    """The inverses of transforms ``(..., 2, 3)``."""
    linear = np.linalg.inv(transforms[..., :2])
    return np.concatenate([linear, -linear @ transforms[..., 2:]], axis=-1)


def to_fractions(transforms: NDArray, grid: Grid) -> NDArray:
    """Transforms ``(..., 2, 3)`` meters to meters, as meters of the sweep to fractions of each view's map."""
    return composed(grid.to_fractions(), transforms)


def between_fractions(transforms: NDArray, grid: Grid) -> NDArray:
    """Transforms ``(..., 2, 3)`` meters to meters, as fractions of the sweep's map to fractions of each view's map."""
    return composed(to_fractions(transforms, grid), inverted(grid.to_fractions()))


def to_cells(transforms: NDArray, grid: Grid, stride: int) -> NDArray:
    """Transforms ``(..., 2, 3)`` meters to meters, as cells of the sweep's map of a stride to cells of each view's."""
    cells = grid.to_cells(stride)
    return composed(composed(cells, transforms), inverted(cells))
