"""Scalars are read as they were logged."""

import json
from pathlib import Path

import numpy as np
import pytest
from torch.utils.tensorboard import SummaryWriter

from ccrop.report.scalars import logged_lines, seconds_by_epoch, tensorboard_scalars


def test_scalars_come_by_tag_and_step_and_pictures_are_passed_over(tmp_path: Path):
    with SummaryWriter(str(tmp_path / "a/vis_data")) as writer:
        writer.add_scalar("epoch/loss", 0.5, 1, walltime=100)
        writer.add_image("gallery", np.random.default_rng(0).random((3, 300, 300)), 1)
        writer.add_scalar("epoch/loss", 0.25, 2, walltime=130)
        writer.add_scalar("roi/s8_small", 0.75, 2)
    assert tensorboard_scalars(tmp_path, "epoch/") == {"loss": {1: 0.5, 2: 0.25}}
    assert tensorboard_scalars(tmp_path, "roi/") == {"s8_small": {2: 0.75}}
    assert seconds_by_epoch(tmp_path) == {2: 30}


def test_a_record_that_was_cut_off_does_not_count(tmp_path: Path):
    with SummaryWriter(str(tmp_path)) as writer:
        for step in (1, 2):
            writer.add_scalar("epoch/loss", step / 4, step)
    (file,) = tmp_path.glob("events*")
    file.write_bytes(file.read_bytes()[:-3])
    assert tensorboard_scalars(tmp_path, "epoch/") == {"loss": {1: 0.25}}


def test_a_folder_without_a_log_is_named(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match="holds no run's TensorBoard log"):
        tensorboard_scalars(tmp_path, "epoch/")


def test_lines_of_a_detector_are_numbers_by_iteration(tmp_path: Path):
    (tmp_path / "1/vis_data").mkdir(parents=True)
    lines = [dict(loss=2.0, iter=1, step=1, note="x"), dict(loss=1.0, lr=0.1, iter=50, step=50)]
    (tmp_path / "1/vis_data/scalars.json").write_text("\n".join(map(json.dumps, lines)) + "\n")
    assert logged_lines(tmp_path) == {"loss": {1: 2.0, 50: 1.0}, "lr": {50: 0.1}}
    assert logged_lines(tmp_path / "1") == {}
