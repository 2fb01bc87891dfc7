"""Weights that are no numbers are never written, in pretraining and in fine-tuning."""

import math
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from jobs import ROOT
from torch import nn

from ccrop.hooks import DivergedError, DivergenceHook
from ccrop.tools import finetune, train


def network(**changed: float) -> nn.Sequential:
    layers = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    state = layers.state_dict()
    for name, value in changed.items():
        state[name.replace("_", ".", 1)].view(-1)[-1] = value
    return layers


@pytest.mark.parametrize(
    ("name", "value"), [("0_weight", math.nan), ("1_running_var", math.inf), ("0_bias", -math.inf)]
)
def test_one_number_is_enough(name: str, value: float, tmp_path: Path):
    runner = SimpleNamespace(model=network(**{name: value}), work_dir=str(tmp_path), iter=41)
    first = name.replace("_", ".", 1)
    message = rf"by iteration 42: 1 of 6 weights are NaN or infinite, the first is {first}; .*start over"
    with pytest.raises(DivergedError, match=message):
        DivergenceHook().before_save_checkpoint(runner, {})
    (tmp_path / "epoch_3.pth").touch()
    with pytest.raises(DivergedError, match="no checkpoint was written: start over with a lower learning rate"):
        DivergenceHook().before_save_checkpoint(runner, {})
    with pytest.raises(DivergedError, match=r"resume .*epoch_3\.pth with --allow-changes and a lower learning rate"):
        DivergenceHook("--allow-changes").before_save_checkpoint(runner, {})


def test_finite_weights_pass(tmp_path: Path):
    runner = SimpleNamespace(model=network(**{"0_weight": 1e30}), work_dir=str(tmp_path), iter=0)
    DivergenceHook().before_save_checkpoint(runner, {})
    runner.model = nn.Flatten()
    DivergenceHook().before_save_checkpoint(runner, {})


def test_the_commands_end_with_2_and_leave_no_checkpoint(
    demo_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    poison = nn.Module.train

    def poisoned(self: nn.Module, mode: bool = True) -> nn.Module:
        if mode:
            next(self.parameters(), torch.zeros(1)).data.fill_(math.nan)
        return poison(self, mode)

    monkeypatch.chdir(tmp_path)
    detector = [str(ROOT / "projects/detection_transfer/configs/tiles_r18.py"), "--data-root", str(demo_root)]
    options = ["model.backbone.base_channels=8", "model.backbone.stem_channels=8", "train_dataloader.batch_size=2"]
    monkeypatch.setattr(nn.Module, "train", poisoned)
    assert finetune.main([*detector, "--init", "random", "--iterations", "2", "--cfg-options", *options]) == 2
    assert "DIVERGED by iteration" in capsys.readouterr().err.strip().splitlines()[-1]
    assert not list(tmp_path.rglob("*.pth"))
    pretraining = [str(ROOT / "configs/simsiam_rcrop_demo.py"), "--data-root", str(demo_root), "--work-dir", "p"]
    small = ["model.backbone.base_channels=8", "model.backbone.stem_channels=8", "train_cfg.max_epochs=1"]
    assert train.main([*pretraining, "--cfg-options", *small]) == 2
    assert "DIVERGED by iteration" in capsys.readouterr().err.strip().splitlines()[-1]
    assert not list(tmp_path.rglob("*.pth"))
