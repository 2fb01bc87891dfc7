"""Detections in images without labels, from a detector with random weights to files and back."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from jobs import ROOT
from mmdet.apis import DetInferencer
from PIL import Image

from ccrop.datasets import read_image
from ccrop.projects.detection_transfer.finetune import load_config
from ccrop.projects.detection_transfer.inference import ImageDetections, load_detector
from ccrop.projects.detection_transfer.predict import DetectedImage, batches, coco_file, csv_file, list_source
from ccrop.projects.detection_transfer.pseudo_boxes import use_pseudo_boxes
from ccrop.tools import predict as command

CONFIG = ROOT / "projects/detection_transfer/configs/tiles_r18.py"


@pytest.fixture
def photos(tmp_path: Path, demo_root: Path) -> Path:
    """A nested folder of three images of two shapes, and a damaged one."""
    folder = tmp_path / "photos"
    (folder / "day 1").mkdir(parents=True)
    for number, file in enumerate(sorted((demo_root / "val2017").iterdir())[:3]):
        Image.open(file).convert("RGB").resize((96, 64 + 32 * (number == 2))).save(folder / f"day 1/{number}.png")
    (folder / "damaged.jpg").write_bytes(b"\xff\xd8\xff")
    return folder


def test_a_folder_is_predicted(detector: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    arguments = [
        detector,
        photos,
        "--to",
        "coco",
        "csv",
        "--min-score",
        0.001,
        "--pictures",
        9,
        "--out",
        tmp_path / "o",
    ]
    assert command.main(list(map(str, arguments))) == 0
    output = capsys.readouterr()
    content = json.loads((tmp_path / "o/coco.json").read_text())
    rows = list(csv.DictReader((tmp_path / "o/predictions.csv").open()))
    number = len(content["annotations"])
    assert number > 3
    line = f"{tmp_path / 'o'}: {number:,} boxes with a score of at least 0.001 in 3 of 4 images"
    assert output.out.splitlines()[-1] == line
    assert [(each["file_name"], each["width"], each["height"]) for each in content["images"]] == [
        ("day 1/0.png", 96, 64), ("day 1/1.png", 96, 64), ("day 1/2.png", 96, 96),
    ]  # fmt: skip
    classes = load_detector(detector)[1].dataset_meta["classes"]
    assert [each["name"] for each in content["categories"]] == list(classes)
    assert [each["id"] for each in content["annotations"]] == list(range(1, number + 1))
    names = {each["id"]: each["file_name"] for each in content["images"]}
    for row, each in zip(rows, content["annotations"], strict=True):
        assert row["file"] == names[each["image_id"]]
        assert row["category"] == classes[each["category_id"] - 1]
        assert float(row["score"]) == pytest.approx(each["score"], abs=1e-4)
        assert float(row["x1"]) == pytest.approx(each["bbox"][0] + each["bbox"][2], abs=0.01)
        assert each["score"] >= 0.001
    pictures = sorted(file.name for file in (tmp_path / "o/pictures").iterdir())
    assert pictures == ["000001_day 1_0.jpg", "000002_day 1_1.jpg", "000003_day 1_2.jpg"]
    assert sorted(file.name for file in tmp_path.iterdir()) == ["o", "photos"]

    alone = [detector / "iter_1.pth", photos / "day 1/2.png", "--min-score", 0.001, "--pictures", 0, "--out", "p"]
    alone[-1] = tmp_path / "p"
    assert command.main(list(map(str, alone))) == 0
    own = [list(row.values())[1:] for row in rows if row["file"] == "day 1/2.png"]
    assert [list(row.values())[1:] for row in csv.DictReader((tmp_path / "p/predictions.csv").open())] == own
    assert not (tmp_path / "p/pictures").exists()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (dict(detector="none"), "none does not exist: pass a fine-tuning run's work_dir, or one of its checkpoints"),
        (dict(source="none"), "none does not exist: pass an image or a folder"),
        (dict(out="photos"), "photos exists: choose another folder, or remove it"),
        (dict(to="kitti"), "--to kitti applies to sweeps, but {detector} takes images: csv, coco"),
        (dict(columns="x"), "--columns and --intensity-scale apply to sweeps, but {detector} takes images"),
        (dict(split="val"), "photos has no images of split 'val'; expected layout: "),
        (dict(source="photos/damaged.jpg"), "photos: none of 1 images can be read; the first: photos/damaged.jpg: "),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(
    detector: Path,
    photos: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    changed: dict[str, str],
    message: str,
):
    monkeypatch.chdir(photos.parent)
    given = dict(detector=str(detector), source="photos") | changed
    options = [
        word for name, value in given.items() if name not in ("detector", "source") for word in (f"--{name}", value)
    ]
    assert command.main([given["detector"], given["source"], *options]) == 2
    error = capsys.readouterr().err
    assert f": {message.format(detector=detector)}".rstrip() in error
    assert [file.name for file in photos.parent.iterdir()] == ["photos"]


def test_boxes_of_a_file_are_learned_as_pseudo_boxes(demo_root: Path, tmp_path: Path):
    _, names = list_source(demo_root, "train", 3)
    boxes = torch.tensor([[1.0, 2, 21, 32], [5.5, 6, 25.25, 16]])
    with coco_file(tmp_path, ("circle", "square")) as add:
        for name in names[:2]:
            size = read_image(demo_root / "train2017" / name).size
            add(DetectedImage(name, size, ImageDetections(boxes, torch.tensor([0.9, 0.5]), torch.tensor([1, 0]))))
        add(DetectedImage(names[2], size, ImageDetections(boxes[:0], torch.zeros(0), torch.zeros(0, dtype=torch.long))))
    config = load_config(CONFIG, demo_root, labeled=False)
    use_pseudo_boxes(config, tmp_path / "coco.json", tmp_path / "learned", max_boxes=1)
    learned = json.loads((tmp_path / "learned/pseudo_boxes_train.json").read_text())
    assert [(each["image_id"], each["bbox"], each["score"]) for each in learned["annotations"]] == [
        (1, [1, 2, 20, 30], 0.9), (2, [1, 2, 20, 30], 0.9),
    ]  # fmt: skip
    assert [each["file_name"] for each in learned["images"]] == names[:3]
    written = json.loads((tmp_path / "coco.json").read_text())
    assert [each["category_id"] for each in written["annotations"]] == [2, 1, 2, 1]
    assert written["annotations"][1]["area"] == 19.75 * 10


def test_rows_have_corners_in_pixels(tmp_path: Path):
    found = ImageDetections(torch.tensor([[1.0, 2, 21.256, 32]]), torch.tensor([0.9871]), torch.tensor([1]))
    with csv_file(tmp_path, ("a", "b,c")) as add:
        add(DetectedImage("x.png", (50, 50), found))
    lines = (tmp_path / "predictions.csv").read_text().splitlines()
    assert lines == ["file,category,score,x0,y0,x1,y1", 'x.png,"b,c",0.9871,1.00,2.00,21.26,32.00']


def test_batches_are_of_one_shape_and_in_order():
    shapes = [8, 8, 8, 9, 8, 8]
    samples = [dict(number=number, inputs=torch.zeros(3, 4, side)) for number, side in enumerate(shapes)]
    assert [[each["number"] for each in batch] for batch in batches(samples, 2)] == [[0, 1], [2], [3], [4, 5]]


def test_mmdets_inferencer_finds_what_predict_finds(detector: Path, photos: Path, tmp_path: Path):
    image = photos / "day 1/2.png"
    inferencer = DetInferencer(
        str(next(detector.glob("*.py"))), str(detector / "iter_1.pth"), device="cpu", show_progress=False
    )
    result = inferencer(str(image), out_dir=str(tmp_path / "inferred"), pred_score_thr=0.0)["predictions"][0]
    assert (tmp_path / "inferred/vis/2.png").is_file()
    arguments = [detector, image, "--min-score", 0.001, "--pictures", 0, "--out", tmp_path / "o"]
    assert command.main(list(map(str, arguments))) == 0
    rows = list(csv.DictReader((tmp_path / "o/predictions.csv").open()))
    kept = sorted((score for score in result["scores"] if score >= 0.001), reverse=True)
    assert len(rows) == len(kept) > 0
    np.testing.assert_allclose([float(row["score"]) for row in rows], kept, atol=1e-4)


def test_the_guide_imports_mmdet_so_that_it_works_without_compiled_operators():
    lines = (line.strip() for line in (ROOT / "docs/fine_tuning.md").read_text().splitlines())
    imports = [line for line in lines if line.startswith(("import ", "from "))]
    assert "from mmdet.apis import DetInferencer" in imports
    subprocess.run([sys.executable, "-c", "\n".join(imports)], check=True)
