"""What a fine-tuning notes in its checkpoints."""

from types import SimpleNamespace

import pytest

from ccrop.hooks import finetuning_notes
from ccrop.hooks.finetuning_notes import FinetuningHook


def test_the_cost_of_a_resumed_training_includes_what_came_before(monkeypatch: pytest.MonkeyPatch):
    clock = iter([5.0, 10.0, 17.0, 100.0, 103.0, 105.0])
    monkeypatch.setattr(finetuning_notes, "core_seconds", lambda: next(clock))
    first, checkpoint = FinetuningHook(dict(settings={})), {}
    first.before_train(None)
    monkeypatch.setattr(finetuning_notes, "trained_files", lambda _: dict(files=3, fingerprint="a"))
    runner = SimpleNamespace(
        cfg=SimpleNamespace(load_from="a.pth"), train_dataloader=SimpleNamespace(dataset=SimpleNamespace(data_root="x"))
    )
    first.before_save_checkpoint(runner, checkpoint)
    assert checkpoint == dict(finetuning=dict(settings={}, core_seconds=7.0, data=dict(files=3, fingerprint="a")))
    second = FinetuningHook(dict(settings={}))
    second.after_load_checkpoint(runner, checkpoint)
    second.before_train(None)
    assert second.spent == 9.0
