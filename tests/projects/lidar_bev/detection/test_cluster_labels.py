"""Clusters instead of labels: the boxes that a detector of sweeps is given, and what it hands on."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from jobs import ROOT, call, tool
from mmengine.config import Config
from mmengine.registry import TRANSFORMS

from ccrop.projects.lidar_bev.datasets import KittiSweeps
from ccrop.projects.lidar_bev.detection.cluster_labels import CEILING, THINNEST, ClusterBoxes, standing
from ccrop.projects.lidar_bev.grid import Grid
from ccrop.projects.lidar_bev.models import PillarEncoder

CONFIG = ROOT / "projects/lidar_bev/configs/centerpoint_pillar_demo.py"
GRID = Grid(low=(-10, -20, -3), high=(30, 20, 2), cell=0.5)
SMALL = (
    *("--cfg-options", "model.backbone.grid.low=(-12,-12,-3)", "model.backbone.grid.high=(12,12,1.8)"),
    "test_dataset.subset=4",
)


def test_boxes_stand_on_their_lowest_point_and_end_below_what_hangs_above():
    rng = np.random.default_rng(0)
    points = (rng.uniform(0, 1, (4000, 4)) * [40, 40, 12, 1] - [10, 20, 2, 0]).astype(np.float32)
    corner = rng.uniform(0, 0.9, (30, 2))
    clusters = np.column_stack([corner, corner + rng.uniform(0.02, 0.1, (30, 2)), np.ones(30)]).astype(np.float32)
    boxes, num_points = standing(clusters, points, GRID)
    assert boxes.dtype == np.float32
    for (x0, y0, x1, y1, _), box, number in zip(clusters.astype(float), boxes, num_points, strict=True):
        x0, x1, y0, y1 = x0 * 40 - 10, x1 * 40 - 10, y0 * 40 - 20, y1 * 40 - 20
        heights = [z for x, y, z, _ in points.tolist() if x0 <= x <= x1 and y0 <= y <= y1]
        heights = [z for z in heights if z <= min(heights) + CEILING]
        assert number == len(heights) > 0
        bottom, top = min(heights), max(heights)
        expected = [(x0 + x1) / 2, (y0 + y1) / 2, (bottom + top) / 2, x1 - x0, y1 - y0, max(top - bottom, THINNEST), 0]
        assert box.tolist() == pytest.approx(expected, abs=1e-4)


def test_a_cluster_without_points_is_a_box_without_points():
    """:class:`.LabeledSweep` takes such boxes out of the loss."""
    boxes, num_points = standing(np.array([[0.1, 0.1, 0.2, 0.2, 0.9]]), np.full((5, 4), 25.0), GRID)
    assert np.isfinite(boxes).all()
    assert num_points.tolist() == [0]
    assert standing(np.zeros((0, 5)), np.ones((5, 4)), GRID)[0].shape == (0, 7)


def test_the_best_clusters_are_taken_and_are_of_one_class():
    clusters = np.linspace(0.9, 0.1, 4)[:, None] * [0, 0, 1, 1, 1]
    sample = ClusterBoxes(GRID, 2)(dict(points=np.zeros((3, 4), np.float32), clusters=clusters))
    assert sample["boxes"][:, 3].tolist() == pytest.approx([36.0, 0.9 * 40 - 0.8 / 3 * 40], abs=1e-4)
    assert sample["labels"].tolist() == [0, 0]
    with pytest.raises(ValueError, match="max_boxes must be at least 1, got 0"):
        ClusterBoxes(GRID, 0)


@pytest.fixture(scope="module")
def clusters(simulated: Path, tmp_path_factory) -> Path:
    """A checkpoint with four clusters per sweep, and with the config of its pretraining."""
    sweeps = KittiSweeps(simulated, split="train")
    corner = torch.linspace(0.4, 0.55, 4 * len(sweeps)).reshape(-1, 4)
    boxes = torch.stack([corner, corner, corner + 0.04, corner + 0.02, torch.ones_like(corner)], dim=2)
    counts = torch.full((len(sweeps),), 4)
    folder = tmp_path_factory.mktemp("clusters")
    state = dict(boxes=boxes.half(), counts=counts.short(), fingerprint=sweeps.fingerprint())
    encoder = PillarEncoder(Grid(low=(-12, -12, -3), high=(12, 12, 1.8), cell=0.375), 4, "small").state_dict()
    weights = {f"backbone.{name}": tensor for name, tensor in encoder.items()}
    grid = dict(type="ccrop.projects.lidar_bev.grid.Grid", low=(-48, -48, -3), high=(48, 48, 1.8), cell=0.375)
    config = dict(default_hooks=dict(localization=dict(localizer=dict(grid=grid))))
    torch.save(dict(meta={}, state_dict=weights, boxes=state, config=config), folder / "epoch_1.pth")
    return folder / "epoch_1.pth"


def test_a_detector_of_clusters_hands_all_but_its_classifier_to_one_of_classes(
    simulated: Path, clusters: Path, tmp_path: Path
):
    command = tool("finetune.py", CONFIG, "--data-root", simulated, "--init", "random", "--pseudo-boxes", clusters)
    done = call([*command, "--iterations", "2", "--work-dir", "first", *SMALL], tmp_path)
    assert done.returncode == 0, done.stdout
    assert f"pseudo-boxes of {clusters} instead of labels" in done.stdout
    assert "AP_object" in done.stdout.splitlines()[-1]
    assert json.loads((tmp_path / "first/metrics.json").read_text())["mAP"] >= 0
    left = Config.fromfile(tmp_path / "first/centerpoint_pillar_demo.py")
    assert TRANSFORMS.get(left.train_dataloader.dataset.pipeline[0].type) is ClusterBoxes

    command = tool("finetune.py", CONFIG, "--data-root", simulated, "--init", "first/iter_2.pth", "--labels", "10%")
    again = call(
        [*command, "--iterations", "1", "--work-dir", "second", *SMALL, "optim_wrapper.optimizer.lr=0"], tmp_path
    )
    assert again.returncode == 0, again.stdout
    assert (
        "of the neck and heads as well, not head.heatmaps.1.bias, head.heatmaps.1.weight, which are of" in again.stdout
    )
    before, after = (
        torch.load(tmp_path / file, weights_only=False)["state_dict"]
        for file in ("first/iter_2.pth", "second/iter_1.pth")
    )
    learned = [name for name in after if name.endswith(("weight", "bias"))]
    odd = {name for name in learned if before[name].shape != after[name].shape}
    assert odd == {"head.heatmaps.1.weight", "head.heatmaps.1.bias"}
    assert all(torch.equal(before[name], after[name]) for name in learned if name not in odd)


def test_a_comparison_makes_such_detectors_itself(simulated: Path, clusters: Path, tmp_path: Path):
    command = tool(
        *("compare.py", CONFIG, "--data-root", simulated, "--no-long"),
        *("--labels", "5%", "--seeds", "0", "--tflop", "0.0026", "--iterations", "1", "--lr-factors", "1"),
        *("--csv", "t.csv", "--pretrain", f"stored={clusters}", "learned=clusters:stored"),
    )
    done = call([*command, *SMALL], tmp_path)
    assert done.returncode == 0, done.stdout
    with (tmp_path / "t.csv").open(newline="") as handle:
        rows = {row["arm"]: row for row in csv.DictReader(handle)}
    assert list(rows) == ["random", "stored", "learned"]
    folder = next((tmp_path / "work_dirs/transfer").iterdir()) / "pretraining/learned_0"
    steps = round(0.0026 / float(rows["random"]["tflop"]))
    assert (folder / f"iter_{steps}.pth").exists()
    assert f"backbone from {(folder / f'iter_{steps}.pth').relative_to(tmp_path)}" in done.stdout

    command[-1] = "learned=clusters:other"
    done = call([*command, *SMALL], tmp_path)
    assert done.returncode == 2
    assert "clusters:other matches none of stored, learned: add its pretraining to --pretrain" in done.stdout


def test_clusters_of_other_sweeps_and_none(simulated: Path, clusters: Path, tmp_path: Path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    content = torch.load(clusters, weights_only=False)
    torch.save(dict(state_dict={}, config=content["config"]), tmp_path / "a/epoch_1.pth")
    content["boxes"]["fingerprint"] = "0"
    torch.save(content, tmp_path / "b/epoch_1.pth")
    messages = (
        "a/epoch_1.pth holds no clusters: pass a checkpoint of",
        "belong to 80 sweeps other than the 80 training sweeps of",
    )
    for name, message in zip("ab", messages, strict=True):
        command = tool("finetune.py", CONFIG, "--data-root", simulated, "--init", "random", "--work-dir", "w")
        done = call([*command, "--pseudo-boxes", f"{name}/epoch_1.pth", *SMALL], tmp_path)
        assert done.returncode == 2, done.stdout
        assert message in done.stdout
        assert "Traceback" not in done.stdout


def test_any_object_counts_where_objects_are_asked_for(simulated: Path):
    settings = dict(split="val", labeled=True, labels="label_360", in_view=False)
    known = KittiSweeps(simulated, classes=("Pedestrian",), **settings).known(0)["labels"]
    every = KittiSweeps(simulated, classes=("object",), **settings).known(0)["labels"]
    assert (known < 0).any()
    assert (every == 0).all()
    assert len(every) == len(known)
