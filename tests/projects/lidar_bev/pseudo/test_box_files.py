import json
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config

from ccrop.projects.lidar_bev.datasets import SweepFolder
from ccrop.projects.lidar_bev.pseudo.box_files import PseudoLabels, content_of, learn_file

PATHS = ["a.bin", "b.bin"]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Three boxes in the first sweep, none in the second."""
    boxes = np.arange(21.0).reshape(3, 7)
    boxes[:, 3:6] = 2
    found = {0: (boxes, np.array([0.5, 0.9, 0.7]), np.array([1.0, 0.0, 1.0]))}
    path = tmp_path / "boxes.json"
    path.write_text(json.dumps(content_of(PATHS, found)))
    return path


def test_the_best_boxes_of_a_sweep_as_labels(file: Path):
    points = np.array([[7.0, 8, 9, 0], [7.5, 8, 9, 0], [0, 1, 2, 0], [50, 50, 0, 0]], np.float32)
    sample = PseudoLabels(file, 2)(dict(points=points, index=0))
    assert sample["boxes"][:, :3].tolist() == [[7, 8, 9], [14, 15, 16]]  # by score
    assert sample["boxes"].dtype == np.float32
    assert sample["heading_weights"].tolist() == [0, 1]
    assert sample["num_points"].tolist() == [2, 0]
    assert sample["labels"].tolist() == [0, 0]
    empty = PseudoLabels(file, 2)(dict(points=points, index=1))
    assert empty["boxes"].shape == (0, 7)
    assert empty["heading_weights"].shape == (0,)
    with pytest.raises(ValueError, match="max_boxes must be at least 1, got 0"):
        PseudoLabels(file, 0)


def test_a_file_of_other_sweeps_is_refused(file: Path, tmp_path: Path):
    (tmp_path / "sweeps").mkdir()
    np.zeros((4, 4), np.float32).tofile(tmp_path / "sweeps/c.bin")
    dataset = dict(type=SweepFolder, data_root=str(tmp_path / "sweeps"), pipeline=[])
    config = Config(dict(train_dataloader=dict(dataset=dataset)))
    with pytest.raises(
        ValueError, match=r"boxes.json has boxes of 2 sweeps other than those of .*run without --resume"
    ):
        learn_file(config, file, 2)
