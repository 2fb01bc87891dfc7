"""Rounds of pretraining on pseudo-boxes: what is kept, what goes on and what is moved when it is started again."""

from pathlib import Path

import pytest
from jobs import ROOT

from ccrop.compat.checkpoint import load_checkpoint
from ccrop.work_dir import WorkDirInUse, locked
from projects.detection_transfer.pseudo_pretraining import pretrain

CONFIG = ROOT / "configs/detector_paste_coco.py"
WRITTEN = ("iter_2.pth", "boxes.json", "figures.json")


def times(folder: Path) -> list[int]:
    return [(folder / name).stat().st_mtime_ns for name in WRITTEN]


def test_a_resumed_pretraining_keeps_finished_rounds_and_goes_on_with_the_unfinished(
    demo_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    options = {
        "pseudo_boxes.file": str(demo_root / "annotations/instances_train2017.json"),
        "pseudo_boxes.rounds": 2,
        "pseudo_boxes.min_score": 0.0,
        "model.test_cfg.score_thr": 0.0,
        "model.backbone.base_channels": 8,
        "model.backbone.stem_channels": 8,
        "train_dataloader.batch_size": 2,
        "train_cfg.max_iters": 2,
        "default_hooks.checkpoint.keep": 2,
    }
    with locked("work"), pytest.raises(WorkDirInUse, match="work is in use by process "):
        pretrain(CONFIG, demo_root, options, work_dir="work")
    last = pretrain(CONFIG, demo_root, options, work_dir="work")
    assert last == Path("work/round_1/iter_2.pth")
    first, second = (times(Path("work", name)) for name in ("round_0", "round_1"))

    last.unlink()  # as if killed after its first iteration
    Path("work/round_1/figures.json").unlink()
    spent = load_checkpoint("work/round_1/iter_1.pth")["finetuning"]["core_seconds"]
    assert pretrain(CONFIG, demo_root, options, work_dir="work", resume=True) == last
    assert times(Path("work/round_0")) == first
    again = times(Path("work/round_1"))
    assert again[1] == second[1]
    assert again[0] > second[0]
    resumed = load_checkpoint(last)
    assert resumed["meta"]["iter"] == 2
    assert resumed["finetuning"]["core_seconds"] > spent
    assert not Path("work.1").exists()

    assert pretrain(CONFIG, demo_root, options | {"pseudo_boxes.rounds": 1}, work_dir="work").name == "iter_2.pth"
    assert times(Path("work.1/round_0")) == first
