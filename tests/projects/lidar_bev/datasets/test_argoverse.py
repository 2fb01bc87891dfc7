"""Argoverse 2's feather files, as its download has them."""

import math
import re
from pathlib import Path

import numpy as np
import pytest
from jobs import ROOT
from mmengine.registry import DATASETS, MODELS

from ccrop.datasets import MissingData
from ccrop.projects.lidar_bev.datasets import OTHER, ArgoverseSweeps
from ccrop.projects.lidar_bev.finetune import load_config

pyarrow = pytest.importorskip("pyarrow")
feather = pytest.importorskip("pyarrow.feather")
MANUAL = ROOT / "docs/lidar.md"
TIMES = (315_966_070_559_696_000, 315_966_070_660_035_000)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for number, log in enumerate(("0b2f", "7aa1")):
        folder = tmp_path / "train" / log / "sensors/lidar"
        folder.mkdir(parents=True)
        for time in TIMES:
            columns = dict(
                x=np.array([10, -5], np.float16), y=np.array([2, 1], np.float16), z=np.array([0.5, 1], np.float16),
                intensity=np.array([51, 255], np.uint8), laser_number=np.array([0, 63], np.uint8),
                offset_ns=np.array([0, 100], np.int32),
            )  # fmt: skip
            feather.write_feather(pyarrow.table(columns), folder / f"{time}.feather")
        boxes = dict(
            timestamp_ns=np.array([TIMES[0], TIMES[1], TIMES[1]]), track_uuid=["a", "a", "b"],
            category=["PEDESTRIAN", "PEDESTRIAN", "STOP_SIGN"],
            length_m=[0.6, 0.6, 0.1], width_m=[0.7, 0.7, 0.8], height_m=[1.8, 1.8, 0.8],
            qw=[math.cos(0.2), math.cos(0.3), 1.0], qx=[0.0] * 3, qy=[0.0] * 3, qz=[math.sin(0.2), math.sin(0.3), 0.0],
            tx_m=[10.0, 10.2, 3.0], ty_m=[2.0, 2.0, 4.0], tz_m=[0.7, 0.7, 2.0], num_interior_pts=[1, number, 0],
        )  # fmt: skip
        feather.write_feather(pyarrow.table(boxes), tmp_path / "train" / log / "annotations.feather")
    return tmp_path


def test_points_and_boxes_of_a_sweep(root: Path):
    dataset = ArgoverseSweeps(root, labeled=True)
    assert dataset.scenes() == ["0b2f", "0b2f", "7aa1", "7aa1"]
    first, second = dataset[0], dataset[1]
    np.testing.assert_allclose(first["points"], [[10, 2, 0.5, 0.2], [-5, 1, 1, 1]], rtol=1e-6)
    np.testing.assert_allclose(first["boxes"], [[10, 2, 0.7, 0.6, 0.7, 1.8, 0.4]], rtol=1e-6)
    assert (first["labels"].tolist(), first["num_points"].tolist()) == ([1], [1])
    np.testing.assert_allclose(second["boxes"][:, [0, 6]], [[10.2, 0.6], [3, 0]], rtol=1e-6)
    assert second["labels"].tolist() == [1, OTHER]
    assert dataset.object_names(1) == ["PEDESTRIAN", "STOP_SIGN"]
    assert "boxes" not in ArgoverseSweeps(root)[0]


def test_the_manuals_config_trains_a_step(root: Path, tmp_path: Path):
    (code,) = re.findall(r"\*\*`my/centerpoint_argoverse.py`\*\*\n\n```python\n(.*?)```", MANUAL.read_text(), re.S)
    (tmp_path / "centerpoint_argoverse.py").write_text(code)
    (root / "train").rename(root / "val")
    (root / "train").symlink_to("val")
    small = {"model.backbone.size": "small", "model.backbone.grid.low": (-12.8, -12.8, -2)}
    small |= {"model.backbone.grid.high": (12.8, 12.8, 4)}
    config = load_config(tmp_path / "centerpoint_argoverse.py", root, small)
    sample = DATASETS.build(config.train_dataloader.dataset)[1]
    losses = MODELS.build(config.model)(**{name: [value] for name, value in sample.items()}, mode="loss")
    assert all(loss.isfinite() for loss in losses.values())
    assert [len(DATASETS.build(each)) for each in (config.train_dataloader.dataset, config.test_dataset)] == [4, 4]


def test_what_is_missing_or_damaged_is_named(root: Path):
    with pytest.raises(MissingData, match="val is not a folder; expected layout"):
        ArgoverseSweeps(root, split="val")
    (root / "train/0b2f/annotations.feather").unlink()
    with pytest.raises(ValueError, match=r"0b2f/annotations\.feather: file not found: labeled sweeps need it"):
        ArgoverseSweeps(root, labeled=True)[0]
    file = root / f"train/0b2f/sensors/lidar/{TIMES[0]}.feather"
    file.write_bytes(file.read_bytes()[:100])
    dataset = ArgoverseSweeps(root)
    assert dataset[0]["index"] == 1
    assert "damaged, or without x, y, z, intensity" in dataset.why_unreadable(0)
