"""Images that the tools are tried on, and a run."""

from pathlib import Path

import numpy as np
import pytest
from jobs import ROOT, TINY, Once, call, tool
from PIL import Image


@pytest.fixture
def colors(tmp_path: Path) -> Path:
    """Class folders of reddish, greenish and bluish images of 32 px, 8 of each to train and 4 to test."""
    rng = np.random.default_rng(0)
    for split, number in (("train", 8), ("test", 4)):
        for channel, label in enumerate(("red", "green", "blue")):
            (tmp_path / split / label).mkdir(parents=True)
            for index in range(number):
                pixels = rng.integers(0, 80, (32, 32, 3), dtype=np.uint8)
                pixels[..., channel] += 150
                Image.fromarray(pixels).save(tmp_path / split / label / f"{index}.png")
    return tmp_path


@pytest.fixture(scope="session")
def pretrained(demo_root: Path, once: Once) -> Path:
    """The checkpoint of a run of one epoch on the demo set; its config is next to it."""

    def train(folder: Path) -> None:
        arguments = ("--data-root", demo_root, "--work-dir", "work", *TINY, "train_cfg.max_epochs=1")
        done = call(tool("train.py", ROOT / "configs/simsiam_single_demo.py", *arguments), folder)
        assert done.returncode == 0, done.stdout

    return once("pretrained", train) / "work/epoch_1.pth"
