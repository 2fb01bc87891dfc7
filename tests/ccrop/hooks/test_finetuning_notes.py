"""What a fine-tuning notes in its checkpoints."""

import pytest

from ccrop.hooks import finetuning_notes
from ccrop.hooks.finetuning_notes import FinetuningHook


def test_the_cost_of_a_resumed_training_includes_what_came_before(monkeypatch: pytest.MonkeyPatch):
    clock = iter([5.0, 10.0, 17.0, 100.0, 103.0, 105.0])
    monkeypatch.setattr(finetuning_notes, "core_seconds", lambda: next(clock))
    first, checkpoint = FinetuningHook(dict(settings={})), {}
    first.before_train(None)
    first.before_save_checkpoint(None, checkpoint)
    assert checkpoint == dict(finetuning=dict(settings={}, core_seconds=7.0))
    second = FinetuningHook(dict(settings={}))
    second.after_load_checkpoint(None, checkpoint)
    second.before_train(None)
    assert second.spent == 9.0
