"""COCO-format files where Roboflow, CVAT, Label Studio and FiftyOne put them, and LVIS."""

import json
from pathlib import Path
from typing import Any

import pytest
from labeled_sets import classes, draw, objects, write

from ccrop.datasets import listing
from ccrop.datasets.base import InvalidAnnotations, MissingData
from ccrop.datasets.formats import read_labeled


def coco(*names: str, categories: list[dict[str, Any]] | None = None, category: int = 1) -> str:
    """A file with a box of 20 x 10 at (10, 5) in each image."""
    images = [dict(id=i, file_name=name, width=100, height=50) for i, name in enumerate(names, 1)]
    boxes = [
        dict(id=i, image_id=i, category_id=category, bbox=[10, 5, 20, 10], area=200, iscrowd=0)
        for i in range(1, len(names) + 1)
    ]
    return json.dumps(dict(images=images, annotations=boxes, categories=categories or [dict(id=1, name="car")]))


BOX = [10, 5, 20, 10]


def test_roboflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    said: list[str] = []
    monkeypatch.setattr(listing, "say_once", said.append)
    categories = [dict(id=0, name="cars", supercategory="none"), dict(id=1, name="bus", supercategory="cars")]
    for split in ("train", "valid", "test"):
        draw(tmp_path / split / "a_jpg.rf.123.jpg")
        write(tmp_path / split / "_annotations.coco.json", coco("a_jpg.rf.123.jpg", categories=categories))
    splits = read_labeled(tmp_path)
    assert {split: objects(each) for split, each in splits.items()} == {
        split: [("a_jpg.rf.123.jpg", BOX, "bus", 0)] for split in ("train", "val", "test")
    }
    assert [each.folder for each in splits.values()] == [tmp_path / split for split in ("test", "train", "valid")]
    assert classes(splits["train"]) == ["bus"]
    assert splits["val"].annotations.repaired == ["the category cars, the parent of all others (left out)"]
    assert said == []  # the annotations next to the images are no surprise


@pytest.mark.parametrize(
    ("file", "folder", "name"),
    [
        ("annotations/instances_default.json", "images", "a.jpg"),  # CVAT
        ("annotations/instances_default.json", "images/default", "a.jpg"),  # CVAT of 2024 on
        ("result.json", "images", "images/a.jpg"),  # Label Studio
        ("result.json", "images", "images\\a.jpg"),  # on Windows
        ("labels.json", "data", "a.jpg"),  # FiftyOne
        ("anything.json", "", "a.jpg"),
        ("anything.json", "deep/er", "er/a.jpg"),
    ],
)
def test_one_file(tmp_path: Path, file: str, folder: str, name: str):
    draw(tmp_path / folder / "a.jpg", tmp_path / folder / "b.jpg")
    write(tmp_path / file, coco(name, name.replace("a.jpg", "b.jpg")))
    write(tmp_path / "settings.json", "{}")
    splits = read_labeled(tmp_path)
    assert list(splits) == ["train"]
    assert [(Path(name).name, box) for name, box, *_ in objects(splits["train"])] == [("a.jpg", BOX), ("b.jpg", BOX)]
    for image in splits["train"].annotations.content["images"]:
        assert (splits["train"].folder / image["file_name"]).is_file()


def test_a_file_elsewhere_and_categories_of_the_training_split(tmp_path: Path):
    draw(tmp_path / "set/train2017/a.jpg", tmp_path / "set/val2017/a.jpg")
    write(tmp_path / "set/annotations/instances_train2017.json", coco("a.jpg"))
    two = [dict(id=1, name="bus"), dict(id=2, name="car")]
    write(tmp_path / "set/annotations/instances_val2017.json", coco("a.jpg", categories=two, category=2))
    write(tmp_path / "set/annotations/captions_val2017.json", coco("a.jpg"))
    splits = read_labeled(tmp_path / "set")
    assert {split: (each.folder.name, objects(each)) for split, each in splits.items()} == {
        "train": ("train2017", [("a.jpg", BOX, "car", 0)]),
        "val": ("val2017", [("a.jpg", BOX, "car", 0)]),
    }
    assert classes(splits["val"]) == ["car"]
    own = write(tmp_path / "mine.json", coco("train2017/a.jpg"))
    assert objects(read_labeled(tmp_path / "set", file=own)["train"]) == [("train2017/a.jpg", BOX, "car", 0)]


def test_lvis_names_images_by_their_addresses_and_mixes_the_folders_of_coco(tmp_path: Path):
    draw(tmp_path / "train2017/a.jpg", tmp_path / "val2017/b.jpg")
    content = json.loads(coco("x", "y"))
    for image, place in zip(content["images"], ("train2017/a.jpg", "val2017/b.jpg"), strict=True):
        del image["file_name"]
        image["coco_url"] = f"http://images.cocodataset.org/{place}"
    write(tmp_path / "lvis_v1_val.json", json.dumps(content))
    (split,) = read_labeled(tmp_path).values()
    assert [name for name, *_ in objects(split)] == ["train2017/a.jpg", "val2017/b.jpg"]
    assert split.folder == tmp_path


def test_images_that_are_not_there_are_left_out_and_counted(tmp_path: Path):
    draw(tmp_path / "a.jpg")
    write(tmp_path / "labels.json", coco("a.jpg", "gone.jpg"))
    (split,) = read_labeled(tmp_path).values()
    assert [image["file_name"] for image in split.annotations.content["images"]] == ["a.jpg"]
    assert [name for name, *_ in objects(split)] == ["a.jpg"]
    assert split.annotations.repaired == ["1 missing images (left out with their 1 objects)"]


def test_images_that_could_be_of_two_folders_are_refused(tmp_path: Path):
    draw(tmp_path / "morning/a.jpg", tmp_path / "evening/a.jpg")
    write(tmp_path / "labels.json", coco("a.jpg"))
    with pytest.raises(InvalidAnnotations, match=r"labels\.json: its images could be in .*(morning|evening) or "):
        read_labeled(tmp_path)
    file = tmp_path / "labels.json"
    assert read_labeled(tmp_path / "morning", file=file)["train"].folder == tmp_path / "morning"


def test_what_cannot_be_recognized_is_refused(tmp_path: Path):
    with pytest.raises(MissingData, match="gone is not a folder"):
        read_labeled(tmp_path / "gone")
    with pytest.raises(MissingData, match=r"gone\.json does not exist"):
        read_labeled(tmp_path, file=tmp_path / "gone.json")
    with pytest.raises(InvalidAnnotations, match="its format is not one of coco, yolo, voc, visdrone, dota"):
        read_labeled(tmp_path)
    with pytest.raises(InvalidAnnotations, match="it holds no JSON file"):
        read_labeled(tmp_path, "coco")
    draw(tmp_path / "a.jpg")
    file = write(tmp_path / "labels.json", coco("a.jpg"))
    write(tmp_path / "data.yaml", "names: [car]\n")
    with pytest.raises(InvalidAnnotations, match="could be coco or yolo: pass it with --format"):
        read_labeled(tmp_path)
    assert read_labeled(tmp_path, "coco").keys() == {"train"}
    with pytest.raises(InvalidAnnotations, match=r"labels\.json: a label file is COCO's \.json, .*, not yolo"):
        read_labeled(tmp_path, "yolo", file)
    write(tmp_path / "training.json", coco("a.jpg"))
    with pytest.raises(InvalidAnnotations, match="both belong to split train: pass one with --ann-file"):
        read_labeled(tmp_path, "coco")
