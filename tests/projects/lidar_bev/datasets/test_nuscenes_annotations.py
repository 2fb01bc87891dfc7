"""Velocities, attributes and frames of nuScenes' annotations, by hand."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from tiny_nuscenes import OBJECTS, write_tiny_nuscenes

from ccrop.projects.lidar_bev.datasets import NuScenesSweeps
from ccrop.projects.lidar_bev.datasets.nuscenes_annotations import read_annotations

FIRST, MIDDLE, LAST = (f"scene-0061 sample {key}" for key in range(3))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data") / "nuscenes"
    write_tiny_nuscenes(root)
    return root


def test_velocities_are_differences_of_neighbors(root: Path):
    found = read_annotations(root / "v1.0-mini", [FIRST, MIDDLE, LAST])
    speeds = [each[5] for each in OBJECTS]
    for own in found.values():
        assert np.hypot(*own.velocities[:, :2].T) == pytest.approx(speeds, abs=1e-9)
        np.testing.assert_allclose(own.velocities[0], 3 * own.ahead[0], atol=1e-9)
    assert found[MIDDLE].attributes == [each[6] for each in OBJECTS]
    assert (found[MIDDLE].num_points == 40).all()


@pytest.mark.parametrize(("gap", "known"), [(1.4, True), (1.6, False)])
def test_a_velocity_over_a_long_gap_is_not_known(root: Path, tmp_path: Path, gap: float, known: bool):
    for file in (root / "v1.0-mini").iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    samples = json.loads((tmp_path / "sample.json").read_text())
    first, second, third = samples[:3]
    second["timestamp"] = first["timestamp"] + round(gap * 1e6)
    third["timestamp"] = second["timestamp"] + 100_000
    (tmp_path / "sample.json").write_text(json.dumps(samples))
    found = read_annotations(tmp_path, [FIRST, MIDDLE])
    assert np.isfinite(found[FIRST].velocities).all() == known
    if known:
        assert np.hypot(*found[FIRST].velocities[0, :2]) == pytest.approx(3 * 0.5 / gap)
    assert np.hypot(*found[MIDDLE].velocities[0, :2]) == pytest.approx(3 * 1.0 / (gap + 0.1))


def test_velocities_turn_with_the_boxes(root: Path):
    """A car drives along its length, in whatever frame; 40 points of each object are in its box."""
    dataset = NuScenesSweeps(root, split="mini_train", labeled=True, num_sweeps=1)
    assert len(dataset) == 6
    for index in range(6):
        sample = dataset.known(index)
        x, y, heading = *sample["velocities"][0].tolist(), sample["boxes"][0, 6]
        assert math.hypot(x, y) == pytest.approx(3.0, rel=1e-4)
        assert math.atan2(y, x) == pytest.approx(heading, abs=1e-3)
        assert (sample["num_points"] >= 39).all()
