"""The pictures of a checkpoint as a user asks for them."""

from pathlib import Path

import numpy as np
import torch
from jobs import call, tool
from PIL import Image

from ccrop.compat.safe_checkpoint import load_checkpoint
from ccrop.inference.contact_sheet import BOX_COLOR, CHART_HEIGHT, GAP, HEADER, PANEL_HEIGHT, VIEW_COLORS


def test_it_draws_a_checkpoint_with_nothing_but_its_path(pretrained: Path, tmp_path: Path):
    done = call(tool("visualize.py", pretrained, "--images", "5"), tmp_path)
    assert done.returncode == 0, done.stdout
    with Image.open(tmp_path / "gallery.png") as picture:
        width, height = picture.size
    assert width > 1000
    assert height > 3 * 144  # five images in two columns


def test_it_draws_several_objects_of_fused_levels_with_the_ratio_kept(pretrained: Path, tmp_path: Path):
    localizer = "default_hooks.localization.localizer"
    options = ("--cfg-options", f"{localizer}.type=ccrop.localization.MultiObject", f"{localizer}.levels=[0,1,2]")
    options += ("model.backbone.out_indices=[1,2,3]", "default_hooks.localization.keep_ratio=True")
    options += (f"{localizer}.threshold=0.4", "default_hooks.localization.image_size=[128,192]")
    command = tool("visualize.py", pretrained, "--images", "4", *options)
    done = call(command, tmp_path)
    assert done.returncode == 0, done.stdout
    with Image.open(tmp_path / "gallery.png") as picture:
        pixels = np.asarray(picture.convert("RGB"))
    assert (pixels[-CHART_HEIGHT:] == BOX_COLOR).all(axis=2).any()  # bars

    done = call([*command, "model.backbone.out_indices=[3]"], tmp_path)
    assert done.returncode == 2
    assert "no level 1 among the backbone's 1" in done.stdout
    assert "Traceback" not in done.stdout


def test_a_run_that_does_not_localize_has_no_boxes(pretrained: Path, tmp_path: Path):
    options = ("--images", "2", "--cfg-options", "default_hooks.localization=None")
    done = call(tool("visualize.py", pretrained, *options), tmp_path)
    assert done.returncode == 0, done.stdout
    with Image.open(tmp_path / "gallery.png") as picture:
        assert picture.height == HEADER + PANEL_HEIGHT + GAP
        pixels = np.asarray(picture.convert("RGB"))[HEADER:]
    assert (pixels == VIEW_COLORS[0]).all(axis=2).sum() > 1000
    assert not (pixels == BOX_COLOR).all(axis=2).any()


def test_other_images_can_be_looked_at(pretrained: Path, tmp_path: Path):
    Image.new("RGB", (50, 40), "teal").save(tmp_path / "one.png")
    (tmp_path / "train").mkdir()
    (tmp_path / "one.png").rename(tmp_path / "train/one.png")
    done = call(tool("visualize.py", pretrained, "--data-root", tmp_path, "--out", "one.png"), tmp_path)
    assert done.returncode == 0, done.stdout
    with Image.open(tmp_path / "one.png") as picture:
        assert picture.getpixel((100, 100)) != picture.getpixel((0, 0))


def test_without_a_config_it_asks_for_one(pretrained: Path, tmp_path: Path):
    content = load_checkpoint(pretrained)
    torch.save(dict(state_dict=content["state_dict"]), tmp_path / "lost.pth")
    done = call(tool("visualize.py", tmp_path / "lost.pth"), tmp_path)
    assert done.returncode == 2
    assert "--config" in done.stdout
