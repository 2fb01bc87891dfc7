"""A comparison of a detector's initializations as a user runs it: rows, rates, tables, pictures and resuming."""

import csv
import shutil
from pathlib import Path

import pytest
from jobs import ROOT, call, script, tool

CONFIG = ROOT / "tests/projects/detection_transfer/configs/faster-rcnn_tiny.py"
DRAW = ROOT / "projects/detection_transfer/draw.py"
NARROW = (
    *("model.backbone.base_channels=8", "model.backbone.stem_channels=8"),
    *("train_dataloader.num_workers=0", "test_dataloader.num_workers=0"),
)
NARROW_PRETRAINING = """
model["backbone"].update(base_channels=8, stem_channels=8)
model.update(channels=32)
train_dataloader.update(batch_size=16)
"""


def rows(file: Path) -> list[dict[str, str]]:
    with file.open(newline="") as handle:
        return list(csv.DictReader(handle))


def test_rows_rates_tables_pictures_and_resuming(demo_root: Path, tmp_path: Path):
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    pretraining = tmp_path / "configs/comparison/rcrop.py"
    pretraining.write_text(pretraining.read_text() + NARROW_PRETRAINING)
    command = tool(
        "compare.py", CONFIG, "--data-root", demo_root, "--pretrain", pretraining, "--labels", "20%", "--seeds", 0,
        "--tflop", "0.001", "--iterations", 2, "--lr-factors", 2, "--backbone-lr", 0.1, 1, "--lr-labels", "50%",
        "--csv", "t.csv", "--cfg-options", *NARROW,
    )  # fmt: skip
    first = call(command, tmp_path)
    assert first.returncode == 0, first.stdout
    measured = rows(tmp_path / "t.csv")
    assert [(row["arm"], row["labels"], row["seed"]) for row in measured] == [
        ("random", "0.2", "0"),
        ("random_long", "0.2", "0"),
        ("rcrop", "0.2", "0"),
    ]
    random, long, rcrop = measured
    assert random["iterations"] == rcrop["iterations"] == "2"
    step = float(random["tflop"]) / 2
    assert int(long["iterations"]) == pytest.approx(2 + 0.001 / step, abs=1)
    assert random["pretraining_tflop"] == "0.0"
    assert random["lr"] == "0.002"
    assert {float(row["backbone_lr"]) for row in measured} <= {0.0002, 0.002}
    assert rcrop["pretraining_tflop"] == "0.001"
    assert all(0 <= float(row["AP_S"]) <= 1 for row in measured)
    assert (tmp_path / f"t_{demo_root.name}.png").stat().st_size > 5000
    assert "backbone from work_dirs/transfer/" in first.stdout
    assert "No row imagenet: pass weights of the detector's backbone with --imagenet" in first.stdout

    again = call(command, tmp_path)
    assert again.returncode == 0, again.stdout
    assert "Iter(train)" not in again.stdout
    assert rows(tmp_path / "t.csv") == measured
    assert (tmp_path / "t.md").read_text() in again.stdout

    (tmp_path / "t.csv").unlink()
    restored = call(command, tmp_path)
    assert "Iter(train)" not in restored.stdout  # neither the pretraining, nor the searches, nor the runs
    assert rows(tmp_path / "t.csv") == measured
    assert "held an earlier run" not in first.stdout + restored.stdout

    found = tmp_path / "work_dirs/transfer" / demo_root.name / "0.2"
    assert all((found / name / "detections.npz").is_file() for name in ("random_0", "random_long_0", "rcrop_0"))
    drawn = call(
        script(DRAW, found / "random_0", found / "rcrop_0", "--images", 2, "--score", 0, "--out", "d.png"),
        tmp_path,
    )
    assert drawn.returncode == 0, drawn.stdout
    assert (tmp_path / "d.png").stat().st_size > 20000
    wrong = call(script(DRAW, tmp_path), tmp_path)
    assert wrong.returncode == 2
    assert "holds no checkpoint" in wrong.stdout
