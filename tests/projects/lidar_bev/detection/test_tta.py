"""Mirrored tests: maps of mirrored sweeps fall on those of the sweeps."""

import numpy as np
import pytest
import torch

from ccrop.projects.lidar_bev.detection import CenterPoint
from ccrop.projects.lidar_bev.detection.head import CenterMaps
from ccrop.projects.lidar_bev.detection.headings import HEADING_CODES, HeadingCode
from ccrop.projects.lidar_bev.detection.targets import center_targets, num_channels
from ccrop.projects.lidar_bev.detection.tta import averaged, mirrored_maps, mirrored_points
from ccrop.projects.lidar_bev.grid import Grid
from ccrop.projects.lidar_bev.models import PillarEncoder
from ccrop.projects.lidar_bev.views import Motion

GRID = Grid(low=(-8, -12, -3), high=(8, 12, 1), cell=0.5)
STRIDE = 2
BOXES = np.array([[1.3, 2.6, -1, 4, 1.8, 1.5, 0.4], [-4.1, -7.2, -0.5, 0.6, 0.7, 1.8, -3.0]], dtype=np.float32)
VELOCITIES = np.array([[1.5, -2.0], [0.0, 0.5]], dtype=np.float32)


def learned(motion: Motion, heading: HeadingCode) -> CenterMaps:
    """The maps of a head that knows moved boxes by heart, with two groups of classes; 0 in all other cells."""
    boxes, velocities = (torch.from_numpy(each) for each in (motion.boxes(BOXES), motion.vectors(VELOCITIES)))
    groups = torch.tensor([0, 1])
    known = dict(groups=groups, velocities=[velocities], heading=heading)
    targets = center_targets([boxes], [torch.tensor([0, 1])], GRID, STRIDE, 2, **known)
    (rows, columns), channels = GRID.map_shape(STRIDE), num_channels(heading, velocity=True)
    regression = torch.zeros(2 * rows * columns, channels)
    regression[targets.cells] = targets.regression
    regression = regression.view(2, rows, columns, channels).permute(0, 3, 1, 2).reshape(1, -1, rows, columns)
    return CenterMaps(targets.heatmaps, regression, targets.heatmaps / 2)


@pytest.mark.parametrize("heading", HEADING_CODES.values(), ids=HEADING_CODES)
@pytest.mark.parametrize("axes", [(), ("x",), ("y",), ("x", "y")])
def test_mirrored_maps_are_those_of_the_sweep(axes: tuple[str, ...], heading: HeadingCode):
    mirrored = learned(Motion(mirror_x="x" in axes, mirror_y="y" in axes), heading)
    plain, found = learned(Motion(), heading), mirrored_maps(mirrored, axes, groups=2, heading=heading)
    torch.testing.assert_close(found.logits, plain.logits)
    torch.testing.assert_close(found.ious, plain.ious)
    centers = plain.logits.amax(dim=1, keepdim=True) == 1
    values, expected = (torch.where(centers & (plain.regression != 0), each.regression, 0.0) for each in (found, plain))
    torch.testing.assert_close(values, expected, atol=1e-5, rtol=1e-5)


def test_points_are_mirrored_and_maps_averaged():
    points = [torch.tensor([[1.0, 2, 3, 0.5]])]
    assert mirrored_points(points, ("x", "y"))[0].tolist() == [[-1, -2, 3, 0.5]]
    seen = []

    def probabilities(sweeps: list[torch.Tensor]) -> CenterMaps:
        seen.append(sweeps[0][0, :2].tolist())
        heatmap = torch.zeros(1, 1, 2, 2)
        heatmap[..., 0, 0] = 1  # of whatever sweep, so each corner once
        return CenterMaps(heatmap, torch.zeros(1, 8, 2, 2))

    found = averaged(probabilities, points, ("x", "y"), groups=1)
    assert seen == [[1, 2], [-1, 2], [1, -2], [-1, -2]]
    assert (found.logits == 0.25).all()
    assert found.regression[0, 0].unique().tolist() == [0.5]
    assert found.ious is None


@pytest.mark.parametrize("heading", HEADING_CODES)
def test_a_detector_finds_the_same_in_a_sweep_and_its_mirror_image(heading: str):
    torch.manual_seed(0)
    grid = Grid(low=(-8, -8, -3), high=(8, 8, 1), cell=0.5)
    settings = dict(
        classes=("a", "b"),
        distances=(1.0, 1.0),
        channels=8,
        heading=heading,
        flips=("x", "y"),
        iou_power=0.5,
        velocity=True,
    )
    model = CenterPoint(PillarEncoder(grid, 4, "small"), **settings).eval()
    points = torch.rand(400, 4, generator=torch.Generator().manual_seed(1)) * torch.tensor([16, 16, 3, 1]) - 8
    points[:, 2:] += torch.tensor([6.0, 8.0])
    motion = Motion(mirror_x=True)
    own, other = (
        model([torch.from_numpy(each)], mode="predict")[0] for each in (points.numpy(), motion.points(points.numpy()))
    )
    order = [np.lexsort(np.round(each.boxes[:, :2] * [sign, 1], 3).T) for each, sign in ((own, 1), (other, -1))]
    assert len(own.boxes) == len(other.boxes) > 10
    np.testing.assert_allclose(motion.boxes(other.boxes)[order[1]][:, :6], own.boxes[order[0]][:, :6], atol=2e-3)
    np.testing.assert_allclose(other.scores[order[1]], own.scores[order[0]], atol=1e-4)
    np.testing.assert_allclose(motion.vectors(other.velocities)[order[1]], own.velocities[order[0]], atol=1e-3)


def test_a_grid_ahead_of_the_sensor_is_mirrored_along_y_alone():
    grid = Grid(low=(0, -8, -3), high=(16, 8, 1), cell=0.5)
    build = lambda *flips: CenterPoint(PillarEncoder(grid, 4, "small"), ("a",), (1.0,), flips=flips)  # noqa: E731
    build("y")
    with pytest.raises(ValueError, match=r"model\.flips contains x, but the grid extends from 0 to 16 m along it"):
        build("x")
    with pytest.raises(ValueError, match="may contain x and y, got 'z'"):
        build("z")
