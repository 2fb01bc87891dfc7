"""Gray and many-channel images from pretraining to a fine-tuned detector, by the commands."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from jobs import ROOT, TINY
from PIL import Image

from ccrop.tools import finetune, train

DETECTOR = ROOT / "projects/detection_transfer/configs/tiles_r18.py"
NARROW = (
    *("model.backbone.base_channels=8", "model.backbone.stem_channels=8", "model.neck.in_channels=[8,16,32]"),
    *("model.backbone.depth=18", "train_dataloader.num_workers=0", "test_dataloader.num_workers=0"),
    *("train_dataloader.dataset.pipeline.2.size=32", "train_dataloader.batch_size=8"),
)


def make_set(root: Path, channels: int) -> None:
    """Bright squares on noise, in COCO's layout: 16 training and 4 validation images."""
    rng = np.random.default_rng(0)
    (root / "annotations").mkdir(parents=True)
    for split, number in (("train", 16), ("val", 4)):
        (root / split).mkdir()
        images, annotations = [], []
        for index in range(number):
            pixels = rng.integers(0, 80, (96, 96, channels), np.uint8)
            x, y, side = (int(value) for value in rng.integers((0, 0, 12), (60, 60, 30)))
            pixels[y : y + side, x : x + side] += 150
            name = f"{index}.png" if channels == 1 else f"{index}.npy"
            if channels == 1:
                Image.fromarray(pixels[..., 0]).save(root / split / name)
            else:
                np.save(root / split / name, pixels)
            images.append(dict(id=index + 1, file_name=name, width=96, height=96))
            box = dict(bbox=[x, y, side, side], area=side * side, iscrowd=0, segmentation=[])
            annotations.append(dict(id=index + 1, image_id=index + 1, category_id=1, **box))
        content = dict(images=images, annotations=annotations, categories=[dict(id=1, name="square")])
        (root / f"annotations/instances_{split}.json").write_text(json.dumps(content))


@pytest.mark.parametrize(("channels", "config"), [(1, "simsiam_single_demo"), (5, "simsiam_region_demo")])
def test_pretraining_and_fine_tuning(tmp_path: Path, monkeypatch, channels: int, config: str):
    monkeypatch.chdir(tmp_path)
    make_set(tmp_path / "set", channels)
    data = ("--data-root", "set")
    options = [
        *TINY, f"channels={channels}", "train_dataloader.num_workers=0", "train_dataloader.batch_size=8",
        "train_cfg.max_epochs=2", "default_hooks.localization.image_size=(96,96)",
    ]  # fmt: skip
    if "region" in config:
        options += [
            "default_hooks.roi_knn.min_queries=1",
            "train_dataloader.dataset.pipeline.0.crop.side=48",
        ]
    assert train.main([str(ROOT / f"configs/{config}.py"), *data, "--work-dir", "pretraining", *options]) == 0
    (picture,) = Path("pretraining/gallery").glob("*.png")
    assert Image.open(picture).mode == "RGB"
    weights = torch.load("pretraining/epoch_2.pth", weights_only=False)["state_dict"]
    assert weights["backbone.conv1.weight"].shape == (8, channels, 7, 7)
    log = next(Path("pretraining").rglob("*.log")).read_text()
    assert re.search(r"epoch 2/2 .* kNN .* boxes ", log)
    assert ("roi_s8_small" in log) == ("region" in config)

    command = [str(DETECTOR), *data, "--init", "pretraining/epoch_2.pth", "--iterations", "1", "--work-dir", "detector"]
    assert finetune.main([*command, "--cfg-options", f"channels={channels}", *NARROW]) == 0
    assert json.loads(Path("detector/metrics.json").read_text())["AP"] >= 0
    tuned = torch.load("detector/iter_1.pth", weights_only=False)["state_dict"]["backbone.conv1.weight"]
    torch.testing.assert_close(tuned, weights["backbone.conv1.weight"], atol=0.01, rtol=0)
