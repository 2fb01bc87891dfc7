"""Pairs of 32 px views of a batch of 512 small images: a data set on the device versus a loader."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader

from ccrop.datasets import BoxStore, ImageFolder, SeededSampler
from ccrop.datasets.resident import ResidentBatches
from ccrop.tools.benchmarks.timing import Comparison
from ccrop.views import ContrastiveCrop, CropViews

IMAGES, SIDE = 512, 32
BOX = (0.1, 0.1, 0.9, 0.9, 1.0)


def comparisons() -> Iterator[Comparison]:
    with TemporaryDirectory() as root:
        rng = np.random.default_rng(0)
        for number in range(IMAGES):
            pixels = rng.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(Path(root, f"{number:03d}.png"))
        dataset = ImageFolder(root, pipeline=[CropViews(ContrastiveCrop(), SIDE)])
        dataset.boxes = BoxStore(IMAGES, 1, dataset.fingerprint())
        dataset.update_boxes(torch.tensor(BOX).repeat(IMAGES, 1, 1), torch.ones(IMAGES, dtype=torch.long))
        loader: DataLoader = DataLoader(dataset, IMAGES, sampler=SeededSampler(dataset))
        resident = ResidentBatches(loader, "cpu")
        yield Comparison(
            f"pairs of {SIDE} px views of a resident set",
            lambda: batch_of(resident),
            {"the same files by a loader": lambda: batch_of(loader)},
            "ms per image",
            IMAGES,
        )


def batch_of(loader: Any) -> dict[str, Any]:
    return next(iter(loader))
