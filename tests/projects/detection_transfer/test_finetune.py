"""What a detector starts from, and how its images are normalized then."""

import re
import shutil
from pathlib import Path

import pytest
import torch
import torchvision
from jobs import ROOT
from mmengine.config import Config

from ccrop.checkpoint import Normalization
from ccrop.checkpoint.recorded_config import recorded_config
from ccrop.compat.safe_checkpoint import load_checkpoint
from ccrop.projects.detection_transfer.finetune import expect_in_levels, finetune, load_config
from ccrop.projects.detection_transfer.tile_transforms import ObjectTile
from ccrop.transfer import set_iterations

CONFIG = ROOT / "projects/detection_transfer/configs/tiles_r18.py"
LITE = Normalization((127 / 255,) * 3, (128 / 255,) * 3)


def preprocessor(**settings: object) -> Config:
    return Config(dict(model=dict(data_preprocessor=settings)))


def test_images_are_normalized_as_weights_expect():
    config = preprocessor(mean=[103.53, 116.28, 123.675], std=[57.375, 57.12, 58.395], bgr_to_rgb=False)
    assert expect_in_levels(config, LITE) == LITE
    assert config.model.data_preprocessor.mean == pytest.approx([127] * 3)
    assert config.model.data_preprocessor.std == pytest.approx([128] * 3)
    assert config.model.data_preprocessor.bgr_to_rgb


@pytest.mark.parametrize(("mean", "bgr_to_rgb"), [([51, 102, 153], True), ([153, 102, 51], False)])
def test_where_weights_do_not_say_it_the_configs_hold(mean: list[int], bgr_to_rgb: bool):
    config = preprocessor(mean=mean, std=[255] * 3, bgr_to_rgb=bgr_to_rgb)
    assert expect_in_levels(config, None) == (pytest.approx((0.2, 0.4, 0.6)), (1.0, 1.0, 1.0))
    assert config.model.data_preprocessor.mean == mean


@pytest.mark.parametrize(
    ("init", "options", "message"),
    [
        ("other.pth", {}, r"other\.pth does not fit the backbone, and nothing was loaded"),
        ("random", {"load_from": "other.pth"}, r"--init random and load_from=other\.pth both specify weights"),
    ],
)
def test_weights_that_do_not_fit_stop_the_run(
    init: str, options: dict, message: str, demo_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    torch.save(torchvision.models.squeezenet1_1().state_dict(), "other.pth")
    small = {"train_dataloader.num_workers": 0, "test_dataloader.num_workers": 0}
    with pytest.raises(ValueError, match=message):
        finetune(load_config(CONFIG, demo_root, small | options), init, "work")
    assert not list(Path("work").glob("*.pth"))


SMALL = {
    "model.backbone.base_channels": 8,
    "model.backbone.stem_channels": 8,
    "train_dataloader.num_workers": 0,
    "test_dataloader.num_workers": 0,
    "default_hooks.checkpoint.keep": -1,
}


def test_a_resumed_run_is_the_same_bit_for_bit_as_an_uninterrupted_one(
    demo_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    seen, transform = [], ObjectTile.transform

    def recorded(self: ObjectTile, results: dict) -> dict:
        seen.append(results["img_path"])
        return transform(self, results)

    monkeypatch.setattr(ObjectTile, "transform", recorded)
    config = load_config(CONFIG, demo_root, SMALL | {"train_dataloader.batch_size": 3})
    set_iterations(config, 5)
    whole, again = tmp_path / "whole", tmp_path / "again"
    finetune(config, "random", whole)
    order = list(seen)
    assert len(order) == 5 * 3
    again.mkdir()
    shutil.copy(whole / "iter_2.pth", again)
    seen.clear()
    figures = finetune(config, "random", again, resume="auto")
    assert seen == order[2 * 3 :]
    assert sorted(file.name for file in again.glob("*.pth")) == [f"iter_{number}.pth" for number in range(2, 6)]
    first, second = (load_checkpoint(folder / "iter_5.pth") for folder in (whole, again))
    assert second["meta"]["iter"] == 5
    assert second["state_dict"].keys() == first["state_dict"].keys()
    assert all(torch.equal(value, first["state_dict"][key]) for key, value in second["state_dict"].items())
    assert [each["lr"] for each in second["optimizer"]["param_groups"]] == [
        each["lr"] for each in first["optimizer"]["param_groups"]
    ]
    assert second["param_schedulers"] == first["param_schedulers"]
    states = second["optimizer"]["state"]
    assert {key: set(state) for key, state in states.items()} == {
        key: set(state) for key, state in first["optimizer"]["state"].items()
    }
    assert {float(state["step"]) for state in states.values() if "step" in state} == {5.0}  # Muon does not count
    before = load_checkpoint(whole / "iter_2.pth")
    assert before["finetuning"]["core_seconds"] < second["finetuning"]["core_seconds"] <= figures["core_seconds"]
    with pytest.raises(ValueError, match=r"iter_5\.pth was trained with seed 0, not 1: repeat its options"):
        finetune(config, "random", again, seed=1, resume="auto")


def test_batches_grouped_by_shape_are_drawn_anew(demo_root: Path, tmp_path: Path):
    tiny = ROOT / "tests/projects/detection_transfer/configs/faster-rcnn_tiny.py"
    config = load_config(tiny, demo_root, SMALL | {"train_dataloader.batch_size": 1})
    set_iterations(config, 2)
    config.test_dataloader = config.test_evaluator = config.test_cfg = None
    finetune(config, "random", tmp_path / "first")
    finetune(config, "random", tmp_path / "second", resume=str(tmp_path / "first/iter_1.pth"))
    assert load_checkpoint(tmp_path / "second/iter_2.pth")["meta"]["iter"] == 2
    left = recorded_config(tmp_path / "second/iter_2.pth")
    assert left.train_dataloader.sampler.seed == 0 + 1


def test_a_run_resumes_on_the_same_images_and_labels_wherever_they_are(demo_root: Path, tmp_path: Path):
    def trained(root: Path, resume: str | None = "auto") -> dict[str, float]:
        config = load_config(CONFIG, root, SMALL | {"train_dataloader.batch_size": 2})
        set_iterations(config, 1)
        return finetune(config, "random", tmp_path / "tuned", labels=0.1, resume=resume)

    def copied(name: str, before: str, after: str) -> Path:
        """The set with other text in its annotations, and images of all names."""
        root = tmp_path / name
        shutil.copytree(demo_root, root)
        for image in list((root / "train2017").iterdir()):
            shutil.copyfile(image, image.with_stem(f"{image.stem}_b"))
        file = root / "annotations/instances_train2017.json"
        file.write_text(re.sub(before, after, file.read_text()))
        return root

    first = trained(demo_root, None)
    kept = load_checkpoint(tmp_path / "tuned/iter_1.pth")["finetuning"]["data"]
    assert kept["files"] == 7
    assert trained(copied("moved", "none", "none"))["AP"] == pytest.approx(first["AP"], nan_ok=True)
    for root in (copied("renamed", r"\.jpg", "_b.jpg"), copied("relabeled", r'"category_id":1\b', '"category_id":2')):
        refused = (
            rf"^{tmp_path}/tuned/iter_1\.pth was trained on other files \(7\) than those of {root} \(7; their number, "
            r"names or labels differ\): pass the data it was trained on with --data-root, or leave out --resume$"
        )
        with pytest.raises(ValueError, match=refused):
            trained(root)


def test_a_run_that_may_change_goes_on_with_new_settings_and_data(
    demo_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    def trained(
        iterations: int, drop: int, rate: float, labels: float, allow_changes: bool | None, resume: str | None = "auto"
    ) -> None:
        config = load_config(CONFIG, demo_root, SMALL | {"train_dataloader.batch_size": 2})
        set_iterations(config, iterations)
        config.param_scheduler = [dict(type="MultiStepLR", by_epoch=False, milestones=[drop], gamma=0.1)]
        config.optim_wrapper.optimizer.lr = rate
        config.auto_scale_lr.base_batch_size = 2
        finetune(config, "random", tmp_path, labels, resume=resume, allow_changes=allow_changes)

    def rates(iteration: int) -> set[float]:
        groups = load_checkpoint(tmp_path / f"iter_{iteration}.pth")["optimizer"]["param_groups"]
        return {round(group["lr"], 9) for group in groups}

    trained(2, 1, 0.004, 0.1, None)
    assert rates(2) == {0.0004}
    changes = (
        r"examples 7 of 64 labeled images, not 64 of 64 labeled images; iterations 2, not 4; "
        r"optim_wrapper\.optimizer\.lr 0\.004, not 0\.005; param_scheduler\.0\.milestones \[1\], not \[3\]"
    )
    remedies = {None: "leave out --resume", False: "resume with the new ones by passing --allow-changes"}
    for allowed, remedy in remedies.items():
        with pytest.raises(ValueError, match=rf"iter_2\.pth was trained with {changes}: .*, or {remedy}$"):
            trained(4, 3, 0.005, 1.0, allowed)
    assert not (tmp_path / "iter_3.pth").exists()
    capsys.readouterr()
    trained(4, 3, 0.005, 1.0, True)
    log = capsys.readouterr().out
    assert re.search(rf"Settings that have changed since \S+iter_2\.pth was trained: {changes}\n", log)
    assert "The schedule is fitted to 4 iterations; learning rate 0.005\n" in log
    assert rates(3) == rates(4) == {0.0005}
    assert load_checkpoint(tmp_path / "iter_4.pth")["finetuning"]["settings"]["iterations"] == "4"
    shorter = r"iter_4\.pth has done 4 iterations, more than --iterations 3: ask for 4 or more"
    with pytest.raises(ValueError, match=shorter):
        trained(3, 3, 0.005, 1.0, True)
