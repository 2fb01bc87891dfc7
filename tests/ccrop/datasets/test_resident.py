"""Batches of views from images on the device: the same pixels as from files, the same distribution of crops."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from jobs import ROOT
from PIL import Image
from scipy import stats
from torch.utils.data import DataLoader

from ccrop.compat.checkpoint import load_checkpoint
from ccrop.config import load_config
from ccrop.datasets import BoxStore, ImageFolder, SeededSampler, stored_boxes
from ccrop.datasets.resident import ResidentBatches
from ccrop.runner import build_runner, pretrain
from ccrop.views import ContrastiveCrop, CropViews, MultiObjectCrop, RandomCrop, ReferenceAugmentation

BOX = torch.tensor([0.25, 0.5, 0.75, 1.0, 0.9])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """37 images of noise, 24 px high and 20 wide."""
    root = tmp_path / "images"
    root.mkdir()
    rng = np.random.default_rng(0)
    for number in range(37):
        Image.fromarray(rng.integers(0, 256, (24, 20, 3), dtype=np.uint8)).save(root / f"{number:02d}.png")
    return root


def resident(root: Path, crop: RandomCrop, **settings) -> ResidentBatches:
    dataset = ImageFolder(root, pipeline=[CropViews(crop, **dict(size=16) | settings)])
    dataset.boxes = BoxStore(len(dataset), 1, dataset.fingerprint())
    counts = torch.arange(len(dataset)) % 2  # every other image has a box
    dataset.update_boxes(BOX * counts[:, None, None], counts)
    return ResidentBatches(DataLoader(dataset, 8, sampler=SeededSampler(dataset, seed=3), drop_last=True), "cpu")


@pytest.mark.parametrize("crop", [RandomCrop(), ContrastiveCrop(alpha=0.6)])
def test_views_are_cut_out_of_the_images_of_their_indices(folder: Path, crop: RandomCrop):
    loader = resident(folder, crop, size=[16, 9])
    batches = list(loader)
    assert len(batches) == len(loader) == 4
    seen = torch.cat([batch["index"] for batch in batches]).tolist()
    assert len(set(seen)) == 32
    files = sorted(folder.iterdir())
    for batch in batches:
        for place, index in enumerate(batch["index"].tolist()):
            for view, size in enumerate((16, 9)):
                rectangle = batch["rectangles"][place, view].tolist()
                cut = Image.open(files[index]).crop(rectangle).resize((size, size), Image.Resampling.BILINEAR)
                difference = batch["views"][view][place].int() - torch.from_numpy(np.array(cut)).int()
                assert difference.abs().max() <= 1


def test_an_epoch_repeats_and_the_next_one_differs(folder: Path):
    loader = resident(folder, RandomCrop())
    first, again = ([batch["rectangles"] for batch in loader] for _ in range(2))
    assert all(map(torch.equal, first, again))
    loader.sampler.set_epoch(1)
    assert not torch.equal(first[0], next(iter(loader))["rectangles"])


def test_crops_of_a_batch_are_distributed_as_those_of_single_images():
    image_size, views, number = (48, 64), 2, 3000
    boxes = np.tile(BOX.numpy()[None, None], (number, 1, 1))
    counts = np.arange(number) % 2
    crop = ContrastiveCrop(alpha=0.3, scale=[(0.2, 0.4), (0.5, 1.0)])
    together = crop.of_batch(np.random.default_rng(0), image_size, boxes, counts, views)
    rng = np.random.default_rng(1)
    alone = np.stack([crop(rng, image_size, own[:count], views) for own, count in zip(boxes, counts, strict=True)])
    assert together.shape == alone.shape == (number, views, 4)
    for count in (0, 1):
        for view in range(views):
            for side in range(4):
                sides = [drawn[counts == count, view, side] for drawn in (together, alone)]
                assert stats.ks_2samp(*sides).pvalue > 1e-3, (count, view, side)


def test_what_cannot_live_on_the_device_is_refused(folder: Path):
    with pytest.raises(ValueError, match="set augment='device'"):
        resident(folder, RandomCrop(), augment=ReferenceAugmentation())
    with pytest.raises(ValueError, match="takes images and views of the crops rcrop, single and simccrop alone"):
        resident(folder, MultiObjectCrop())
    Image.new("RGB", (30, 24)).save(folder / "99.png")
    with pytest.raises(ValueError, match=r"99\.png has \(24, 30\) px and the images before it \(24, 20\)"):
        resident(folder, RandomCrop())


def test_a_resumed_run_ends_as_an_unbroken_one(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(stored_boxes, "INSIDE", 0)  # so that the boxes lie beside the checkpoints
    options = {
        "model.backbone.base_channels": 8,
        "model.backbone.stem_channels": 8,
        "model.channels": 16,
        "train_dataloader.resident": True,
        "train_dataloader.num_workers": 0,
        "train_dataloader.dataset.pipeline.0.size": 32,
        "default_hooks.localization.image_size": (32, 32),
        "train_cfg.max_epochs": 3,
    }
    config = load_config(ROOT / "configs/simclr_single_folder_r18.py", folder, options)
    assert config.train_dataloader.batch_size == 32
    runner = build_runner(copy.deepcopy(config), tmp_path / "whole")
    assert isinstance(runner.train_dataloader, ResidentBatches)
    runner.train()
    pretrain(copy.deepcopy(config), tmp_path / "broken", resume=str(tmp_path / "whole/epoch_2.pth"))
    whole, resumed = (load_checkpoint(tmp_path / name / "epoch_3.pth") for name in ("whole", "broken"))
    for name, tensor in whole["state_dict"].items():
        assert torch.equal(tensor, resumed["state_dict"][name]), name
    assert resumed["boxes"] == whole["boxes"]
    for name in ("whole", "broken"):
        assert (tmp_path / name / whole["boxes"]["file"]).stat().st_size == 12 * whole["boxes"]["num_images"]
