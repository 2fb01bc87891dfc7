"""What a detector found on an image, matched with what is annotated."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ccrop.report.predictions import FALSE, HIT, MISSED, Found, draw, iou, marked, match, read_found


def test_overlaps_by_hand():
    first = np.array([[0.0, 0, 10, 10], [20, 20, 0, 0]])
    second = np.array([[0.0, 0, 10, 10], [5, 0, 10, 10], [50, 50, 5, 5]])
    np.testing.assert_allclose(iou(first, second), [[1, 50 / 150, 0], [0, 0, 0]])


def test_each_object_is_found_once_by_the_best_score_of_its_category():
    objects = np.array([[1, 0, 0, 10, 10, 100, 1, 0], [1, 30, 0, 10, 10, 100, 2, 0]], float)
    found = np.array(
        [
            [1, 1, 0, 10, 10, 0.6, 1],  # second best on the first object
            [1, 0, 0, 10, 10, 0.9, 1],
            [1, 30, 0, 10, 10, 0.8, 1],  # another category
            [1, 30, 6, 10, 10, 0.7, 2],  # too far: 4 / 16
        ],
        float,
    )
    hits, seen = match(found, objects)
    assert hits.tolist() == [False, True, False, False]
    assert seen.tolist() == [True, False]
    assert match(found, objects[:0])[0].tolist() == [False] * 4
    assert match(found[:0], objects)[1].tolist() == [False] * 2


def test_colors_and_counts_on_a_picture():
    objects = np.array(
        [[7, 10, 10, 20, 20, 400, 1, 0], [7, 60, 60, 35, 35, 1225, 1, 0], [8, 0, 0, 5, 5, 25, 1, 0]], float
    )
    found = np.array([[7, 10, 10, 20, 20, 0.9, 1], [7, 60, 10, 20, 20, 0.5, 1], [7, 0, 70, 20, 20, 0.1, 1]], float)
    run = Found(np.array([7]), objects, found, {}, 3)
    picture, text = marked(Image.new("RGB", (100, 100)), run, 7, "run")
    assert text == "run, score of 0.3 or more: 1 of 2 found, 1 of 1 small, 1 false"
    pixels, scale = np.asarray(picture), picture.width / 100
    for (x, y), color in (((10, 20), HIT), ((60, 80), MISSED), ((60, 20), FALSE)):
        expected = tuple(int(color[i : i + 2], 16) for i in (1, 3, 5))
        assert tuple(pixels[round(y * scale), round(x * scale)]) == expected
    assert pixels[round(80 * scale), 0].tolist() == [0, 0, 0]  # a score below what is drawn
    _, text = marked(Image.new("RGB", (100, 100)), run._replace(min_score=0.07), 7, "run")
    assert text == "run, score of 0.07 or more: 1 of 2 found, 1 of 1 small, 2 false"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A work_dir of a detector of two tested images, of which one has an object."""
    (tmp_path / "set/val").mkdir(parents=True)
    for name in ("a", "b"):
        Image.new("RGB", (64, 48)).save(tmp_path / f"set/val/{name}.png")
    images = [dict(id=number, file_name=f"{name}.png") for number, name in ((3, "a"), (4, "b"))]
    (tmp_path / "set/val.json").write_text(json.dumps(dict(images=images)))
    folder = tmp_path / "run"
    folder.mkdir()
    data = dict(data_root=str(tmp_path / "set"), ann_file="val.json", data_prefix=dict(img="val/"))
    torch.save(dict(config=dict(test_dataloader=dict(dataset=data))), folder / "iter_1.pth")
    objects = np.array([[4, 5, 5, 20, 20, 400, 1, 0]], float)
    found = np.array([[4, 5, 5, 20, 20, 0.9, 1]], float)
    np.savez(folder / "detections.npz", images=np.array([3, 4]), objects=objects, found=found, min_score=0.8)
    return folder


def test_a_run_is_drawn_from_what_it_kept(run: Path):
    kept = read_found(run)
    assert kept.paths[4].name == "b.png"
    text = draw({"one": kept, "other": kept._replace(found=kept.found[:0])}, 4)
    assert text.count("<img") == 2
    assert all(color in text for color in (HIT, MISSED, FALSE))
    assert "one, score of 0.8 or more: 1 of 1 found, 1 of 1 small, 0 false" in text
    assert "other, score of 0.8 or more: 0 of 1 found, 0 of 1 small, 0 false" in text


def test_images_that_are_gone_are_passed_over(run: Path, tmp_path: Path):
    (tmp_path / "set/val/b.png").unlink()
    assert draw({"run": read_found(run)}, 4).count("<img") == 0
    (tmp_path / "set/val.json").unlink()
    assert read_found(run) is None


@pytest.mark.parametrize("module", ["antigravity", "ccrop.projects.lidar_bev.finetune"])
def test_files_of_other_detectors_are_read_by_their_own_module(run: Path, module: str):
    """If it is of ccrop: code that nobody has approved is not imported."""
    torch.save(dict(config=dict(finetuning=module)), run / "iter_1.pth")
    content = dict(pictured=np.array([], int), classes=np.array(["Car"]), extent=np.array([0.0, -1, 2, 1]))
    np.savez(run / "detections.npz", **content)
    found = read_found(run)
    assert "antigravity" not in sys.modules
    if module == "antigravity":
        assert found is None
    else:
        assert found.classes == ["Car"]
        assert draw({"run": found}, 4) == ""
