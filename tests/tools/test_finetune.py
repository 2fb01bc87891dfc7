"""The command that fine-tunes, end to end, and what it says of bad input."""

import json
import os
import re
from pathlib import Path

import pytest
import torch
from jobs import ROOT, call, run, tool
from mmengine.config import Config

from ccrop.compat.safe_checkpoint import load_checkpoint
from ccrop.tools import finetune, train
from ccrop.work_dir import locked

CONFIG = ROOT / "tests/projects/detection_transfer/configs/faster-rcnn_tiny.py"
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
    assert "AP_S on held-out images by learning rate x the backbone's fraction: 0.0005 x 0.1: " in done.stdout
    assert len(list((tmp_path / "w").glob("lr_*_0.1"))) == 2
    assert "0 stages of the backbone frozen, its BN statistics trained" in done.stdout
    figures = json.loads((tmp_path / "w/metrics.json").read_text())
    assert set(figures) >= {"AP", "AP_S", "AP50_S", "AP_S_counted", "AP_tiny", "AP_16-32", "AR_S"}
    # no category of 16 images has 50 small objects
    last = "  ".join(f"{name} {figures[name]:.2%}" for name in ("AP_S", "AP", "AP50"))
    assert done.stdout.splitlines()[-1] == last
    assert "; *_counted average categories with at least 50 of the size: small: none, without " in done.stdout
    assert (tmp_path / "w/iter_2.pth").is_file()
    assert [file.parent.name for file in tmp_path.rglob("detections.npz")] == ["w"]  # of the val split alone


def test_two_processes_train_one_detector(demo_root: Path, tmp_path: Path):
    """They write one set of files; two batches per step double the config's learning rate."""
    torchrun = ("-m", "torch.distributed.run", "--nproc_per_node=2", "--standalone")
    command = tool(
        "finetune.py", CONFIG, "--init", "random", "--data-root", demo_root, "--iterations", "3", "--work-dir", "w",
        "--val-interval", "2", "--launcher", "pytorch", *NARROW, before=torchrun,
    )  # fmt: skip
    done = run(command, tmp_path)
    assert done.returncode == 0, done.stdout
    assert ", 2 processes, " in done.stdout
    assert done.stdout.count("Validation after 2 iterations: ") == 1
    metrics = json.loads((tmp_path / "w/metrics.json").read_text())
    last = "  ".join(f"{name} {metrics[name]:.2%}" for name in ("AP_S", "AP", "AP50"))
    assert done.stdout.splitlines().count(last) == 1
    state = load_checkpoint(tmp_path / "w/iter_3.pth")
    (rate,) = {group["initial_lr"] for group in state["optimizer"]["param_groups"]}
    assert rate == 2 * Config.fromfile(CONFIG).optim_wrapper.optimizer.lr


@pytest.mark.parametrize(
    ("init", "message"),
    [
        ("none.pth", "checkpoint none.pth does not exist"),
        ("other.pth", "other.pth does not fit the backbone, and nothing was loaded"),
    ],
)
def test_a_wrong_init_is_an_error_of_one_line(demo_root: Path, tmp_path: Path, init: str, message: str):
    torch.save(dict(state_dict={"backbone.conv1.weight": torch.zeros(64, 3, 7, 7)}), tmp_path / "other.pth")
    done = call(tool("finetune.py", CONFIG, "--init", init, "--data-root", demo_root, *NARROW), tmp_path)
    assert done.returncode == 2
    assert message in done.stdout
    assert "Traceback" not in done.stdout


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("simclr_region_coco_r18", "is not a detector's config: use tools/train.py for pretraining"),
        ("simsiam_ccrop_coco.py", "is not a detector's config: use tools/train.py for pretraining"),
        ("tile_r18", "does not exist; did you mean tiles_r18"),
        ("xyz", "config xyz does not exist"),
    ],
)
def test_a_name_that_is_no_detectors(config: str, message: str, capsys: pytest.CaptureFixture[str]):
    assert finetune.main([config, "--init", "random"]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--lr-search", "1", "nan"], "--lr-search: nan is not a number above 0"),
        (["--lr-search", "0"], "--lr-search: 0 is not a number above 0"),
        (["--backbone-lr", "-1"], "--backbone-lr: -1 is not a number of at least 0"),
        (["--backbone-lr", "x"], "--backbone-lr: x is not a number of at least 0"),
        (["--iterations", "-3"], "--iterations: -3 is not a whole number of at least 1"),
        (["--val-interval", "0"], "--val-interval: 0 is not a whole number of at least 1"),
        (["--pseudo-boxes", "x.json", "--max-boxes", "0"], "--max-boxes: 0 is not a whole number of at least 1"),
        (["--max-boxes", "3"], "--max-boxes is of --pseudo-boxes, which is missing"),
    ],
)
def test_a_number_that_would_train_another_way_is_refused(
    options: list[str], message: str, capsys: pytest.CaptureFixture[str]
):
    with pytest.raises(SystemExit):
        finetune.main([str(CONFIG), "--init", "random", *options])
    assert message in capsys.readouterr().err


def test_an_earlier_run_is_moved_aside_and_never_where_it_would_be_lost(
    demo_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    earlier = tmp_path / "w/lr_0.01_1/iter_7.pth"  # of a search, which is part of a run
    earlier.parent.mkdir(parents=True)
    earlier.write_bytes(b"precious")
    tiles = ROOT / "projects/detection_transfer/configs/tiles_r18.py"
    arguments = [tiles, "--data-root", demo_root, "--iterations", 1, "--work-dir", "w", "--init"]

    def call_main(*more: str) -> tuple[int, list[str], list[str]]:
        code = finetune.main(list(map(str, [*arguments, *more, *NARROW])))
        output = capsys.readouterr()
        return code, output.out.splitlines(), output.err.splitlines()

    with locked("w"):
        code, _, errors = call_main("random")
        assert code == 2
        assert f": w is in use by process {os.getpid()} on " in errors[-1]
    code, _, errors = call_main("w/lr_0.01_1/iter_7.pth")
    assert code == 2
    message = ": w/lr_0.01_1/iter_7.pth is in w, which would be moved aside: choose another --work-dir"
    assert errors[-1].endswith(message)
    code, _, errors = call_main("random", "--resume", "none.pth")
    assert code == 2
    assert errors[-1].endswith(": checkpoint none.pth does not exist")
    assert earlier.read_bytes() == b"precious"

    code, lines, _ = call_main("random")
    assert code == 0
    assert lines[0] == "w held an earlier run, which was moved to w.1 (--resume would have continued it)"
    assert (tmp_path / "w.1/lr_0.01_1/iter_7.pth").read_bytes() == b"precious"
    assert (tmp_path / "w/iter_1.pth").is_file()
    assert not (tmp_path / "w/.lock").exists()


def test_validation_and_precision(demo_root: Path, tmp_path: Path):
    tiles = ROOT / "projects/detection_transfer/configs/tiles_r18.py"
    command = tool(
        "finetune.py", tiles, "--init", "random", "--data-root", demo_root, "--iterations", 3, "--work-dir", "w",
        "--val-interval", 2, "--amp", "no", *NARROW, "train_dataloader.batch_size=2",
    )  # fmt: skip
    done = call(command, tmp_path)
    assert done.returncode == 0, done.stdout
    assert len(re.findall(r"Validation after 2 iterations: AP_S \d", done.stdout)) == 1
    assert "Validation after 3" not in done.stdout
    checkpoint = load_checkpoint(tmp_path / "w/iter_3.pth")
    assert "striped disc" in checkpoint["meta"]["dataset_meta"]["classes"]  # the names that tools/predict.py gives
    settings = checkpoint["finetuning"]["settings"]
    assert settings["optim_wrapper.type"] == "mmengine.optim.optimizer.optimizer_wrapper.OptimWrapper"
    command[command.index("no")] = "bf16"
    refused = call([*command[:2], "--resume", "w/iter_3.pth", *command[2:]], tmp_path)
    assert refused.returncode == 2
    assert "was trained with optim_wrapper.type mmengine" in refused.stdout
    assert "or resume with the new ones by passing --allow-changes" in refused.stdout
    command[command.index("--iterations") + 1] = "4"
    allowed = call([*command[:2], "--resume", "w/iter_3.pth", "--allow-changes", *command[2:]], tmp_path)
    assert allowed.returncode == 0, allowed.stdout
    settings = load_checkpoint(tmp_path / "w/iter_4.pth")["finetuning"]["settings"]
    assert settings["optim_wrapper.type"] != "mmengine.optim.optimizer.optimizer_wrapper.OptimWrapper"


def test_changes_are_of_a_resumed_run_alone(capsys: pytest.CaptureFixture[str]):
    detector, paste = "projects/detection_transfer/configs/tiles_r18.py", "configs/detector_paste_coco.py"
    alone = [
        (finetune, [detector, "--init", "random"]),
        (train, ["configs/simsiam_ccrop_coco.py"]),
        (train, [paste]),
    ]
    for tool_module, (config, *arguments) in alone:
        with pytest.raises(SystemExit):
            tool_module.main([str(ROOT / config), *arguments, "--allow-changes"])
        assert "--allow-changes is of --resume, which is missing" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        train.main([str(ROOT / paste), "--resume", "--allow-changes"])
    assert (
        "trains a detector: use one process, and --resume without a FILE or --allow-changes" in capsys.readouterr().err
    )


def test_configs_of_the_other_kind_are_refused(capsys: pytest.CaptureFixture[str]):
    pretraining, detector = "configs/simsiam_ccrop_coco.py", "projects/detection_transfer/configs/tiles_r18.py"
    assert finetune.main([str(ROOT / pretraining), "--init", "random"]) == 2
    assert "simsiam_ccrop_coco.py is not a detector's config: use tools/train.py" in capsys.readouterr().err
    assert train.main([str(ROOT / detector)]) == 2
    assert "tiles_r18.py is not a pretraining config: tools/finetune.py takes" in capsys.readouterr().err
