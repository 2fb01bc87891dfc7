"""What tools/evaluate.py says of sweeps, on sets made by hand."""

import weakref
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.config import ConfigDict

from ccrop.models import SimSiam
from ccrop.projects.lidar_bev import center_recall
from ccrop.projects.lidar_bev.center_recall import centers_of, evaluate, labeled_sweeps, tables
from ccrop.projects.lidar_bev.datasets import KittiSweeps, SweepFolder
from ccrop.projects.lidar_bev.datasets.kitti_format import Calibration, write_calibration
from ccrop.projects.lidar_bev.evaluation.proposal_recall import ProposalRecall
from ccrop.projects.lidar_bev.grid import Grid
from ccrop.projects.lidar_bev.localizer import BevClusters
from ccrop.projects.lidar_bev.pretraining import PillarBackbone
from ccrop.projects.lidar_bev.window_knn import window_knn


def config(**settings) -> SimpleNamespace:
    return SimpleNamespace(train_dataloader=ConfigDict(dataset=dict(pipeline=[], **settings)))


def test_centers_are_in_meters():
    boxes = torch.tensor([[[0.4, 0.4, 0.6, 0.8, 1], [0.1, 0.1, 0.2, 0.2, 1]], [[0, 0, 0, 0, 0]] * 2])
    first, second = centers_of(boxes, torch.tensor([1, 0]), (-10.0, 0.0, 30.0, 50.0))
    np.testing.assert_allclose(first, [[10, 30]], atol=1e-5)
    assert second.shape == (0, 2)


def test_tables_name_classes_and_ranges_that_have_objects():
    found = ProposalRecall(
        labels=np.array([0, 0, -1]),
        distances=np.array([5.0, 20, 70]),
        found=np.array([[True, True], [False, True], [False, False]]),
        boxes=4.0,
        precision=0.5,
    )
    whole, by_class, by_range = tables(SimpleNamespace(classes=("Car", "Cyclist")), {"geometric": found})
    assert whole[1] == ["geometric", "4.0", "33.3 / 66.7", "50.0"]
    assert by_class[0][1:] == ["Car (2)", "other (1)"]
    assert by_class[1][1:] == ["50.0 / 100.0", "0.0 / 0.0"]
    assert by_range[0][1:] == ["0 to 15 m (1)", "15 to 30 m (1)", "50 m and more (1)"]
    assert by_range[1][1:] == ["100.0 / 100.0", "0.0 / 100.0", "0.0 / 0.0"]


def test_labels_all_around_where_there_are_some_and_in_the_camera_s_view_elsewhere(simulated: Path, tmp_path: Path):
    settings = dict(type=KittiSweeps, data_root=str(simulated), split="train")
    around = labeled_sweeps(config(**settings), "val", ["Car"], 3)
    assert len(around) == 3
    assert (around.labels, around.in_view, around.classes) == ("label_360", False, ("Car",))
    folder = tmp_path / "training"
    folder.mkdir()
    for name in ("velodyne", "calib", "label_2"):
        (folder / name).symlink_to(simulated / "training" / name)
    ahead = labeled_sweeps(config(**settings | dict(data_root=str(tmp_path), split=None)), None, None, None)
    assert (ahead.labels, ahead.in_view) == ("label_2", True)
    with pytest.raises(ValueError, match="has no labels; pass --data-root of labeled sweeps, and --config FILE"):
        labeled_sweeps(config(type=SweepFolder, data_root=str(simulated)), None, None, None)


def test_a_sweep_that_cannot_be_read_is_left_out_of_the_recall(tmp_path: Path, warned: list[str]):
    """Four frames with one car each, the second cut off; the localizer finds a car where it stands and nothing else."""
    grid = dict(type=Grid, low=(-24, -24, -3), high=(24, 24, 1), cell=0.75)
    for folder in ("velodyne", "label_2", "calib"):
        (tmp_path / "training" / folder).mkdir(parents=True)
    velo_to_cam = np.array([[0, -1, 0, 0], [0, 0, -1, 0], [1.0, 0, 0, 0]])
    for frame in range(4):
        ahead, left = 8 + 3 * frame, 4 - 2 * frame
        rng = np.random.default_rng(frame)
        road = np.column_stack([rng.uniform(-24, 24, (9000, 2)), rng.normal(-1.7, 0.02, 9000), np.zeros(9000)])
        low, high = [ahead - 2, left - 1, -1.4, 0], [ahead + 2, left + 1, -0.2, 1]
        points = np.concatenate([road, rng.uniform(low, high, (400, 4))]).astype(np.float32)
        points.tofile(tmp_path / f"training/velodyne/{frame:06d}.bin")
        write_calibration(
            tmp_path / f"training/calib/{frame:06d}.txt", Calibration(np.eye(3, 4), np.eye(3), velo_to_cam)
        )
        (tmp_path / f"training/label_2/{frame:06d}.txt").write_text(
            f"Car 0.00 0 0.00 300 100 400 200 1.5 2.0 4.0 {-left} 1.7 {ahead} -1.5708\n"
        )
    (tmp_path / "training/velodyne/000001.bin").write_bytes(b"cut off")
    settings = ConfigDict(
        train_dataloader=dict(dataset=dict(type=KittiSweeps, data_root=str(tmp_path), in_view=False, pipeline=[])),
        default_hooks=dict(localization=dict(localizer=dict(type=BevClusters, grid=grid, max_boxes=8))),
    )
    model = SimSiam(
        dict(type=PillarBackbone, grid=grid, size="small"), channels=32, bottleneck=8, data_preprocessor=None
    )
    _, found = evaluate(settings, model.eval(), [0.0], workers=0)
    assert found["geometric"].found.shape[0] == 3
    assert found["geometric"].recall()[1] == 1  # within 2 m
    assert warned[-1] == f"{tmp_path}: 1 of 4 sweeps were left out"


def test_points_of_sweeps_are_not_kept(monkeypatch: pytest.MonkeyPatch):
    alive: list[weakref.ref] = []
    counts: list[int] = []

    def readable():
        for index in range(6):
            points = np.zeros((10, 4))
            alive.append(weakref.ref(points))
            counts.append(sum(each() is not None for each in alive))
            boxes = np.array([[index, 0, 0, 4, 2, 1, 0]], dtype=np.float32)
            yield index, dict(points=points, boxes=boxes, labels=np.zeros(1, int), num_points=np.full(1, 50))

    grid = dict(type=Grid, low=(-24, -24, -3), high=(24, 24, 1), cell=0.75)
    settings = ConfigDict(
        default_hooks=dict(localization=dict(localizer=dict(type=BevClusters, grid=grid, max_boxes=8)))
    )
    nothing = torch.zeros(6, 8, 5), torch.zeros(6, dtype=torch.long)
    monkeypatch.setattr(center_recall, "labeled_sweeps", lambda *_: SimpleNamespace(readable=readable))
    monkeypatch.setattr(center_recall, "heatmaps", lambda *_: [("geometric", nothing), ("50% learned", nothing)])
    _, found = evaluate(settings, None, [0.0, 0.5])
    assert max(counts) <= 2
    assert [each.distances.tolist() for each in found.values()] == [list(range(6))] * 2


def test_neighbors_of_windows_by_hand():
    torch.manual_seed(0)
    directions = torch.eye(3).repeat_interleave(40, dim=0)
    labels = torch.arange(3).repeat_interleave(40)
    bank = (directions + 0.05 * torch.randn(120, 3), labels)
    wrong = labels.clone()
    wrong[80:90] = 0  # a quarter of the third class is labeled as the first
    found = window_knn(bank, (directions, wrong), ("Car", "Cyclist"))
    assert found["Car"] == pytest.approx(40 / 50)
    assert found["Cyclist"] == 1
    assert found["background"] == 1
    assert found["mean over classes"] == pytest.approx((0.8 + 2) / 3)
    # a channel that all share and that is large does not drown the others
    shifted = [(torch.cat([features, 1000 + torch.zeros(120, 1)], dim=1), known) for features, known in (bank, bank)]
    assert window_knn(*shifted, ("Car", "Cyclist"))["mean over classes"] == 1
