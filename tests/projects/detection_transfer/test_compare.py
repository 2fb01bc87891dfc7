"""The comparison as a user runs it, and its statistics."""

import csv
import math
import shutil
from pathlib import Path

import pytest
from jobs import ROOT, run, tool

from projects.detection_transfer.compare import markdown, paired_difference

PROJECT = ROOT / "projects/detection_transfer"
CONFIG = PROJECT / "configs/faster-rcnn_r18_fpn_demo.py"
NARROW = (
    *("model.backbone.base_channels=8", "model.backbone.stem_channels=8", "model.neck.in_channels=[8,16,32]"),
    *("train_dataloader.num_workers=0", "test_dataloader.num_workers=0"),
)
NARROW_PRETRAINING = """
model.backbone.update(base_channels=8, stem_channels=8)
model.update(in_channels=64, channels=32)
train_dataloader.update(batch_size=16)
"""


def script(name: str, *arguments: object) -> list[str]:
    return [*tool("train.py")[:1], str(PROJECT / name), *map(str, arguments)]


def rows(file: Path) -> list[dict[str, str]]:
    with file.open(newline="") as handle:
        return list(csv.DictReader(handle))


def test_rows_rates_tables_pictures_and_resuming(demo_root: Path, tmp_path: Path):
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    pretraining = tmp_path / "configs/comparison/rcrop.py"
    pretraining.write_text(pretraining.read_text() + NARROW_PRETRAINING)
    command = script(
        "compare.py", CONFIG, "--data-root", demo_root, "--pretrain", pretraining, "--labels", "20%", "--seeds", 0,
        "--tflop", "0.001", "--iterations", 2, "--lr-factors", 2, "--backbone-lr", 0.1, 1, "--lr-labels", "50%", "--csv", "t.csv",
        "--cfg-options", *NARROW,
    )  # fmt: skip
    first = run(command, tmp_path)
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

    again = run(command, tmp_path)
    assert again.returncode == 0, again.stdout
    assert "Iter(train)" not in again.stdout
    assert rows(tmp_path / "t.csv") == measured
    assert (tmp_path / "t.md").read_text() in again.stdout

    found = tmp_path / "work_dirs/transfer" / demo_root.name / "0.2"
    drawn = run(
        script("draw.py", found / "random_0", found / "rcrop_0", "--images", 2, "--score", 0, "--out", "d.png"),
        tmp_path,
    )
    assert drawn.returncode == 0, drawn.stdout
    assert (tmp_path / "d.png").stat().st_size > 20000
    wrong = run(script("draw.py", tmp_path), tmp_path)
    assert wrong.returncode == 2
    assert "holds no checkpoint" in wrong.stdout


def row(arm: str, seed: int, small: float) -> dict[str, str]:
    figures = dict.fromkeys(("AP_tiny", "AP_16-32", "AP", "AP50", "AR_S"), "")
    return dict(data="set", labels="0.1", arm=arm, seed=str(seed), AP_S=str(small)) | figures


def test_paired_interval_is_students():
    own, other = {0: 5.0, 1: 7.0, 2: 9.0, 3: 99.0}, {0: 4.0, 1: 5.0, 2: 6.0}
    difference, half = paired_difference(own, other)
    # differences 1, 2, 3: mean 2, standard deviation 1, t of 2 degrees of freedom 4.3027
    assert difference == pytest.approx(2)
    assert half == pytest.approx(4.302653 / math.sqrt(3), rel=1e-5)


def test_one_seed_has_no_interval():
    difference, half = paired_difference({0: 5.0}, {0: 4.0})
    assert difference == pytest.approx(1)
    assert math.isnan(half)
    assert math.isnan(paired_difference({0: 1.0}, {1: 1.0})[0])


def test_table_compares_with_random_and_rcrop():
    own = [row("random", s, 0.01) for s in (0, 1)] + [row("rcrop", s, 0.02 + 0.01 * s) for s in (0, 1)]
    lines = markdown(own, "set", "0.1").splitlines()
    assert lines[0].startswith("| set, 10% of the labels, 2 seeds, % | AP_S |")
    assert "AP_S over random" in lines[0]
    assert lines[2].startswith("| random | 1.0 ± 0.0 |")
    assert "| 2.5 ± 0.7 |" in lines[3]
    assert "| +1.5 ± 6.4 |" in lines[3]  # 12.706 x 0.7071 / sqrt(2)
