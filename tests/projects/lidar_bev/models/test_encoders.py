import pytest
import torch

from ccrop.projects.lidar_bev.grid import Grid
from ccrop.projects.lidar_bev.models import KITTI_GRID, NUSCENES_GRID, SMALL_GRID, PillarEncoder, SparseEncoder
from ccrop.projects.lidar_bev.models.backbone import BevBackbone

GRID = Grid(low=(-4, -8, -3), high=(4, 8, 1), cell=0.25)  # 64 rows, 32 columns


def sweeps_of(*counts, columns=4):
    generator = torch.Generator().manual_seed(0)
    scale = torch.tensor([8.0, 16, 4] + [1] * (columns - 3))
    shift = torch.tensor([4.0, 8, 3] + [0] * (columns - 3))
    return [torch.rand(count, columns, generator=generator) * scale - shift for count in counts]


def test_statistics_keep_up_with_a_run_of_some_hundred_steps():
    """Else a detector is tested with the statistics of an encoder that it no longer has."""
    encoder, sweeps = PillarEncoder(GRID, 4, "small"), sweeps_of(400, 300)
    with torch.no_grad():
        for _ in range(100):
            trained = encoder(sweeps)
        tested = encoder.eval()(sweeps)
    assert (tested - trained).abs().mean() < 0.02 * trained.abs().mean()


@pytest.mark.parametrize(("size", "stride", "channels"), [("kitti", 2, 384), ("nuscenes", 4, 384), ("small", 2, 96)])
def test_pillar_encoders_give_maps_of_their_stride(size, stride, channels):
    encoder = PillarEncoder(GRID, 5, size).eval()
    assert (encoder.stride, encoder.out_channels) == (stride, channels)
    with torch.no_grad():
        maps = encoder(sweeps_of(200, 50, columns=5))
    assert maps.shape == (2, channels, *GRID.map_shape(stride))


def test_the_published_grids():
    assert KITTI_GRID.shape == (496, 432)
    assert NUSCENES_GRID.shape == (512, 512)
    assert SMALL_GRID.shape == (256, 256)


def test_a_map_shows_a_point_where_it_is():
    """But for the features x and y, a point moved by a cell of the coarsest stage moves all that it does to the map."""
    encoder = PillarEncoder(Grid(low=(-16, -16, -3), high=(16, 16, 1), cell=0.25), 4, "small").eval()

    @torch.no_grad()
    def seen(x, y):
        return encoder([torch.tensor([[x, y, 0.0, 0.5]])]) - encoder([torch.zeros(0, 4)])

    with torch.no_grad():
        encoder.pillars.linear.weight[:, :2] = 0
    base = seen(0.1, 0.1)
    assert base.abs().max() > 1e-5
    # a meter is two cells of the map: columns along x, rows along y
    torch.testing.assert_close(seen(1.1, 0.1), base.roll(2, dims=3), atol=1e-6, rtol=1e-3)
    torch.testing.assert_close(seen(0.1, 1.1), base.roll(2, dims=2), atol=1e-6, rtol=1e-3)
    assert (seen(1.1, 0.1) - base).abs().max() > 1e-5


def test_backbone_counts_its_strides():
    backbone = BevBackbone(4, (0, 1), (2, 2), (8, 16), (1, 2), (5, 6)).eval()
    assert (backbone.stride, backbone.total_stride, backbone.out_channels) == (2, 4, 11)
    assert backbone(torch.zeros(1, 4, 16, 24)).shape == (1, 11, 8, 12)
    with pytest.raises(ValueError, match=r"bring the maps of all stages to the same whole stride, got \[2\.0, 4\.0\]"):
        BevBackbone(4, (0, 1), (2, 2), (8, 16), (1, 1), (5, 6))
    with pytest.raises(ValueError, match="one entry per stage"):
        BevBackbone(4, (0,), (2, 2), (8, 16), (1, 1), (5, 6))


def test_backbone_has_the_parameters_of_pointpillars():
    """Those of OpenPCDet's PointPillars on KITTI: 4.8 million in the backbone."""
    encoder = PillarEncoder(KITTI_GRID)
    convolutions = [64 * 64] * 4 + [64 * 128] + [128 * 128] * 5 + [128 * 256] + [256 * 256] * 5
    ups = 64 * 128 * 1 + 128 * 128 * 4 + 256 * 128 * 16
    norms = 2 * (64 * 4 + 128 * 6 + 256 * 6 + 128 * 3)
    assert sum(each.numel() for each in encoder.backbone.parameters()) == 9 * sum(convolutions) + ups + norms
    assert encoder.backbone.blocks[0][1].weight.shape == (64, 64, 3, 3)


def test_pillar_encoder_refuses_what_does_not_fit():
    with pytest.raises(ValueError, match="size must be one of kitti, nuscenes, small"):
        PillarEncoder(GRID, size="large")
    with pytest.raises(ValueError, match="64 x 36 cells has no map of stride 8"):
        PillarEncoder(Grid(low=(-4, -8, -3), high=(5, 8, 1), cell=0.25))


class TestSparse:
    @pytest.fixture(autouse=True)
    def _spconv(self):
        pytest.importorskip("spconv.pytorch")

    def test_maps_and_gradients_on_the_cpu(self):
        torch.manual_seed(0)
        encoder = SparseEncoder(GRID)
        assert (encoder.stride, encoder.out_channels, encoder.voxels.out_channels) == (8, 512, 256)
        maps = encoder(sweeps_of(300, 100))
        assert maps.shape == (2, 512, 8, 4)
        maps.square().mean().backward()
        gradients = [each.grad for each in encoder.parameters()]
        assert all(each is not None and each.isfinite().all() for each in gradients)
        assert encoder.voxels.stages[0][0].weight.grad.abs().sum() > 0

    def test_voxels_by_hand(self):
        encoder = SparseEncoder(GRID).voxels
        points = torch.tensor([[-3.9, -7.9, -2.95, 1], [-3.8, -7.8, -2.93, 0], [3.9, 7.9, 0.95, 1], [9.0, 0, 0, 1]])
        features, indices = encoder.voxels([points[:0], points])
        assert indices.tolist() == [[1, 0, 0, 0], [1, 39, 63, 31]]
        torch.testing.assert_close(features, torch.tensor([[-3.85, -7.85, -2.94, 0.5], [3.9, 7.9, 0.95, 1]]))

    def test_the_map_has_the_rows_along_y(self):
        torch.manual_seed(0)
        encoder = SparseEncoder(GRID).voxels.eval()
        with torch.no_grad():
            maps = encoder([torch.tensor([[3.9, -7.9, 0.0, 1.0]])])
        rows, columns = maps[0].abs().sum(dim=0).nonzero(as_tuple=True)
        assert maps.shape == (1, 256, 8, 4)
        assert rows.max() <= 2
        assert columns.min() >= 2

    def test_refuses_what_does_not_fit(self):
        with pytest.raises(ValueError, match="no map of stride 8"):
            SparseEncoder(Grid(low=(-4, -8, -3), high=(5, 8, 1), cell=0.25))
        with pytest.raises(ValueError, match="too few to halve four times"):
            SparseEncoder(GRID, cell_height=1.0)
        with pytest.raises(ValueError, match="no point of the batch is in the grid"):
            SparseEncoder(GRID)([torch.full((3, 4), 50.0)])
        with pytest.raises(ValueError, match=r"expected sweeps \(points, 4\), got \(3, 5\)"):
            SparseEncoder(GRID)([torch.zeros(3, 5)])
