"""Detections in sweeps without labels, from a detector with random weights to files and back."""

import csv
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from jobs import ROOT
from matplotlib.collections import LineCollection
from matplotlib.colors import to_hex
from mmengine.config import Config
from mmengine.registry import MODELS

from ccrop.checkpoint.recorded_config import as_data
from ccrop.projects.lidar_bev.datasets import SweepFolder, read_sweep
from ccrop.projects.lidar_bev.datasets.kitti_format import read_calibration, read_objects
from ccrop.projects.lidar_bev.evaluation.center_ap import Detections
from ccrop.projects.lidar_bev.pictures import color_of
from ccrop.projects.lidar_bev.predict import chosen_columns, picture, sweeps_of
from ccrop.tools import predict as command
from ccrop.transfer.prediction import Request, load_detector

CONFIG = ROOT / "projects/lidar_bev/configs/centerpoint_pillar_demo.py"
LEAST = 0.12  # about half of the detector's scores are higher
CAMERA_AHEAD = """P2: 700 0 600 0 0 700 180 0 0 0 1 0
R0_rect: 1 0 0 0 1 0 0 0 1
Tr_velo_to_cam: 0 -1 0 0 0 0 -1 -0.1 1 0 0 -0.3
"""


@pytest.fixture(scope="module")
def detector(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A work_dir as a fine-tuning leaves it."""
    folder = tmp_path_factory.mktemp("detector")
    config = Config.fromfile(CONFIG)
    config.merge_from_dict({"model.backbone.grid.low": (-12, -12, -3), "model.backbone.grid.high": (12, 12, 1.8)})
    config.dump(folder / "centerpoint.py")
    torch.manual_seed(2)
    model = MODELS.build(Config.fromfile(folder / "centerpoint.py").model)
    torch.nn.init.normal_(model.head.heatmaps[-1].weight, std=2.0)  # scores that differ
    torch.save(dict(state_dict=model.state_dict(), meta={}, config=as_data(config)), folder / "iter_1.pth")
    return folder


@pytest.fixture
def sweeps(tmp_path: Path) -> Path:
    """The same points in three files of three kinds, and a file that is cut off."""
    folder = tmp_path / "sweeps"
    (folder / "drive").mkdir(parents=True)
    points = np.random.default_rng(0).uniform([-12, -12, -2, 0], [12, 12, 1, 1], (4000, 4)).astype(np.float32)
    points.tofile(folder / "a.bin")
    np.save(folder / "drive/b.npy", points)
    header = "VERSION 0.7\nFIELDS x y z intensity\nSIZE 4 4 4 4\nTYPE F F F F\nPOINTS 4000\nDATA binary\n"
    (folder / "drive/c.pcd").write_bytes(header.encode() + points.tobytes())
    (folder / "drive/d.bin").write_bytes(b"1234567")
    return folder


def test_a_folder_is_predicted(detector: Path, sweeps: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "out"
    arguments = [
        detector,
        sweeps,
        "--to",
        "csv",
        "kitti",
        "nuscenes",
        "--min-score",
        LEAST,
        "--pictures",
        2,
        "--out",
        out,
    ]
    assert command.main(list(map(str, arguments))) == 0
    rows = list(csv.DictReader((out / "predictions.csv").open()))
    last = f"{out}: {len(rows)} boxes with a score of at least 0.12 in 3 of 4 sweeps"
    assert capsys.readouterr().out.splitlines()[-1] == last

    _, model = load_detector(detector, "sweeps", MODELS.build)
    (every,) = model([torch.from_numpy(read_sweep(sweeps / "a.bin"))], mode="predict")
    kept = every.scores >= LEAST
    assert 0 < kept.sum() < len(kept)
    for name in ("a.bin", "drive/b.npy", "drive/c.pcd"):
        own = [row for row in rows if row["file"] == name]
        found = [[float(row[key]) for key in ("x", "y", "z", "dx", "dy", "dz", "heading", "score")] for row in own]
        np.testing.assert_allclose(found, np.column_stack([every.boxes, every.scores])[kept], atol=6e-4)
        assert [row["class"] for row in own] == [model.classes[label] for label in every.labels[kept]]
        file = Path("_".join(Path(name).with_suffix(".txt").parts))
        objects = read_objects(out / "kitti/label_2" / file, read_calibration(out / "kitti/calib" / file))
        np.testing.assert_allclose(objects.boxes[:, :6], every.boxes[kept, :6], atol=0.011)
        assert objects.names == [row["class"] for row in own]
    results = json.loads((out / "nuscenes.json").read_text())["results"]
    assert {name: len(boxes) for name, boxes in results.items()} == dict.fromkeys(results, kept.sum())
    assert sorted(file.name for file in (out / "pictures").iterdir()) == ["000000_a.png"]  # the last one is cut off
    assert re.findall('data-name="(.*)">', (out / "sweeps.html").read_text()) == ["a.bin"]


def test_a_detector_that_was_not_tested_reads_sweeps_as_in_training(sweeps: Path, tmp_path: Path):
    config = Config(
        dict(
            test_dataset=None,
            train_dataloader=dict(dataset=dict(type=SweepFolder, columns=[*"xyz", "ring"], intensity_scale=255.0)),
            model=dict(backbone=dict(columns=4)),
        )
    )
    request = Request(Path("run"), None, sweeps, None, ["csv"], 0.3, 0)
    dataset = sweeps_of(config, torch.nn.Identity(), request)
    assert (dataset.columns, dataset.intensity_scale) == ((*"xyz", "ring"), 255.0)
    with pytest.raises(ValueError, match="--split val: run learned sweeps of a folder, which has no splits: omit"):
        sweeps_of(config, torch.nn.Identity(), replace(request, split="val"))


def test_one_file_and_other_columns(detector: Path, sweeps: Path, tmp_path: Path):
    points = np.load(sweeps / "drive/b.npy")
    renamed = np.column_stack([points[:, :3], np.arange(4000), 255 * points[:, 3]]).astype(np.float32)
    renamed.tofile(tmp_path / "e.bin")
    columns = ("--columns", "x", "y", "z", "ring", "intensity", "--intensity-scale", "255")
    found = []
    for source, options in ((sweeps / "a.bin", ()), (tmp_path / "e.bin", columns)):
        out = tmp_path / f"of_{source.stem}"
        settings = ("--min-score", str(LEAST), "--pictures", "0", "--out", str(out), *options)
        assert command.main([str(detector / "iter_1.pth"), str(source), *settings]) == 0
        assert [file.name for file in out.iterdir()] == ["predictions.csv"]
        found.append(
            [
                [float(value) for value in list(row.values())[2:]]
                for row in csv.DictReader((out / "predictions.csv").open())
            ]
        )
    np.testing.assert_allclose(*found, atol=2e-3)


def test_a_split_has_its_own_calibration(detector: Path, sweeps: Path, tmp_path: Path):
    base, out = tmp_path / "kitti/training", tmp_path / "out"
    for folder in (base / "velodyne", base / "calib", tmp_path / "kitti/ImageSets"):
        folder.mkdir(parents=True)
    for name in ("000003", "000005"):
        (base / f"velodyne/{name}.bin").write_bytes((sweeps / "a.bin").read_bytes())
        (base / f"calib/{name}.txt").write_text(CAMERA_AHEAD)
    (tmp_path / "kitti/ImageSets/val.txt").write_text("000005")
    arguments = [detector, tmp_path / "kitti", "--split", "val", "--to", "kitti", "csv", "--min-score", LEAST]
    assert command.main([*map(str, arguments), "--pictures", "0", "--out", str(out)]) == 0
    boxes = [
        [float(row[key]) for key in ("x", "y", "z", "dx", "dy", "dz")]
        for row in csv.DictReader((out / "predictions.csv").open())
        if row["file"] == "000005.bin"
    ]
    assert [file.name for file in (out / "kitti").rglob("*")] == ["label_2", "000005.txt"]
    objects = read_objects(out / "kitti/label_2/000005.txt", read_calibration(base / "calib/000005.txt"))
    assert 0 < len(objects.names) < len(boxes)  # what the camera sees
    distances = abs(objects.boxes[:, None, :6] - np.array(boxes)).max(axis=2)
    assert distances.min(axis=1).max() < 0.011
    assert (objects.boxes[:, 0] + objects.boxes[:, 3:5].sum(axis=1) / 2 > 0).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["none"], "none does not exist: pass a sweep, a folder, or with --split a data set"),
        (["sweeps", "--to", "coco"], "--to coco applies to images, but {detector} takes sweeps: csv, kitti, nuscenes"),
        (
            ["sweeps", "--columns", "x", "y", "z"],
            "the detector takes x, y, z, intensity, but --columns lists x, y, z: ",
        ),
        (
            ["sweeps", "--split", "val", "--columns", "x"],
            "--columns and --intensity-scale apply to files and folders; ",
        ),
        (["sweeps", "--split", "val"], "sweeps/training has no sweeps; expected layout: "),
        (["sweeps/drive/d.bin"], "sweeps/drive/d.bin: none of 1 sweeps is readable; the first: "),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(
    detector: Path,
    sweeps: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    message: str,
):
    monkeypatch.chdir(sweeps.parent)
    assert command.main([str(detector), *options]) == 2
    error = capsys.readouterr().err
    assert f": {message.format(detector=detector)}".rstrip() in error
    assert [file.name for file in sweeps.parent.iterdir()] == ["sweeps"]


def test_columns_take_the_places_of_the_detectors(detector: Path):
    config, model = load_detector(detector, "sweeps", MODELS.build)
    assert chosen_columns(config, model, ["x", "y", "z", "reflectivity"]) == (["x", "y", "z", "reflectivity"],) * 2
    named = ["x", "y", "z", "ring", "intensity"]
    assert chosen_columns(config, model, named) == (named, ["x", "y", "z", "intensity"])
    config.model.backbone.columns = 5
    with pytest.raises(
        ValueError, match="5 values per point are expected, but files have x, y, z, intensity: use --split"
    ):
        chosen_columns(config, model, None)


def test_the_most_confident_of_boxes_in_one_place_is_on_top(detector: Path):
    _, model = load_detector(detector, "sweeps", MODELS.build)
    boxes = np.tile(np.array([[3, 2, -1, 4, 2, 1.5, 0]], np.float32), (3, 1))
    found = Detections(boxes, np.array([0.4, 0.9, 0.5]), np.array([0, 1, 2]))
    axes = picture(dict(points=np.zeros((0, 4))), found, model, "a").axes[0]
    outlines = next(each for each in axes.collections if isinstance(each, LineCollection))
    drawn = [to_hex(color) for color in outlines.get_color()]
    assert drawn == [color_of(label) for label in (0, 2, 1)]
