"""nuScenes from its tables to its result file: fine-tuning with all of CenterPoint's settings, score, prediction."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from jobs import ROOT
from mmengine.registry import DATASETS, MODELS
from tiny_nuscenes import write_tiny_nuscenes

from ccrop.compat.safe_checkpoint import load_checkpoint
from ccrop.experiments.paired_bootstrap import draws_of
from ccrop.projects.lidar_bev.datasets.nuscenes import CLASSES
from ccrop.projects.lidar_bev.detection.metrics import compared
from ccrop.projects.lidar_bev.detection.nuscenes_benchmark import nuscenes_metrics
from ccrop.projects.lidar_bev.detection.resampled_metrics import resampled_metrics
from ccrop.projects.lidar_bev.evaluation.center_ap import Detections
from ccrop.projects.lidar_bev.finetune import finetune, line, load_config
from ccrop.tools import predict
from ccrop.transfer import set_iterations

CONFIGS = ROOT / "projects/lidar_bev/configs"
MINI = {
    "train_dataloader.dataset.split": "mini_train",
    "test_dataset.split": "mini_val",
    "train_dataloader.num_workers": 0,
    "train_dataloader.batch_size": 2,
}
SMALL = {
    "model.backbone.size": "small",
    "model.backbone.grid.low": (-12.8, -12.8, -5),
    "model.backbone.grid.high": (12.8, 12.8, 3),
    "model.channels": 8,
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data") / "nuscenes"
    write_tiny_nuscenes(root)
    return root


def test_fine_tuning_and_prediction(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture):
    config = load_config(CONFIGS / "centerpoint_pillar_nuscenes.py", root, MINI | SMALL)
    set_iterations(config, 2)
    metrics = finetune(config, "random", tmp_path / "w", labels=0.5)
    assert 0 <= metrics["NDS"] <= 1
    assert {"mAP", "AP_traffic_cone", "mATE", "mASE", "mAOE", "mAVE", "mAAE", "mAP_0-15m"} <= set(metrics)
    log = next((tmp_path / "w").rglob("*.log")).read_text()
    assert "trained on 3 of 6 labeled sweeps (1 of 2 scenes)" in log
    assert "Ground-truth sampling from 6 car, 0 truck, " in log
    assert "mAVE" in line(metrics, "nuscenes")

    command = [tmp_path / "w", root, "--split", "mini_val", "--to", "nuscenes", "--min-score", 0, "--pictures", 0]
    assert predict.main([*map(str, command), "--out", str(tmp_path / "p")]) == 0
    content = json.loads((tmp_path / "p/nuscenes.json").read_text())
    names = [f"{scene} sample {key}" for scene in ("scene-0103", "scene-0916") for key in range(3)]
    assert sorted(content["results"]) == names
    rows = [row for own in content["results"].values() for row in own]
    assert {row["detection_name"] for row in rows} <= set(CLASSES)
    assert any(row["velocity"] != [0, 0] for row in rows)
    assert content["meta"]["use_lidar"]


def test_perfect_detections_reach_the_highest_score_of_the_classes_that_are_there(root: Path):
    """Four of ten classes have objects that count: a bicycle in a rack is none."""
    config = load_config(CONFIGS / "centerpoint_pillar_nuscenes.py", root, MINI)
    dataset = DATASETS.build(config.test_dataset)
    found = []
    for index in range(len(dataset)):
        sample = dataset.known(index)
        own = sample["labels"] >= 0
        boxes, labels, velocities = (sample[name][own] for name in ("boxes", "labels", "velocities"))
        found.append(Detections(boxes, np.ones(len(boxes)), labels, velocities=velocities))
    metrics = nuscenes_metrics(dataset, range(len(dataset)), found)
    there = {"car", "pedestrian", "traffic_cone", "barrier"}
    assert {name for name in CLASSES if metrics[f"AP_{name}"] == pytest.approx(1)} == there
    assert {name for name in CLASSES if metrics[f"AP_{name}"] == 0} == set(CLASSES) - there
    # by hand: six classes without objects have errors of 1; cones have no heading, cones and barriers no velocity
    assert metrics["mAP"] == pytest.approx(0.4)
    errors = dict(mATE=6 / 10, mASE=6 / 10, mAOE=6 / 9, mAVE=6 / 8, mAAE=6 / 8)
    assert {name: metrics[name] for name in errors} == pytest.approx(errors, abs=1e-4)
    assert metrics["NDS"] == pytest.approx((5 * 0.4 + sum(1 - error for error in errors.values())) / 10, abs=1e-4)


def test_resamples_are_of_the_benchmarks_own_metrics(root: Path):
    config = load_config(CONFIGS / "centerpoint_pillar_nuscenes.py", root, MINI)
    dataset = DATASETS.build(config.test_dataset)
    rng, grid = np.random.default_rng(0), MODELS.build(config.model).backbone.grid
    found, sweeps, indices = [], [], range(len(dataset))
    for index in indices:
        sample = dataset.known(index)
        own = (sample["labels"] >= 0) & (rng.random(len(sample["labels"])) < 0.7)
        boxes = sample["boxes"][own] + rng.normal(0, 0.6, (own.sum(), 7))
        found.append(Detections(boxes, rng.random(own.sum()), sample["labels"][own]))
        sweeps.append(compared(sample, found[-1], grid))
    drawn = resampled_metrics(dataset, indices, sweeps, found, dataset.classes, resamples=5)
    expected = nuscenes_metrics(dataset, indices, found)
    assert set(drawn) == {"mAP", *(f"AP_{name}" for name in CLASSES)}
    assert {name: values[0] for name, values in drawn.items()} == pytest.approx(
        {name: expected[name] for name in drawn}
    )
    for number, draw in enumerate(draws_of(len(dataset), 5)[1:], 1):
        places = [index for index in indices for _ in range(draw[index])]
        copied = nuscenes_metrics(dataset, places, [found[place] for place in places])
        assert drawn["mAP"][number] == pytest.approx(copied["mAP"])
    assert 0 < expected["mAP"] < 0.4


@pytest.mark.parametrize("name", ["pillar", "voxel"])
def test_both_configs_take_a_real_layout(root: Path, name: str):
    if name == "voxel":
        pytest.importorskip("spconv")
    options = MINI | {"train_dataloader.dataset.num_sweeps": 1}
    options |= {"model.backbone.grid.low": (-6.4, -6.4, -5), "model.backbone.grid.high": (6.4, 6.4, 3)}
    config = load_config(CONFIGS / f"centerpoint_{name}_nuscenes.py", root, options)
    sample = DATASETS.build(config.train_dataloader.dataset)[2]
    model = MODELS.build(config.model)
    with torch.no_grad():
        losses = model(**{key: [value] for key, value in sample.items()}, mode="loss")
    assert all(loss.isfinite() and loss > 0 for loss in losses.values())
    assert model.head.heatmaps[-1].out_channels == 6 * 2
    assert model.backbone.stride * model.backbone.grid.cell == pytest.approx(0.8)


def test_a_second_stage_on_a_finished_first_stage(root: Path, tmp_path: Path):
    """Groups and velocities, resumed with equal weights, and read back for prediction; random weights are refused."""
    config = load_config(CONFIGS / "centerpoint_pillar_nuscenes.py", root, MINI | SMALL)
    set_iterations(config, 2)
    finetune(config, "random", tmp_path / "first")
    first = str(tmp_path / "first/iter_2.pth")
    options = MINI | SMALL | {"model.second_stage": "iou", "default_hooks.checkpoint.keep": 9, "model.min_score": 0.0}
    second = load_config(CONFIGS / "centerpoint_pillar_nuscenes.py", root, options)
    set_iterations(second, 4)
    with pytest.raises(
        ValueError, match=r"a finished first stage, but random lacks .* pass its checkpoint with --init"
    ):
        finetune(second, "random", tmp_path / "none")
    metrics = finetune(second, first, tmp_path / "w")
    assert 0 <= metrics["NDS"] <= 1
    (tmp_path / "resumed").mkdir()
    shutil.copy(tmp_path / "w/iter_2.pth", tmp_path / "resumed/iter_2.pth")
    again = finetune(second, first, tmp_path / "resumed", resume="auto")
    assert again["mAP"] == metrics["mAP"]
    whole, resumed, before = (
        load_checkpoint(path)["state_dict"]
        for path in (tmp_path / "w/iter_4.pth", tmp_path / "resumed/iter_4.pth", first)
    )
    assert whole.keys() - before.keys() == {name for name in whole if name.startswith("second_stage.")} != set()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    assert all(torch.equal(whole[name], before[name]) for name in before)
    early = load_checkpoint(tmp_path / "w/iter_1.pth")["state_dict"]
    assert not torch.equal(whole["second_stage.confidence.weight"], early["second_stage.confidence.weight"])

    command = [tmp_path / "w", root, "--split", "mini_val", "--to", "nuscenes", "--min-score", 0, "--pictures", 0]
    assert predict.main([*map(str, command), "--out", str(tmp_path / "p")]) == 0
    results = json.loads((tmp_path / "p/nuscenes.json").read_text())["results"]
    boxes = [box for own in results.values() for box in own]
    assert boxes
    assert {len(box["velocity"]) for box in boxes} == {2}
