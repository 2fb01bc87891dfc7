"""On which data a pretraining run resumes."""

from types import SimpleNamespace

import pytest
from mmengine.runner import get_priority

from ccrop.hooks import LocalizationHook
from ccrop.hooks import pretraining_notes as module
from ccrop.hooks.pretraining_notes import SettingsHook


def test_boxes_of_other_files_are_refused_whatever_is_allowed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "trained_files", lambda dataset: dict(files=2, fingerprint="b"))
    dataset = SimpleNamespace(data_root="sweeps", boxes=object())
    loader = SimpleNamespace(dataset=dataset)
    runner = SimpleNamespace(cfg=SimpleNamespace(load_from="epoch_1.pth"), train_dataloader=loader)
    checkpoint = dict(data=dict(files=5, fingerprint="a"), boxes={})
    refused = (
        r"^epoch_1\.pth was trained on other files \(5\) than those of sweeps \(2; their number or names differ\): "
    )
    for allowed in (False, True):
        with pytest.raises(ValueError, match=rf"{refused}.*, or leave out --resume$"):
            SettingsHook({}, allowed).after_load_checkpoint(runner, checkpoint)
    dataset.boxes = None  # of a run that crops without boxes
    SettingsHook({}, True).after_load_checkpoint(runner, checkpoint)
    with pytest.raises(ValueError, match=rf"{refused}.*, or resume on these by passing --allow-changes$"):
        SettingsHook({}, False).after_load_checkpoint(runner, checkpoint)


def test_files_are_compared_before_boxes_are_restored():
    assert get_priority(SettingsHook.priority) < get_priority(LocalizationHook.priority)
