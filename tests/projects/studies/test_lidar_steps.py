"""Every LiDAR config takes a training step in the study of their times, here in small."""

import csv
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from ccrop.config import dicts_of
from ccrop.projects.lidar_bev.datasets.base import ANY
from ccrop.projects.studies.speed import lidar_steps
from ccrop.projects.studies.speed.lidar_steps import CONFIGS, all_configs, append, read, row_of, turns_of

SIDE = 64  # cells


@pytest.fixture(autouse=True)
def few_points(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Sweeps of 300 points close by, and a point in each of their objects; the heights of the sensors that saw them."""
    heights: list[float] = []

    def cast(scene, sensor, rng):
        heights.append(sensor.height)
        scene.boxes[:, :2] = rng.uniform(-5, 5, (len(scene.boxes), 2))
        points = np.column_stack([rng.uniform(-9, 9, (300, 2)), rng.uniform(-2, 1, 300)])
        points = np.concatenate([points, scene.boxes[:, :3]])
        return SimpleNamespace(points=np.column_stack([points, rng.random(len(points))]).astype(np.float32))

    monkeypatch.setattr(lidar_steps, "cast", cast)
    return heights


def test_all_configs_are_there():
    names = all_configs()
    for kind in ("demo", "kitti", "nuscenes"):
        parts = "centerpoint_pillar", "centerpoint_pseudo", "simsiam_ccrop_bev"
        assert {f"{part}_{kind}" for part in parts} <= set(names)
    assert {"centerpoint_voxel_nuscenes", "centerpoint_pillar_custom", "comparison/scene"} <= set(names)
    assert len(names) == len([file for file in CONFIGS.rglob("*.py") if file.parent.name != "_base_"])


@pytest.mark.parametrize("name", all_configs())
def test_each_config_takes_a_step(name: str, few_points: list[float]):
    if "voxel" in name:
        pytest.importorskip("spconv")
    config = read(name)
    for settings in dicts_of(config):
        if "grid" in settings:
            half = SIDE / 2 * settings.grid.cell
            low, high = settings.grid.low, settings.grid.high
            settings.grid.update(low=(-half, -half, low[2]), high=(half, half, high[2]))
    if "size" in config.model.backbone:
        config.model.backbone.size = "small"
    row = row_of(name, config, "cpu", None, 0, 1)
    assert row["config"] == name
    assert row["seconds_a_sweep"] > 0
    assert row["peak_gb"] > 0.05
    turns = (10 if "pseudo" not in name else 1) if "nuscenes" in name else 1
    assert 300 * turns < row["points"] < 500 * turns
    assert len(few_points) == 2 * turns
    assert (config.model.get("classes") == (ANY,)) == ("pseudo" in name)


def test_turns_are_the_configs():
    assert turns_of(read("centerpoint_pillar_nuscenes")) == 10
    assert turns_of(read("centerpoint_pseudo_nuscenes")) == 1


def test_rows_are_appended_below_one_header(tmp_path: Path):
    row = dict.fromkeys(lidar_steps.FIELDS, 1) | dict(config="a")
    for name in "ab":
        append(tmp_path / "rows.csv", row | dict(config=name))
    with (tmp_path / "rows.csv").open(newline="") as stream:
        assert [each["config"] for each in csv.DictReader(stream)] == ["a", "b"]
