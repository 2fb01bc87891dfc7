"""Batches of views from images on the device: the same pixels as from files, the same distribution of crops."""

import copy
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from jobs import ROOT
from PIL import Image
from scipy import stats
from torch.utils.data import DataLoader

from ccrop.compat.safe_checkpoint import load_checkpoint
from ccrop.config import load_config
from ccrop.datasets import BoxStore, ImageFolder, SeededSampler, checkpointed_boxes
from ccrop.datasets.resident import ResidentBatches
from ccrop.runner import build_runner, pretrain
from ccrop.views import (
    ContrastiveCrop,
    CropViews,
    MultiObjectCrop,
    RandomCrop,
    ReferenceAugmentation,
    ScatterBoxes,
    ScenePair,
    SceneViews,
)

BOX = torch.tensor([0.25, 0.5, 0.75, 1.0, 0.9])
SIZES = ((24, 20), (17, 30), (20, 20))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """37 images of noise, of three sizes."""
    root = tmp_path / "images"
    root.mkdir()
    rng = np.random.default_rng(0)
    for number in range(37):
        Image.fromarray(rng.integers(0, 256, (*SIZES[number % 3], 3), dtype=np.uint8)).save(root / f"{number:02d}.png")
    return root


def resident(root: Path, crop: RandomCrop | ScenePair, **settings) -> ResidentBatches:
    return of_views(root, CropViews(crop, **dict(size=16) | settings))


def of_views(root: Path, *steps, batch_size: int = 8) -> ResidentBatches:
    dataset = ImageFolder(root, pipeline=steps)
    dataset.boxes = BoxStore(len(dataset), 1, dataset.fingerprint())
    counts = torch.arange(len(dataset)) % 2  # every other image has a box
    dataset.update_boxes(BOX * counts[:, None, None], counts)
    loader = DataLoader(dataset, batch_size, sampler=SeededSampler(dataset, seed=3), drop_last=True)
    return ResidentBatches(loader, "cpu")


CROPS = [
    RandomCrop(scale=[(0.2, 0.4), (0.5, 1.0)]),
    ContrastiveCrop(alpha=0.3, scale=[(0.2, 0.4), (0.5, 1.0)]),
    MultiObjectCrop(min_side=4, scene_prob=0.3),
    ScenePair(side=12),
]


@pytest.mark.parametrize("crop", CROPS, ids=lambda crop: type(crop).__name__)
def test_views_are_cut_out_of_the_images_of_their_indices(folder: Path, crop: RandomCrop | ScenePair):
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


@pytest.mark.parametrize("crop", CROPS, ids=lambda crop: type(crop).__name__)
def test_batches_of_one_image(folder: Path, crop: RandomCrop | ScenePair):
    batches = list(of_views(folder, CropViews(crop, size=16), batch_size=1))
    assert sorted(batch["index"].item() for batch in batches) == list(range(37))
    for batch in batches:
        assert batch["rectangles"].shape == (1, 2, 4)
        height, width = SIZES[batch["index"].item() % 3]
        assert (batch["rectangles"].amax(dim=(0, 1))[2:] <= torch.tensor([width, height])).all()


def test_an_epoch_repeats_and_the_next_one_differs(folder: Path):
    loader = resident(folder, RandomCrop())
    first, again = ([batch["rectangles"] for batch in loader] for _ in range(2))
    assert all(map(torch.equal, first, again))
    loader.sampler.set_epoch(1)
    assert not torch.equal(first[0], next(iter(loader))["rectangles"])


@pytest.mark.parametrize("crop", CROPS, ids=lambda crop: type(crop).__name__)
def test_crops_of_a_batch_are_distributed_as_those_of_single_images(crop: RandomCrop | ScenePair):
    views, number = 2, 1600
    kind = np.arange(number) % 4  # without a box, with one and with two, and another size
    image_sizes = np.where(kind[:, None] == 3, (64, 40), (48, 64))
    counts = kind.clip(max=2)
    two = np.array([BOX.tolist(), [0.0, 0.1, 0.3, 0.3, 0.5]], dtype=np.float32)
    boxes = np.tile(two, (number, 1, 1)) * (np.arange(2)[:, None] < counts[:, None, None])
    together = crop.of_batch(np.random.default_rng(0), image_sizes, boxes, counts, views)
    rng = np.random.default_rng(1)
    alone = np.stack(
        [
            crop(rng, tuple(size), own[:count], views)
            for size, own, count in zip(image_sizes.tolist(), boxes, counts, strict=True)
        ]
    )
    assert together.shape == alone.shape == (number, views, 4)
    for each in range(4):
        for view in range(views):
            for side in range(4):
                sides = [drawn[kind == each, view, side] for drawn in (together, alone)]
                assert stats.ks_2samp(*sides).pvalue > 1e-4, (each, view, side)


def test_scene_views_are_those_that_a_loader_stacks(folder: Path):
    loader = of_views(folder, SceneViews(ScenePair(side=12), 16, max_boxes=3))
    batch = next(iter(loader))
    stacked = next(iter(DataLoader(loader.dataset, 8, sampler=loader.sampler)))
    assert batch.keys() == stacked.keys()
    for name, values in batch.items():
        each, expected = ([tensors] if torch.is_tensor(tensors) else tensors for tensors in (values, stacked[name]))
        assert [(tensor.shape, tensor.dtype) for tensor in each] == [(own.shape, own.dtype) for own in expected], name
    assert torch.equal(batch["index"], stacked["index"])
    assert torch.equal(batch["boxes"], stacked["boxes"])
    assert torch.equal(batch["counts"], stacked["counts"])
    for place, index in enumerate(batch["index"].tolist()):
        height, width = SIZES[index % 3]
        for view in range(2):
            x0, y0, x1, y1 = batch["rectangles"][place, view].tolist()
            expected = [[width / (x1 - x0), 0, -x0 / (x1 - x0)], [0, height / (y1 - y0), -y0 / (y1 - y0)]]
            torch.testing.assert_close(batch["transforms"][view][place], torch.tensor(expected))


def test_what_cannot_live_on_the_device_is_refused(folder: Path):
    with pytest.raises(ValueError, match="set augment='device'"):
        resident(folder, RandomCrop(), augment=ReferenceAugmentation())
    with pytest.raises(ValueError, match="takes only images, with one of ccrop's own crops as the only"):
        of_views(folder, ScatterBoxes(), CropViews(RandomCrop(), 16))

    class Own(RandomCrop):
        """Whatever it draws for single images, a batch would not know."""

    with pytest.raises(ValueError, match="one of ccrop's own crops as the only"):
        resident(folder, Own())
    with pytest.raises(ValueError, match="images may have 1 boxes, but SceneViews expects at most 0"):
        next(iter(of_views(folder, SceneViews(ScenePair(side=12), 16, max_boxes=0))))


def test_the_image_in_place_of_an_unreadable_one_keeps_its_own_index_and_boxes(folder: Path):
    (folder / "04.png").write_bytes(b"damaged")  # the even ones have no box
    loader = of_views(folder, SceneViews(ScenePair(side=12), 16, max_boxes=3))
    assert loader.sources.tolist() == [0, 1, 2, 3, 5, *range(5, 37)]
    batch = loader._batch(torch.tensor([3, 4, 6]), np.random.default_rng(0))
    assert batch["index"].tolist() == [3, 5, 6]
    assert batch["counts"].tolist() == [1, 1, 0]


def test_images_that_do_not_fit_are_refused(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("ccrop.datasets.resident._free", lambda device: 2 * 37 * 3 * 24 * 30 - 1)
    message = r"37 images of up to 24 x 30 px take 0\.0 GB, more than half .* set train_dataloader\.resident to False"
    with pytest.raises(ValueError, match=message):
        resident(folder, RandomCrop())


def test_images_that_do_not_fit_into_the_memory_of_the_machine_are_refused(folder: Path):
    Image.new("RGB", (9000, 9000)).save(folder / "36.png")
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    times = 1 + total // (2 * 37 * 3 * 9000**2)
    for number in range(37, 37 * times):
        (folder / f"{number:02d}.png").hardlink_to(folder / "00.png")
    with pytest.raises(
        ValueError, match=r"images of up to 9000 x 9000 px take .* GB, more than half .* memory of cpu \("
    ):
        resident(folder, RandomCrop())


def test_a_resumed_run_ends_as_an_unbroken_one(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(checkpointed_boxes, "INSIDE", 0)  # so that the boxes lie beside the checkpoints
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
