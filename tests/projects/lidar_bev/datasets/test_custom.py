"""Own labeled sweeps: boxes as the files have them, splits, and what is wrong in a file."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from jobs import ROOT
from mmengine.registry import DATASETS, MODELS

from ccrop.datasets import MissingData
from ccrop.projects.lidar_bev.datasets import OTHER, CustomSweeps
from ccrop.projects.lidar_bev.finetune import load_config

CAR = "10 2 -1 4 2 1.5 0.3 Car"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for folder in ("points", "labels", "ImageSets"):
        (tmp_path / folder).mkdir()
    points = np.array([[10, 2, -1, 51], [0, 9, 0, 255]], np.float32)
    points.tofile(tmp_path / "points/a.bin")
    np.save(tmp_path / "points/b.npy", points[:1])
    (tmp_path / "labels/a.txt").write_text(f"{CAR}\n\n0 9 0 1 1 2 0 traffic cone\n")
    (tmp_path / "labels/b.txt").write_text("")
    (tmp_path / "ImageSets/train.txt").write_text("a\n")
    (tmp_path / "ImageSets/val.txt").write_text("b\na\n")
    return tmp_path


def test_boxes_are_those_of_the_files(root: Path):
    dataset = CustomSweeps(root, "train", labeled=True, classes=("Van", "Car"), intensity_scale=255)
    sample = dataset[0]
    np.testing.assert_allclose(sample["boxes"], [[10, 2, -1, 4, 2, 1.5, 0.3], [0, 9, 0, 1, 1, 2, 0]], rtol=1e-6)
    assert sample["labels"].tolist() == [1, OTHER]
    assert sample["num_points"].tolist() == [1, 1]
    np.testing.assert_allclose(sample["points"][:, 3], [0.2, 1])
    assert dataset.object_names(0) == ["Car", "traffic cone"]


def test_splits_and_all(root: Path):
    for split, names in ((None, ["a", "b"]), ("val", ["b", "a"]), ("train", ["a"])):
        dataset = CustomSweeps(root, split)
        assert [dataset.get_data_info(index)["name"] for index in range(len(dataset))] == names
    assert CustomSweeps(root, "val", labeled=True)[0]["boxes"].shape == (0, 7)
    assert "boxes" not in CustomSweeps(root)[0]


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("labels/a.txt", "10 2 -1 4 2 1.5 0.3", "labels/a.txt, line 1: expected x y z dx dy dz heading class"),
        ("labels/a.txt", f"{CAR}\nCar 1 2 3 4 5 6 7", "labels/a.txt, line 2: expected x y z dx dy dz heading class"),
        ("labels/a.txt", "10 2 -1 4 0 1.5 0.3 Car", "with sizes above 0, got '10 2 -1 4 0 1.5 0.3 Car'"),
        ("labels/a.txt", "10 nan -1 4 2 1.5 0.3 Car", "labels/a.txt, line 1: expected"),
        ("ImageSets/train.txt", "c", "lacks 1 of the 1 sweeps of split 'train', the first is c: add them"),
        ("points/a.npy", "", "has a.bin and a.npy, two sweeps with the same name: remove one"),
    ],
)
def test_what_is_wrong_is_named(root: Path, file: str, text: str, message: str):
    (root / file).write_text(text)
    with pytest.raises((ValueError, MissingData), match=re.escape(message)):
        CustomSweeps(root, "train", labeled=True)[0]


def test_what_is_missing_is_named(root: Path):
    (root / "labels/a.txt").unlink()
    with pytest.raises(ValueError, match=r"labels/a\.txt: label file not found: add it, empty if"):
        CustomSweeps(root, "train", labeled=True)[0]
    with pytest.raises(
        MissingData, match=r"ImageSets/test\.txt is not a file \(split=None takes all sweeps\); expected"
    ):
        CustomSweeps(root, "test")
    with pytest.raises(MissingData, match="points is not a folder; expected layout"):
        CustomSweeps(root / "points")


def test_the_config_trains_a_step_on_them(root: Path):
    small = {"model.backbone.size": "small", "model.backbone.grid.low": (-12.8, -12.8, -3)}
    small |= {"model.backbone.grid.high": (12.8, 12.8, 1.8)}
    config = load_config(ROOT / "projects/lidar_bev/configs/centerpoint_pillar_custom.py", root, small)
    sample = DATASETS.build(config.train_dataloader.dataset)[0]
    assert sample["labels"].tolist() == [0, OTHER]
    torch.manual_seed(0)
    model = MODELS.build(config.model)
    losses = model(**{name: [value] for name, value in sample.items()}, mode="loss")
    assert all(loss.isfinite() and loss > 0 for loss in losses.values())


def test_labels_are_positions_in_the_models_classes(root: Path):
    options = {"model.classes": ("traffic cone", "Car"), "model.distances": (0.5, 2.0)}
    config = load_config(ROOT / "projects/lidar_bev/configs/centerpoint_pillar_custom.py", root, options)
    train, test = (
        DATASETS.build(dict(each, pipeline=[])) for each in (config.train_dataloader.dataset, config.test_dataset)
    )
    assert train[0]["labels"].tolist() == test[1]["labels"].tolist() == [1, 0]
