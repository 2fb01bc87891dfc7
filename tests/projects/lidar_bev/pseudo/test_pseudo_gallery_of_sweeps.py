"""A picture of the boxes that a detector of sweeps learns, on the sweeps and in its training samples."""

import json
from pathlib import Path

import numpy as np
from jobs import ROOT
from mmengine.registry import DATASETS
from PIL import Image, ImageColor

from ccrop.projects.lidar_bev.finetune import load_config
from ccrop.projects.lidar_bev.pseudo.box_files import content_of, learn_file
from ccrop.projects.lidar_bev.pseudo.pseudo_gallery import KNOWN, UNKNOWN, save_gallery

CONFIG = ROOT / "projects/lidar_bev/configs/centerpoint_pseudo_folder.py"


def pixels(picture: Image.Image, color: str) -> int:
    """How many pixels have nearly this color."""
    apart = np.asarray(picture.convert("RGB")).astype(int) - ImageColor.getrgb(color)
    return int((abs(apart).max(axis=-1) < 40).sum())


def drawn(root: Path, weights: list[float]) -> Image.Image:
    """The picture of two sweeps, the first of which has a box for each weight."""
    config = load_config(CONFIG, root)
    sweeps = DATASETS.build(config.train_dataloader.dataset | dict(pipeline=[]))
    boxes = np.array([[0, 8 * number, 0, 4, 2, 1.5, 0.5] for number in range(len(weights))]).reshape(-1, 7)
    content = content_of(sweeps.paths(), {0: (boxes, np.ones(len(boxes)), np.array(weights))})
    (root / "boxes.json").write_text(json.dumps(content))
    learn_file(config, root / "boxes.json", 8)
    save_gallery(config, root / "gallery.png")
    return Image.open(root / "gallery.png")


def test_boxes_have_the_color_of_what_is_known_of_their_axes(tmp_path: Path):
    points = np.random.default_rng(0).uniform((-20, -20, -1, 0), (20, 20, 1, 1), (500, 4)).astype(np.float32)
    for name in ("a.bin", "b.bin"):
        points.tofile(tmp_path / name)
    nothing, known, both = (drawn(tmp_path, weights) for weights in ([], [1], [1, 0]))
    assert nothing.size == (960, 1008)  # a column per sweep: the sweep, and below it the training sample
    legend = [pixels(nothing, color) for color in (KNOWN, UNKNOWN)]
    assert pixels(known, KNOWN) > legend[0] + 20
    assert pixels(known, UNKNOWN) == legend[1]
    assert pixels(both, UNKNOWN) > legend[1] + 20
