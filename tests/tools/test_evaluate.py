"""Evaluations as a user asks for them."""

import json
import re
from pathlib import Path

from jobs import run, tool


def test_pairs_of_crops_that_follow_objects_show_more_of_them(demo_root: Path, tmp_path: Path):
    done = run(tool("evaluate.py", "pairs", "--data-root", demo_root, "--draws", "2"), tmp_path)
    assert done.returncode == 0, done.stdout
    assert "64 annotated images" in done.stdout
    rows = re.findall(r"^\| (.+?) \| ([\d.]+) \| ([\d.]+) \| ([\d.]+)% \|", done.stdout, re.MULTILINE)
    figures = {name: [float(number) for number in numbers] for name, *numbers in rows}
    assert len(figures) == 5
    assert figures["one object, its size"][0] > 0.99 > figures["random crop"][0]
    assert figures["one object, its size"][2] > 4 * figures["random crop"][2]


def test_a_set_without_annotations_is_named(tmp_path: Path):
    (tmp_path / "train2017").mkdir()
    done = run(tool("evaluate.py", "pairs", "--data-root", tmp_path), tmp_path)
    assert done.returncode == 2
    assert "annotations/instances_train2017.json" in done.stdout


def test_images_without_objects_are_left_out(tmp_path: Path):
    images = [dict(id=i, file_name=f"{i}.jpg", width=100, height=80) for i in (1, 2)]
    boxes = [
        dict(id=1, image_id=1, category_id=1, bbox=[10, 10, 30, 30]),
        dict(id=2, image_id=2, iscrowd=1, bbox=[0] * 4),
    ]
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations/instances_train.json").write_text(json.dumps(dict(images=images, annotations=boxes)))
    done = run(tool("evaluate.py", "pairs", "--data-root", tmp_path), tmp_path)
    assert done.returncode == 0, done.stdout
    assert "1 annotated images" in done.stdout
