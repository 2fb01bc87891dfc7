"""What a detector starts from, and how its images are normalized then."""

from pathlib import Path

import pytest
import torch
import torchvision
from jobs import ROOT
from mmengine.config import Config

from ccrop.checkpoint import Normalization
from projects.detection_transfer.finetune import expect, finetune, load_config

CONFIG = ROOT / "projects/detection_transfer/configs/tiles_r18.py"
LITE = Normalization((127 / 255,) * 3, (128 / 255,) * 3)


def preprocessor(**settings: object) -> Config:
    return Config(dict(model=dict(data_preprocessor=settings)))


def test_images_are_normalized_as_weights_expect():
    config = preprocessor(mean=[103.53, 116.28, 123.675], std=[57.375, 57.12, 58.395], bgr_to_rgb=False)
    assert expect(config, LITE) == LITE
    assert config.model.data_preprocessor.mean == pytest.approx([127] * 3)
    assert config.model.data_preprocessor.std == pytest.approx([128] * 3)
    assert config.model.data_preprocessor.bgr_to_rgb


@pytest.mark.parametrize(("mean", "bgr_to_rgb"), [([51, 102, 153], True), ([153, 102, 51], False)])
def test_where_weights_do_not_say_it_the_configs_hold(mean: list[int], bgr_to_rgb: bool):
    config = preprocessor(mean=mean, std=[255] * 3, bgr_to_rgb=bgr_to_rgb)
    assert expect(config, None) == (pytest.approx((0.2, 0.4, 0.6)), (1.0, 1.0, 1.0))
    assert config.model.data_preprocessor.mean == mean


@pytest.mark.parametrize(
    ("init", "options", "message"),
    [
        ("other.pth", {}, r"other\.pth does not fit the backbone, and nothing was loaded"),
        ("random", {"load_from": "other.pth"}, r"--init random and load_from=other\.pth both name weights"),
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
