"""A resumed run has the settings of its checkpoint, or says which differ; a longer one has its own schedule."""

import shutil
from pathlib import Path

import pytest
import torch
from jobs import ROOT

from ccrop.compat.safe_checkpoint import load_checkpoint
from ccrop.config import load_config
from ccrop.resume_check import check_resumed, differences, flat, pretraining_settings, read_resumed
from ccrop.tools import train

SMALL_MODEL = [
    "model.backbone.base_channels=8",
    "model.backbone.stem_channels=8",
    "model.channels=16",
    "model.bottleneck=8",
    "train_dataloader.batch_size=16",
    "train_dataloader.num_workers=0",
]
SMALL = [*SMALL_MODEL, "train_dataloader.dataset.subset=32", "default_hooks.knn.interval=9"]


def test_nested_settings_by_dotted_names():
    settings = dict(model=dict(type=torch.nn.Linear, sizes=[1, 2]), steps=[dict(end=3), dict(end=4)], lr=0.1)
    assert dict(flat(settings)) == {
        "model.type": "torch.nn.modules.linear.Linear",
        "model.sizes": "[1, 2]",
        "steps.0.end": "3",
        "steps.1.end": "4",
        "lr": "0.1",
    }


def test_a_setting_that_is_newer_than_the_checkpoint_had_its_default():
    """Such as how a CenterPoint head codes headings."""
    before = {"model.type": "ccrop.projects.lidar_bev.detection.centerpoint.CenterPoint", "model.neck": "FPN"}
    assert not differences(before, before | {"model.heading": "angle"})
    assert not differences(before | {"model.heading": "angle"}, before)
    assert differences(before, before | {"model.heading": "axis"}) == {"model.heading": ("angle", "axis")}
    now = {"model.type": before["model.type"], "model.unknown": "1", "head.type": "NoClass", "head.size": "2"}
    assert differences(before, now) == {
        "model.neck": ("FPN", "unset"),
        "model.unknown": ("unset", "1"),
        "head.type": ("unset", "NoClass"),
        "head.size": ("unset", "2"),
    }


def test_a_class_in_another_module_is_the_same():
    now = {"optim_wrapper.type": "ccrop.mixed_precision.AutocastOptimWrapper"}
    assert not differences({"optim_wrapper.type": "ccrop.optim.AutocastOptimWrapper"}, now)
    for other in ("ccrop.optim.CosineLR", "ccrop.optim.Removed", "AutocastOptimWrapper"):
        assert differences({"optim_wrapper.type": other}, now)


def test_other_settings_are_listed_and_longer_runs_are_fitted():
    before = {"seed": "0", "epochs": "2", "param_scheduler.0.end": "2", "optim_wrapper.optimizer.lr": "0.1"}
    assert not check_resumed("a.pth", before, dict(before), changes_allowed=False)
    assert check_resumed("a.pth", before, before | {"epochs": "4", "param_scheduler.0.end": "4"}, changes_allowed=False)
    other = before | {"seed": "1", "optim_wrapper.optimizer.lr": "0.2"}
    listed = r"a\.pth was trained with seed 0, not 1; optim_wrapper\.optimizer\.lr 0\.1, not 0\.2: repeat"
    with pytest.raises(ValueError, match=listed):
        check_resumed("a.pth", before, other, changes_allowed=False)
    assert check_resumed("a.pth", before, other, changes_allowed=True)


@pytest.mark.parametrize("content", [[torch.zeros(2)], {"a": torch.zeros(2)}, {"state_dict": {"a": torch.zeros(2)}}])
def test_a_file_of_weights_is_not_resumed(content: object, tmp_path: Path):
    torch.save(content, tmp_path / "a.pth")
    with pytest.raises(ValueError, match=r"a\.pth is not a checkpoint of a training run, .*: start from .* --init"):
        read_resumed(str(tmp_path / "a.pth"))


def test_another_crop_is_a_difference_unless_the_checkpoint_does_not_know_its_own():
    before, now = ({"seed": "0", "pipeline.0.type": crop} for crop in ("WholeImage", "ScenePair"))
    with pytest.raises(ValueError, match=r"was trained with pipeline\.0\.type WholeImage, not ScenePair"):
        check_resumed("a.pth", before, now, changes_allowed=False)
    assert not check_resumed("a.pth", {"seed": "0"}, now, changes_allowed=False)


def test_another_localizer_is_a_difference_and_its_workers_are_none():
    def settings(**options: object) -> dict[str, str]:
        named = {f"default_hooks.localization.{name}": value for name, value in options.items()}
        return pretraining_settings(load_config(ROOT / "configs/simsiam_single_demo.py", ROOT, named))

    before = settings()
    assert not check_resumed("a.pth", before, settings(num_workers=0, batch_size=3), changes_allowed=False)
    with pytest.raises(
        ValueError, match=r"localization\.localizer\.threshold 0\.1, not 0\.2; .*interval 0\.2, not 0\.5"
    ):
        check_resumed("a.pth", before, settings(**{"localizer.threshold": 0.2, "interval": 0.5}), changes_allowed=False)
    earlier = {name: value for name, value in before.items() if not name.startswith("localization")}
    assert not check_resumed("a.pth", earlier, before, changes_allowed=False)


def rate(checkpoint: Path) -> float:
    """The learning rate after an epoch."""
    return load_checkpoint(checkpoint)["optimizer"]["param_groups"][0]["lr"]


def test_a_longer_run_goes_on_at_the_rate_of_its_own_schedule(
    demo_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    command = [str(ROOT / "configs/simsiam_rcrop_demo.py"), "--data-root", str(demo_root)]

    def run(work_dir: str, epochs: int, *options: str, resume: bool = False) -> int:
        flags = ["--work-dir", str(tmp_path / work_dir), *(["--resume"] if resume else [])]
        return train.main([*command, *flags, "--cfg-options", *SMALL, f"train_cfg.max_epochs={epochs}", *options])

    assert run("short", 2) == 0
    assert run("short", 2, "train_dataloader.batch_size=8", resume=True) == 2
    assert "epoch_2.pth was trained with batch_size 16, not 8: repeat its options" in capsys.readouterr().err
    other = [str(ROOT / "configs/simsiam_single_demo.py"), "--data-root", str(demo_root)]
    flags = ["--work-dir", str(tmp_path / "short"), "--resume", "--cfg-options", *SMALL, "train_cfg.max_epochs=2"]
    assert train.main([*other, *flags]) == 2
    assert "epoch_2.pth was trained with pipeline.0" in capsys.readouterr().err
    assert run("whole", 4) == 0
    assert run("short", 4, resume=True) == 0
    assert "The schedule is fitted to 4 epochs" in capsys.readouterr().out
    for epoch in (3, 4):
        assert rate(tmp_path / f"short/epoch_{epoch}.pth") == pytest.approx(rate(tmp_path / f"whole/epoch_{epoch}.pth"))
    assert load_checkpoint(tmp_path / "short/epoch_4.pth")["settings"]["epochs"] == "4"


def test_a_run_that_may_change_goes_on_with_the_new_optimizer_settings(
    demo_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    command = [str(ROOT / "configs/simsiam_rcrop_demo.py"), "--data-root", str(demo_root), "--work-dir", str(tmp_path)]
    fixed = [*SMALL, "train_cfg.max_epochs=3", "param_scheduler=[]", "auto_scale_lr.base_batch_size=16"]

    def run(*flags: str, options: tuple[str, ...] = ()) -> int:
        return train.main([*command, *flags, "--cfg-options", *fixed, *options])

    assert run("--lr", "0.02") == 0
    (tmp_path / "epoch_3.pth").unlink()  # as if killed after its second epoch
    changed = ("optim_wrapper.optimizer.weight_decay=0.003", "optim_wrapper.optimizer.momentum=0.7")
    assert run("--resume", "--lr", "0.005", options=changed) == 2
    assert "or resume with the new ones by passing --allow-changes" in capsys.readouterr().err
    assert run("--resume", "--lr", "0.005", "--allow-changes", options=changed) == 0
    for group in load_checkpoint(tmp_path / "epoch_3.pth")["optimizer"]["param_groups"]:
        assert (group["lr"], group["weight_decay"], group["momentum"]) == (0.005, 0.003, 0.7)

    other = ("optim_wrapper.optimizer.type=RMSprop", *changed)
    (tmp_path / "epoch_3.pth").unlink()
    assert run("--resume", "--lr", "0.005", "--allow-changes", options=other) == 0
    state = load_checkpoint(tmp_path / "epoch_3.pth")["optimizer"]["state"]
    assert all("square_avg" in each for each in state.values())


def test_a_run_resumes_on_the_same_files_wherever_they_are(
    demo_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """Also where random crops keep no boxes, whose store would know its files."""
    moved, other = tmp_path / "moved", tmp_path / "other"
    shutil.copytree(demo_root, moved)
    shutil.copytree(demo_root, other)
    for image in sorted((other / "train2017").glob("*.jpg"))[:3]:
        image.rename(image.with_stem(f"{image.stem}_b"))

    def run(root: Path, epochs: int, *flags: str) -> int:
        command = [str(ROOT / "configs/simsiam_rcrop_folder.py"), "--data-root", str(root / "train2017")]
        settings = ["--work-dir", str(tmp_path / "run"), "--epochs", str(epochs)]
        return train.main([*command, *settings, *flags, "--cfg-options", *SMALL_MODEL])

    assert run(demo_root, 1) == 0
    assert run(moved, 2, "--resume") == 0
    assert load_checkpoint(tmp_path / "run/epoch_2.pth")["data"]["files"] == 64
    capsys.readouterr()
    assert run(other, 3, "--resume") == 2
    assert capsys.readouterr().err.endswith(
        f"epoch_2.pth was trained on other files (64) than those of {other / 'train2017'} (64; their number or names "
        "differ): pass the data it was trained on with --data-root, or resume on these by passing --allow-changes\n"
    )
    assert run(other, 3, "--resume", "--allow-changes") == 0
    assert (tmp_path / "run/epoch_3.pth").is_file()

    capsys.readouterr()
    assert run(other, 3, "--resume") == 0
    assert "Nothing is left to train: " in capsys.readouterr().out
    assert run(other, 2, "--resume") == 2
    assert capsys.readouterr().err.endswith(
        "epoch_3.pth has done 3 epochs, more than --epochs 2: ask for 3 or more, resume from an earlier checkpoint "
        "with --resume FILE, or start again without --resume\n"
    )
