"""The command that fine-tunes, end to end, and what it says of bad input."""

import json
from pathlib import Path

import pytest
import torch
from jobs import ROOT, run, tool

CONFIG = ROOT / "projects/detection_transfer/configs/faster-rcnn_r18_fpn_demo.py"
NARROW = (
    *("--cfg-options", "model.backbone.base_channels=8", "model.backbone.stem_channels=8"),
    *("train_dataloader.num_workers=0", "test_dataloader.num_workers=0"),
)


def test_search_train_and_test(demo_root: Path, tmp_path: Path):
    command = tool(
        "finetune.py", CONFIG, "--init", "random", "--data-root", demo_root, "--labels", "50%", "--seed", "3",
        "--iterations", "2", "--lr-search", "0.5", "2", "--backbone-lr", "0.1", "--work-dir", "w", *NARROW,
    )  # fmt: skip
    done = run(command, tmp_path)
    assert done.returncode == 0, done.stdout
    assert "AP_S on held-out images by learning rate x the backbone's part: 0.0005 x 0.1: " in done.stdout
    assert len(list((tmp_path / "w").glob("lr_*_0.1"))) == 2
    assert "0 stages of the backbone frozen, its BN statistics trained" in done.stdout
    figures = json.loads((tmp_path / "w/figures.json").read_text())
    assert set(figures) >= {"AP", "AP_S", "AP_tiny", "AP_16-32", "AR_S"}
    assert done.stdout.splitlines()[-1].startswith(f"AP {figures['AP']:.2%}")
    assert (tmp_path / "w/iter_2.pth").is_file()


@pytest.mark.parametrize(
    ("init", "message"),
    [
        ("none.pth", "checkpoint none.pth does not exist"),
        ("other.pth", "set model.backbone's depth, base_channels and stem_channels"),
    ],
)
def test_a_wrong_init_is_an_error_of_one_line(demo_root: Path, tmp_path: Path, init: str, message: str):
    torch.save(dict(state_dict={"backbone.conv1.weight": torch.zeros(64, 3, 7, 7)}), tmp_path / "other.pth")
    done = run(tool("finetune.py", CONFIG, "--init", init, "--data-root", demo_root, *NARROW), tmp_path)
    assert done.returncode == 2
    assert message in done.stdout
    assert "Traceback" not in done.stdout
