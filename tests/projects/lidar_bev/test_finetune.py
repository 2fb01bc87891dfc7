"""Fine-tuning, its comparison and its picture as a user runs them, on a few sweeps."""

import csv
import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from jobs import ROOT, call, environment, run, script, tool

from ccrop import mixed_precision
from ccrop.compat.safe_checkpoint import load_checkpoint
from ccrop.hooks.unreadable import TooManyUnreadable
from ccrop.projects.lidar_bev.finetune import finetune, line, load_config
from ccrop.projects.lidar_bev.grid import Grid
from ccrop.projects.lidar_bev.models import PillarEncoder
from ccrop.transfer import set_iterations

PROJECT = ROOT / "projects/lidar_bev"
CONFIG = PROJECT / "configs/centerpoint_pillar_demo.py"
DRAW = PROJECT / "draw.py"
GRID = Grid(low=(-12, -12, -3), high=(12, 12, 1.8), cell=0.375)
SMALL = (
    *("--cfg-options", "model.backbone.grid.low=(-12,-12,-3)", "model.backbone.grid.high=(12,12,1.8)"),
    "test_dataset.subset=4",
)


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint as pretraining writes it: the encoder under ``backbone.``, and heads."""
    torch.manual_seed(1)
    state = {f"backbone.{name}": tensor for name, tensor in PillarEncoder(GRID, 4, "small").state_dict().items()}
    file = tmp_path_factory.mktemp("windows") / "epoch_1.pth"
    torch.save(dict(state_dict=state | {"projector.0.weight": torch.zeros(2, 2)}), file)
    return file


def test_search_train_test_and_draw(simulated: Path, pretrained: Path, tmp_path: Path):
    command = tool(
        "finetune.py", CONFIG, "--init", pretrained, "--data-root", simulated, "--labels", "10%", "--seed", "3",
        "--iterations", "3", "--lr-search", "1", "2", "--work-dir", "w", *SMALL,
    )  # fmt: skip
    done = call(command, tmp_path)
    assert done.returncode == 0, done.stdout
    assert "trained on 8 of 80 labeled sweeps (8 of 80 scenes)" in done.stdout
    assert "mAP on held-out sweeps by learning rate x the backbone's fraction: 0.003 x 1: " in done.stdout
    assert f"backbone from {pretrained}" in done.stdout
    assert "mmdet" not in done.stdout
    figures = json.loads((tmp_path / "w/metrics.json").read_text())
    assert 0 <= figures["mAP"] <= 1
    assert {"AP_Car", "mAP_0.5m", "mAP_0-15m", "mAP_1-9points", "translation", "scale", "heading"} <= set(figures)
    assert done.stdout.splitlines()[-1].startswith(f"simulated_{simulated.name}:  mAP {figures['mAP']:.1%}  AP_Car ")
    trained = torch.load(tmp_path / "w/iter_3.pth", weights_only=False)["state_dict"]
    loaded = torch.load(pretrained)["state_dict"]["backbone.pillars.linear.weight"]
    assert 0 < (trained["backbone.pillars.linear.weight"] - loaded).abs().max() < 0.05

    with np.load(tmp_path / "w/detections.npz") as content:
        assert content["mAP"].shape == (1001,)
        assert content["mAP"][0] == pytest.approx(figures["mAP"])
        assert len(content["sweeps"]) == 4
    assert list(tmp_path.glob("w/lr_*"))
    assert not list(tmp_path.glob("w/lr_*/detections.npz"))  # other sweeps
    report = (tmp_path / "w/report.html").read_text()
    assert {"AP by class", "mAP by distance of centers", "mAP by range"} <= set(
        re.findall('aria-label="(.*?)"', report)
    )
    pictures = re.findall(r"<figcaption>w, (\S+): \d+ of \d+ found, \d+ false</figcaption>", report)
    assert pictures == (simulated / "ImageSets/val.txt").read_text().split()[::5]  # 4 of 16

    drawn = call(script(DRAW, "w", "--sweeps", 1, "--score", 0, "--out", "d.png"), tmp_path)
    assert drawn.returncode == 0, drawn.stdout
    assert (tmp_path / "d.png").stat().st_size > 20000
    wrong = call(script(DRAW, tmp_path), tmp_path)
    assert wrong.returncode == 2
    assert "holds no checkpoint" in wrong.stdout


def test_killed_and_resumed_it_ends_as_if_never_killed(simulated: Path, tmp_path: Path):
    arguments = (CONFIG, "--init", "random", "--data-root", simulated, "--labels", "10%", "--iterations", 12)
    whole = call(tool("finetune.py", *arguments, "--work-dir", "whole", *SMALL), tmp_path)
    assert whole.returncode == 0, whole.stdout

    killed = tmp_path / "killed"
    command = tool("finetune.py", *arguments, "--work-dir", killed, *SMALL)
    process = subprocess.Popen(command, cwd=tmp_path, env=environment(), stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not list(killed.glob("iter_*.pth")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.005)
    time.sleep(0.05)  # into the iterations after it
    process.send_signal(signal.SIGKILL)
    process.wait()
    (reached,) = (int(file.stem.split("_")[1]) for file in killed.glob("iter_*.pth"))
    assert 1 <= reached < 12
    assert (killed / ".lock").exists()

    resumed = call(tool("finetune.py", *arguments, "--work-dir", "killed", "--resume", *SMALL), tmp_path)
    assert resumed.returncode == 0, resumed.stdout
    assert f"iter: {reached}" in resumed.stdout
    first, second = (load_checkpoint(folder / "iter_12.pth") for folder in (tmp_path / "whole", killed))
    assert second["meta"]["iter"] == 12
    assert first["state_dict"].keys() == second["state_dict"].keys()
    for name, tensor in first["state_dict"].items():
        assert torch.equal(tensor, second["state_dict"][name]), name
    assert first["param_schedulers"] == second["param_schedulers"]
    assert resumed.stdout.splitlines()[-1] == whole.stdout.splitlines()[-1]
    assert not (tmp_path / "killed.1").exists()


def test_validation_and_mixed_precision(simulated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(mixed_precision, "has_bf16", lambda: True)  # emulated where the CPU has none
    command = tool(
        "finetune.py", CONFIG, "--init", "random", "--data-root", simulated, "--labels", "10%", "--iterations", 3,
        "--val-interval", 2, "--amp", "bf16", "--work-dir", "w", *SMALL,
    )  # fmt: skip
    done = call(command, tmp_path)
    assert done.returncode == 0, done.stdout
    (validation,) = re.findall(r"Validation after (.*)", done.stdout)
    assert validation.startswith(f"2 iterations: simulated_{simulated.name}:  mAP ")
    notes = load_checkpoint(tmp_path / "w/iter_3.pth")["finetuning"]
    assert notes["settings"]["optim_wrapper.dtype"] == "bfloat16"
    state = load_checkpoint(tmp_path / "w/iter_3.pth")["state_dict"]
    assert all(tensor.isfinite().all() for tensor in state.values())


def test_mmdet_is_not_imported():
    code = f"import sys; sys.argv = ['x', {str(CONFIG)!r}, '--init', 'random', '--data-root', 'nowhere']; "
    code += "from ccrop.tools import finetune; finetune.main(); "
    code += "print([name for name in sys.modules if name.split('.')[0] in ('mmdet', 'mmcv')])"
    done = run([sys.executable, "-c", code], ROOT)
    assert "the data root nowhere does not exist" in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"backbone.pillars.linear.weight": torch.zeros(32, 9)}, "missing in the file: pillars.norm.weight, "),
        ({"projector.0.weight": torch.zeros(1)}, "epoch_1.pth holds no backbone: only projector"),
    ],
)
def test_a_backbone_that_does_not_fit_stops_with_the_list(simulated: Path, tmp_path: Path, state: dict, message: str):
    torch.save(dict(state_dict=state), tmp_path / "epoch_1.pth")
    command = tool("finetune.py", CONFIG, "--init", "epoch_1.pth", "--data-root", simulated, *SMALL)
    done = call(command, tmp_path)
    assert done.returncode == 2
    assert message in done.stdout
    assert "Traceback" not in done.stdout


def test_kittis_config_gives_kittis_ap(simulated: Path, tmp_path: Path):
    options = {
        "model.backbone.size": "small",
        "model.backbone.grid": dict(type=Grid, low=(0, -12, -3), high=(24, 12, 1.8), cell=0.375),
        "train_dataloader.num_workers": 0,
        "train_dataloader.dataset.subset": 8,
        "test_dataset.subset": 4,
    }
    config = load_config(PROJECT / "configs/centerpoint_pillar_kitti.py", simulated, options)
    set_iterations(config, 2)
    figures = finetune(config, "random", tmp_path / "w", labels=0.5)
    assert {f"AP_R40_{view}_{name}_moderate" for view in ("bev", "3d") for name in config.classes} <= set(figures)


@pytest.fixture
def one_cut_off(simulated: Path, tmp_path: Path) -> Path:
    """The simulated set with its first training sweep and its first val sweep cut off."""
    root = tmp_path / "cut"
    (root / "training/velodyne").mkdir(parents=True)
    for name in ("label_2", "label_360", "calib"):
        (root / "training" / name).symlink_to(simulated / "training" / name)
    (root / "ImageSets").symlink_to(simulated / "ImageSets")
    for file in (simulated / "training/velodyne").iterdir():
        (root / "training/velodyne" / file.name).symlink_to(file)
    for split in ("train", "val"):
        name = (root / f"ImageSets/{split}.txt").read_text().split()[0]
        (root / f"training/velodyne/{name}.bin").unlink()
        (root / f"training/velodyne/{name}.bin").write_bytes(b"cut off")
    return root


@pytest.mark.parametrize("limit", [0.01, 0.5])
def test_sweeps_that_cannot_be_read_are_left_out_up_to_a_limit(one_cut_off: Path, tmp_path: Path, limit: float):
    options = {
        "model.backbone.size": "small",
        "model.backbone.grid": dict(type=Grid, low=(0, -12, -3), high=(24, 12, 1.8), cell=0.375),
        "train_dataloader.num_workers": 0,
        "train_dataloader.dataset.subset": 8,
        "test_dataset.subset": 3,
        "default_hooks.unreadable.limit": limit,
    }
    config = load_config(PROJECT / "configs/centerpoint_pillar_kitti.py", one_cut_off, options)
    set_iterations(config, 2)
    if limit < 1 / 8:
        with pytest.raises(
            TooManyUnreadable, match=r"^1 of 3 sweeps to test on are unreadable, more than 1%: repair or remove them"
        ):
            finetune(config, "random", tmp_path / "w")
        assert not (tmp_path / "w").exists()  # it has not begun
        config.test_dataset = None
        with pytest.raises(
            TooManyUnreadable, match=r"^1 of 8 sweeps are unreadable, more than 1%: repair or remove them"
        ):
            finetune(config, "random", tmp_path / "w")
    else:
        figures = finetune(config, "random", tmp_path / "w")
        assert "mAP" in figures
        assert "1 of 3 sweeps were left out" in next((tmp_path / "w").rglob("*.log")).read_text()


def test_the_last_line_has_units_and_only_what_was_measured():
    figures = {"mAP": 0.5, "AP_Car": float("nan"), "translation": 0.25, "scale": 0.5, "AP_R40_3d_Car_hard": 1.0}
    figures |= {"AP_R40_3d_Car_moderate": 0.123, "core_seconds": 12.0, "axis_Car": 0.5}
    assert line(figures, "a set") == "a set:  mAP 50.0%  translation 0.25 m  scale 0.50  AP_R40_3d_Car_moderate 12.3%"


def test_comparison_with_a_checkpoint_goes_on_where_it_stopped(simulated: Path, pretrained: Path, tmp_path: Path):
    command = tool(
        "compare.py", CONFIG, "--data-root", simulated, "--pretrain", f"windows={pretrained}", "--labels", "5%",
        "--seeds", 0, "--tflop", "0.02", "--iterations", 2, "--lr-factors", 1, "--csv", "t.csv", *SMALL,
    )  # fmt: skip
    first = call(command, tmp_path)
    assert first.returncode == 0, first.stdout
    with (tmp_path / "t.csv").open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert [(row["arm"], row["labels"], row["seed"]) for row in rows] == [
        ("random", "0.05", "0"),
        ("random_long", "0.05", "0"),
        ("windows", "0.05", "0"),
    ]
    random, long, windows = rows
    assert int(long["iterations"]) == pytest.approx(2 + 0.02 / (float(random["tflop"]) / 2), abs=1)
    assert int(long["iterations"]) > 2
    assert (windows["pretraining_tflop"], random["pretraining_tflop"]) == ("0.02", "0.0")
    table = (tmp_path / "t.md").read_text()
    assert f"simulated {simulated.name}, 5% of the labels, 1 seed, % | mAP | AP_Car" in table
    (row,) = (line for line in table.splitlines() if line.startswith("| windows "))
    assert re.search(r"[+-]\d+\.\d \[[+-]\d+\.\d, [+-]\d+\.\d\]", row)
    assert (tmp_path / f"t_simulated_{simulated.name}.png").stat().st_size > 5000

    again = call(command, tmp_path)
    assert again.returncode == 0, again.stdout
    assert "Iter(train)" not in again.stdout
    assert (tmp_path / "t.md").read_text() in again.stdout


def test_a_training_does_not_wait_for_matplotlib():
    code = "import sys, ccrop.projects.lidar_bev.finetune; print('matplotlib' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
