"""What predictions share: a detector's files, and a folder that is complete or absent."""

from pathlib import Path

import pytest
import torch
from torch import nn

from ccrop.transfer.prediction import checkpoint_of, count_left_out, flat_name, load_detector


def test_the_newest_checkpoint_of_a_work_dir_or_the_one_that_is_named(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match="holds no checkpoint"):
        checkpoint_of(tmp_path)
    for number in (2, 10):
        (tmp_path / f"iter_{number}.pth").touch()
    assert checkpoint_of(tmp_path) == tmp_path / "iter_10.pth"
    assert checkpoint_of(tmp_path / "iter_2.pth") == tmp_path / "iter_2.pth"


def test_a_model_has_its_weights_and_the_names_of_what_it_detects(tmp_path: Path):
    saved = nn.Linear(2, 3)
    meta = dict(dataset_meta=dict(classes=("a", "b")))
    content = dict(state_dict=saved.state_dict(), meta=meta)
    torch.save(content | dict(config=dict(model=dict(width=3))), tmp_path / "iter_1.pth")
    config, model = load_detector(tmp_path, lambda settings: nn.Linear(2, settings.width))
    assert torch.equal(model.weight, saved.weight)
    assert not model.training
    assert model.dataset_meta["classes"] == ("a", "b")
    assert config.model.width == 3
    (tmp_path / "other").mkdir()
    (tmp_path / "other/o.py").write_text("model = dict(width=4)")
    with pytest.raises(
        ValueError, match=r"iter_1\.pth is not a checkpoint of a run with .*o\.py: pass the config of its run"
    ):
        load_detector(tmp_path, lambda settings: nn.Linear(2, settings.width), tmp_path / "other/o.py")
    torch.save(content | dict(config=dict(augment="cpu")), tmp_path / "iter_1.pth")
    with pytest.raises(ValueError, match="is a pretraining run, which detects nothing"):
        load_detector(tmp_path, lambda settings: nn.Linear(2, 3))


def test_names_of_files_are_flat_on_every_system():
    assert flat_name("day 1/a:b?.jpg") == "day 1_a_b_"


def test_some_files_are_counted_and_all_are_an_error(monkeypatch: pytest.MonkeyPatch):
    count_left_out("photos", "image", [], 3)
    count_left_out("photos", "image", ["a: empty"], 3)
    with pytest.raises(ValueError, match="photos: none of 1 images can be read; the first: a: empty"):
        count_left_out("photos", "image", ["a: empty"], 1)
