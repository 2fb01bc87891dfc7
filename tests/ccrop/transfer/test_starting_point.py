"""What a fine-tuning starts from, and with which settings an unfinished one may go on."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from ccrop.checkpoint import Normalization
from ccrop.transfer import starting_point
from ccrop.transfer.starting_point import Start, check_finished, check_settings, notes_on, settings_of, start_of

RGB = Normalization((0.5, 0.4, 0.3), (0.2, 0.2, 0.1))


def config(**preprocessor: object) -> Config:
    return Config(
        dict(
            model=dict(
                type="Detector", data_preprocessor=preprocessor, backbone=dict(type=torch.nn.Conv2d, sizes=(3, 8))
            ),
            optim_wrapper=dict(optimizer=dict(type="SGD", lr=0.02)),
            param_scheduler=[dict(type="LinearLR", end=10), dict(type="CosineAnnealingLR", begin=10)],
            train_cfg=dict(max_iters=100),
            train_dataloader=dict(batch_size=4),
            randomness=dict(seed=3),
            init="x.pth",
        )
    )


def save(file: Path, notes: dict | None) -> Path:
    own = {} if notes is None else dict(finetuning=notes)
    normalization = {name: list(values) for name, values in RGB._asdict().items()}
    torch.save(dict(meta=dict(iter=40), state_dict={}, normalization=normalization) | own, file)
    return file


def test_a_run_that_goes_on_normalizes_images_as_before_and_reads_no_init(tmp_path: Path):
    bgr = dict(mean=[103.53, 116.28, 123.675], std=[57.375, 57.12, 58.395], bgr_to_rgb=False)
    first = config(**bgr, pad_size_divisor=32)
    notes = notes_on(first, "16 images")
    assert notes["pixels"] == bgr
    save(tmp_path / "iter_40.pth", notes)
    own = config(mean=[0.0] * 3, std=[1.0] * 3, bgr_to_rgb=True, pad_size_divisor=64)
    start = start_of(own, "gone.pth", tmp_path, "auto")
    assert own.model.data_preprocessor == bgr | dict(pad_size_divisor=64)
    assert start == Start(None, None, str(tmp_path / "iter_40.pth"), 40, settings_of(first, "16 images"))
    assert (own.init, own.load_from, own.resume) == ("gone.pth", str(tmp_path / "iter_40.pth"), True)


@pytest.mark.parametrize("resume", [None, "auto"])
def test_without_a_checkpoint_a_run_begins(tmp_path: Path, resume: str | None):
    own = config()
    assert start_of(own, "random", tmp_path, resume) == Start(None, None)
    assert own.load_from is None
    with pytest.raises(FileNotFoundError, match=r"gone\.pth does not exist"):
        start_of(config(), "gone.pth", tmp_path, resume)


def test_other_checkpoints_are_not_resumed(tmp_path: Path):
    file = save(tmp_path / "epoch_3.pth", None)
    with pytest.raises(ValueError, match=r"epoch_3\.pth is not a fine-tuning checkpoint, .*: pass it with --init"):
        start_of(config(), "random", tmp_path / "work", str(file))


def test_a_checkpoint_of_a_run_that_diverged_is_not_resumed(tmp_path: Path):
    content = torch.load(save(tmp_path / "iter_40.pth", notes_on(config(), "16 images")))
    torch.save(content | dict(state_dict=dict(weight=torch.tensor([1.0, torch.nan]))), tmp_path / "iter_40.pth")
    with pytest.raises(ValueError, match=r"iter_40\.pth: 1 of 1 weights are NaN or infinite, the first is weight: "):
        start_of(config(), "random", tmp_path, "auto")


def test_settings_that_differ_are_listed_and_refused():
    first, other = config(mean=[1]), config(mean=[2])
    start = Start(None, None, "iter_40.pth", 40, settings_of(first, "all images"))
    check_settings(start, settings_of(other, "all images"))
    other.optim_wrapper.optimizer.lr = 0.01
    other.param_scheduler[1].begin = 20
    other.randomness.seed = 4
    other.model.neck = "FPN"
    with pytest.raises(ValueError, match=r"^iter_40\.pth was trained with ") as error:
        check_settings(start, settings_of(other, "8 of 16 images"))
    listed = str(error.value).removeprefix("iter_40.pth was trained with ").partition(": ")[0].split("; ")
    assert set(listed) == {
        "seed 3, not 4",
        "examples all images, not 8 of 16 images",
        "model.neck unset, not FPN",
        "optim_wrapper.optimizer.lr 0.02, not 0.01",
        "param_scheduler.1.begin 10, not 20",
    }


def test_other_augmentation_and_processes_are_differences_unless_the_checkpoint_does_not_know_its_own(
    monkeypatch: pytest.MonkeyPatch,
):
    def augmented(probability: float, numbers: dict[str, int] | None) -> Config:
        step = dict(type="Flip", prob=probability)
        own = config()
        own.train_dataloader.dataset = dict(type="Repeat", dataset=dict(pipeline=[step]))
        own.ground_truth_sampling = None if numbers is None else dict(numbers=numbers)
        return own

    before = settings_of(augmented(0.5, None), "all")
    other = augmented(0.2, dict(Car=3))
    monkeypatch.setattr(starting_point, "get_world_size", lambda: 2)
    with pytest.raises(ValueError, match=r"with processes 1, not 2; pipeline\.0\.prob 0\.5, not 0\.2; ground_truth_s"):
        check_settings(Start(None, None, "iter_40.pth", settings=before), settings_of(other, "all"))
    recent = ("processes", "pipeline", "ground_truth_sampling")
    earlier = {name: value for name, value in before.items() if not name.startswith(recent)}
    check_settings(Start(None, None, "iter_40.pth", settings=earlier), settings_of(other, "all"))


def test_settings_are_plain_text_whatever_a_config_holds():
    settings = settings_of(config(), "all")
    assert settings["model.backbone.type"] == "torch.nn.modules.conv.Conv2d"
    assert settings["model.backbone.sizes"] == "(3, 8)"
    assert settings["init"] == "x.pth"
    assert settings["iterations"] == "100"
    assert all(type(value) is str for value in settings.values())


def test_a_finished_run_of_other_settings_is_not_kept(tmp_path: Path):
    save(tmp_path / "iter_100.pth", notes_on(config(mean=[1]), "12 images"))
    own = config(mean=[2])
    own.init, own.randomness.seed = "unset", 0
    check_finished(tmp_path, own, "x.pth", 3)
    assert (own.init, own.randomness.seed) == ("unset", 0)
    own.train_cfg.max_iters = 200
    refused = r"iter_100\.pth was trained with seed 3, not 4; iterations 100, not 200: repeat its options, or leave out"
    with pytest.raises(ValueError, match=refused):
        check_finished(tmp_path, own, "x.pth", 4)


def test_finished_runs_of_earlier_versions_are_kept(tmp_path: Path):
    check_finished(tmp_path, config(), "random", 0)
    save(tmp_path / "iter_100.pth", None)
    check_finished(tmp_path, config(), "random", 0)
