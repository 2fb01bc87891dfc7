"""What a detector is fed: the pixels that pretraining sees, of any number of channels."""

from pathlib import Path

import numpy as np
import pytest
import torch
from jobs import ROOT
from mmdet.registry import MODELS, TRANSFORMS
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.registry import DefaultScope
from PIL import Image

from ccrop.config import read_config
from ccrop.datasets import ImageFolder, UnreadableImage
from projects.detection_transfer.images import ReadImage, settle_images

CONFIG = ROOT / "projects/detection_transfer/configs/tiles_r18.py"


def save(folder: Path, channels: int) -> Path:
    """An image that the usual readers decode each in its own way: transparent, and turned by its EXIF block."""
    pixels = np.random.default_rng(0).integers(0, 256, (40, 60, channels + (channels == 3)), np.uint8)
    file = folder / ("image.png" if channels in (1, 3) else "image.npy")
    if channels in (1, 3):
        image = Image.fromarray(pixels.squeeze())
        exif = image.getexif()
        exif[0x0112] = 6
        image.save(file, exif=exif)
    else:
        np.save(file, pixels)
    return file


def settled(channels: int) -> Config:
    config = Config.fromfile(CONFIG)
    config.channels = channels
    settle_images(config)
    return config


@pytest.mark.parametrize("channels", [1, 3, 5])
def test_a_file_has_the_pixels_of_pretraining(tmp_path: Path, channels: int):
    file = save(tmp_path, channels)
    seen = np.array(ImageFolder(tmp_path, channels=channels)[0]["image"])
    results = ReadImage(channels)(dict(img_path=str(file)))
    found = results["img"][..., ::-1] if channels == 3 else results["img"]
    assert found.shape[2] == channels
    assert np.array_equal(found.squeeze(), seen)
    assert results["img_shape"] == results["ori_shape"] == seen.shape[:2] == ((60, 40) if channels < 5 else (40, 60))


def test_white_of_deep_images_is_that_of_pretraining(tmp_path: Path):
    Image.fromarray(np.linspace(0, 4095, 64).astype(np.uint16).reshape(8, 8)).save(tmp_path / "deep.png")
    config = read_config(CONFIG, dict(white=4095))
    settle_images(config)
    load = config.train_dataloader.dataset.pipeline[0]
    assert (load.type, load.white, config.test_dataloader.dataset.pipeline[0].white) == ("KeptImage", 4095, 4095)
    seen = np.array(ImageFolder(tmp_path, white=4095)[0]["image"])
    assert seen.max() == 255
    found = TRANSFORMS.build(dict(load))(dict(img_path=str(tmp_path / "deep.png")))["img"]
    assert np.array_equal(found, seen)


def test_a_file_of_other_channels_is_named(tmp_path: Path):
    with pytest.raises(UnreadableImage, match=r"image\.npy.*\(H, W, 4\) is expected"):
        ReadImage(4)(dict(img_path=save(tmp_path, 5)))


@pytest.mark.parametrize("channels", [1, 3, 5])
def test_the_test_pipeline_gives_the_detector_its_channels(tmp_path: Path, channels: int):
    config = settled(channels)
    config.model.backbone.update(base_channels=8, stem_channels=8)
    config.model.neck.in_channels = [8, 16, 32]
    file = save(tmp_path, channels)
    with DefaultScope.overwrite_default_scope("mmdet"):
        pipeline = Compose([TRANSFORMS.build(step) for step in config.test_dataloader.dataset.pipeline])
        model = MODELS.build(config.model).eval()
        sample = pipeline(dict(img_path=str(file), img_id=0))
        prepared = model.data_preprocessor(dict(inputs=[sample["inputs"]], data_samples=[sample["data_samples"]]))
    size = (60, 40) if channels < 5 else (40, 60)
    assert sample["inputs"].shape == (channels, *size)
    values = prepared["inputs"][0, :, : size[0], : size[1]]
    mean, std = ([123.675, 116.28, 103.53], [58.395, 57.12, 57.375]) if channels == 3 else ([114.495], [57.63])
    rgb = sample["inputs"].flip(0) if channels == 3 else sample["inputs"]
    expected = (rgb.float() - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]
    torch.testing.assert_close(values, expected, atol=1e-4, rtol=0)
    assert model.backbone.conv1.in_channels == channels


def test_rgb_configs_keep_their_pipelines_and_read_by_us():
    before, after = Config.fromfile(CONFIG), settled(3)
    assert before.model == after.model
    for loader in ("train_dataloader", "test_dataloader"):
        assert before[loader].dataset.pipeline == after[loader].dataset.pipeline
    with DefaultScope.overwrite_default_scope("mmdet"):
        reader = TRANSFORMS.build(after.test_dataloader.dataset.pipeline[0])
    assert type(reader) is ReadImage
    assert reader.channels == 3


def test_a_config_of_others_reads_by_us_when_it_is_read_again(tmp_path: Path):
    config = Config(dict(test_pipeline=[dict(type="LoadImageFromFile", backend_args=None)]))
    settle_images(config)
    config.dump(tmp_path / "config.py")
    again = Config.fromfile(tmp_path / "config.py")
    assert again.test_pipeline == [dict(type="LoadImageFromFile")]
    assert again.custom_imports == dict(imports=["projects.detection_transfer.images"])
