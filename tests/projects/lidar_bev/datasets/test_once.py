"""ONCE's JSON files and sweeps, as its download has them."""

import json
from pathlib import Path

import numpy as np
import pytest

from ccrop.datasets import MissingData
from ccrop.projects.lidar_bev.datasets import OTHER, OnceSweeps


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for sequence, labeled in (("000076", True), ("000105", False)):
        folder = tmp_path / "data" / sequence / "lidar_roof"
        folder.mkdir(parents=True)
        frames = []
        for number in range(3):
            token = f"161653431900{number}"
            np.array([[10, 2, 0, 0.2], [5, 5, 0, 0.9]], np.float32).tofile(folder / f"{token}.bin")
            frame = dict(
                sequence_id=sequence, frame_id=token, timestamp=number, prev_id=None, next_id=None, pose=[0] * 7
            )
            if labeled and number != 1:
                boxes = [[10.0, 2, 0, 4, 2, 1.5, 0.3], [5, 6, 0, 1, 1, 1, -0.5]]
                frame["annos"] = dict(names=["Truck", "Tricycle"], boxes_3d=boxes, boxes_2d={})
            frames.append(frame)
        content = dict(meta_info={}, calib={}, frames=frames)
        (folder.parent / f"{sequence}.json").write_text(json.dumps(content))
    (tmp_path / "ImageSets").mkdir()
    (tmp_path / "ImageSets/train.txt").write_text("000076\n")
    (tmp_path / "ImageSets/raw_small.txt").write_text("000105\n")
    return tmp_path


def test_labeled_frames_alone_or_all(root: Path):
    dataset = OnceSweeps(root, "train", labeled=True)
    assert [Path(dataset.get_data_info(index)["path"]).stem[-1] for index in range(len(dataset))] == ["0", "2"]
    sample = dataset[0]
    np.testing.assert_allclose(sample["boxes"], [[10, 2, 0, 4, 2, 1.5, 0.3], [5, 6, 0, 1, 1, 1, -0.5]], rtol=1e-6)
    assert (sample["labels"].tolist(), sample["num_points"].tolist()) == ([2, OTHER], [1, 0])
    np.testing.assert_allclose(sample["points"][:, 3], [0.2, 0.9])
    assert dataset.object_names(1) == ["Truck", "Tricycle"]
    assert len(OnceSweeps(root, "raw_small")) == 3
    assert OnceSweeps(root).scenes() == ["000076"] * 3 + ["000105"] * 3


def test_what_is_missing_or_damaged_is_named(root: Path):
    with pytest.raises(MissingData, match=r"val\.txt is not a file \(split=None takes all sweeps\)"):
        OnceSweeps(root, "val")
    with pytest.raises(MissingData, match="no sweep found; expected layout"):
        OnceSweeps(root, "raw_small", labeled=True)
    (root / "data/000076/000076.json").write_text("{}")
    with pytest.raises(ValueError, match=r"000076\.json: damaged, or without frames"):
        OnceSweeps(root, "train")
    (root / "data/000076/000076.json").unlink()
    with pytest.raises(MissingData, match=r"000076\.json is not a file: unpack the sequence's annotations"):
        OnceSweeps(root, "train")
