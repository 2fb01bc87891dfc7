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
    config, model = load_detector(tmp_path, "images", lambda settings: nn.Linear(2, settings.width))
    assert torch.equal(model.weight, saved.weight)
    assert not model.training
    assert model.dataset_meta["classes"] == ("a", "b")
    assert config.model.width == 3
    (tmp_path / "other").mkdir()
    (tmp_path / "other/o.py").write_text("model = dict(width=4)")
    with pytest.raises(
        ValueError, match=r"iter_1\.pth is not a checkpoint of a run with .*o\.py: pass the config of its run"
    ):
        load_detector(tmp_path, "images", lambda settings: nn.Linear(2, settings.width), tmp_path / "other/o.py")
    torch.save(content | dict(config=dict(augment="cpu")), tmp_path / "iter_1.pth")
    with pytest.raises(ValueError, match="is a pretraining run, which detects nothing"):
        load_detector(tmp_path, "images", lambda settings: nn.Linear(2, 3))


def test_a_detector_that_diverged_is_refused(tmp_path: Path):
    weights = dict(weight=torch.full((3, 2), torch.nan), bias=torch.zeros(3))
    torch.save(dict(state_dict=weights, config=dict(model=dict(width=3))), tmp_path / "iter_1.pth")
    with pytest.raises(ValueError, match=r"iter_1\.pth: 1 of 2 weights are NaN or infinite, the first is weight: "):
        load_detector(tmp_path, "images", lambda settings: nn.Linear(2, settings.width))


@pytest.mark.parametrize(
    ("finetuning", "taken", "wanted"),
    [({}, "images", "sweeps"), (dict(finetuning="ccrop.projects.lidar_bev.finetune"), "sweeps", "images")],
)
def test_a_detector_of_other_examples_is_not_built(tmp_path: Path, finetuning: dict[str, str], taken: str, wanted: str):
    torch.save(dict(state_dict={}, config=dict(model=dict(type="AnyDetector"), **finetuning)), tmp_path / "iter_1.pth")
    with pytest.raises(ValueError, match=rf"{tmp_path} detects objects in {taken}, not in {wanted}: pass a detector"):
        load_detector(tmp_path, wanted, lambda settings: pytest.fail("built"))


@pytest.mark.parametrize(("name", "content"), [("a.txt", "no"), ("b.jpg", "no"), ("c.json", "{}"), ("d.py", "1 / 0")])
def test_a_file_that_is_no_checkpoint_is_not_read(tmp_path: Path, name: str, content: str):
    (tmp_path / name).write_text(content)
    with pytest.raises(
        ValueError, match=rf"{name} is not a checkpoint \(.pth\): pass a fine-tuning run's work_dir, or"
    ):
        load_detector(tmp_path / name, "images", lambda settings: pytest.fail("built"))


def test_names_of_files_are_flat_on_every_system():
    assert flat_name("day 1/a:b?.jpg") == "day 1_a_b_"


def test_some_files_are_counted_and_all_are_an_error(monkeypatch: pytest.MonkeyPatch):
    count_left_out("photos", "image", [], 3)
    count_left_out("photos", "image", ["a: empty"], 3)
    with pytest.raises(ValueError, match="photos: none of 1 images can be read; the first: a: empty"):
        count_left_out("photos", "image", ["a: empty"], 1)
