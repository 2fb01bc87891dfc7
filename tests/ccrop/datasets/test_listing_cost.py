"""COCO's train split has 118,287 images; its list must load fast and be shared by the workers."""

import os
import re
import shutil
import tempfile
import time
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from ccrop.datasets import CocoImages

NUM_IMAGES = 118_287
MEMORY = Path("/dev/shm")  # a file system in memory: on some disks this many files take a minute
SMAPS = Path("/proc/self/smaps_rollup")


@pytest.fixture
def coco():
    """A folder with as many (empty) files as COCO's train2017."""
    root = Path(tempfile.mkdtemp(dir=MEMORY))
    (root / "train2017").mkdir()
    folder = os.open(root / "train2017", os.O_RDONLY)
    try:
        for number in range(NUM_IMAGES):
            os.close(os.open(f"{number:012d}.jpg", os.O_CREAT | os.O_WRONLY, dir_fd=folder))
        yield root
    finally:
        os.close(folder)
        shutil.rmtree(root)


class ListedImages(CocoImages):
    """The list alone: nothing is decoded."""

    def read(self, info):
        return Image.new("RGB", (1, 1), (int(Path(info["path"]).stem) % 251, 0, 0))


def private_memory(batch):
    """Bytes that belong to this process alone, as a collate function, so measured in the worker."""
    right = all(sample["image"].getpixel((0, 0))[0] == sample["index"] % 251 for sample in batch)
    private = re.findall(r"^Private_\w+: +(\d+) kB", SMAPS.read_text(), re.M)
    return right, len(batch), 1024 * sum(map(int, private))


@pytest.mark.timing
@pytest.mark.skipif(not (MEMORY.is_dir() and SMAPS.exists()), reason="measures with Linux's means")
def test_coco_loads_in_2_s_and_costs_a_worker_at_most_200_mb(coco):
    start = time.perf_counter()
    dataset = ListedImages(coco)
    seconds = time.perf_counter() - start
    assert len(dataset) == NUM_IMAGES
    touched = torch.randperm(NUM_IMAGES, generator=torch.Generator().manual_seed(0))[:20_000].tolist()
    loader = DataLoader(dataset, sampler=touched, batch_size=2000, num_workers=2, collate_fn=private_memory)
    right, touched_by_workers, costs = zip(*loader, strict=True)
    print(f"\n{NUM_IMAGES} images: listed in {seconds:.2f} s, {max(costs) / 1e6:.1f} MB a worker")
    assert all(right)
    assert sum(touched_by_workers) == 20_000
    assert seconds <= 2
    assert 1e6 < max(costs) <= 200e6
