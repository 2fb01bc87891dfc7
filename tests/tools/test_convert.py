"""Labeled sets of any format become sets that all commands read, and are divided into train and val."""

import json
from collections import Counter
from pathlib import Path

import pytest
from labeled_sets import draw, write

from ccrop.datasets.coco import ObjectCrops, annotated_boxes
from ccrop.tools import convert, frames, split


@pytest.fixture
def yolo(tmp_path: Path) -> Path:
    """40 images of four scenes, with a cat each, and a dog in every fourth."""
    root = tmp_path / "yolo"
    for number in range(40):
        name = f"s{number // 10}_{number}"
        draw(root / f"images/{name}.png", size=(40, 20))
        dog = "1 0.25 0.5 0.5 1\n" if number % 4 == 0 else ""
        write(root / f"labels/{name}.txt", f"0 0.5 0.5 0.5 0.5\n{dog}")
    write(root / "data.yaml", "train: images\nnames: [cat, dog]\n")
    return root


def test_a_converted_set_is_read_as_coco(yolo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    write(yolo / "labels/s0_0.txt", "0 0.0 0.5 0.5 0.5\n")
    assert convert.main([str(yolo), str(tmp_path / "out")]) == 0
    out = capsys.readouterr().out
    assert out.endswith(
        f"{yolo}/data.yaml: repaired in memory: 1 boxes that extend beyond their image (clipped)\n"
        "train: 40 images, 49 objects (cat 40, dog 9)\n"
    )
    images = {image.file_name: image for image in annotated_boxes(tmp_path / "out", "train")}
    assert images["s0_0.png"].boxes.tolist() == [[0, 0.25, 0.25, 0.75]]
    assert images["s0_4.png"].boxes.tolist() == [[0.25, 0.25, 0.75, 0.75], [0, 0, 0.5, 1]]
    crops = ObjectCrops(tmp_path / "out", "train")
    assert (crops.classes, len(crops)) == (("cat", "dog"), 49)
    assert crops[0]["image"].size == (12, 12)
    assert (tmp_path / "out/train/s0_0.png").is_symlink()
    content = json.loads((tmp_path / "out/annotations/instances_train.json").read_text())
    assert content["annotations"][0].keys() == {"id", "image_id", "category_id", "bbox", "area", "iscrowd"}


def test_copies_stand_alone_and_nothing_is_overwritten(yolo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert convert.main([str(yolo), str(tmp_path / "out"), "--copy"]) == 0
    copied = tmp_path / "out/train/s0_0.png"
    assert not copied.is_symlink()
    assert copied.read_bytes() == (yolo / "images/s0_0.png").read_bytes()
    capsys.readouterr()
    assert convert.main([str(yolo), str(tmp_path / "out")]) == 2
    assert "out exists: choose another folder, or remove it" in capsys.readouterr().err
    write(yolo / "labels/s0_0.txt", "7 0.5 0.5 0.5 0.5\n")
    assert convert.main([str(yolo), str(tmp_path / "out")]) == 2  # before the labels are read
    assert "out exists" in capsys.readouterr().err
    assert convert.main([str(yolo), str(tmp_path / "other")]) == 2
    assert "s0_0.txt, line 1: class 7 is not one of the 2" in capsys.readouterr().err
    assert not (tmp_path / "other").exists()


def numbers(root: Path) -> dict[str, tuple[int, Counter[int]]]:
    """Images, and images of each category, of train and val."""
    found = {}
    for name in ("train", "val"):
        content = json.loads((root / f"annotations/instances_{name}.json").read_text())
        assert {image["file_name"] for image in content["images"]} == {path.name for path in (root / name).iterdir()}
        found[name] = len(content["images"]), Counter(each["category_id"] for each in content["annotations"])
    return found


def test_a_split_has_its_part_of_every_class(yolo: Path, tmp_path: Path):
    assert split.main([str(yolo), str(tmp_path / "a"), "--val", "20%"]) == 0
    assert numbers(tmp_path / "a") == {"train": (32, {1: 32, 2: 8}), "val": (8, {1: 8, 2: 2})}
    assert split.main([str(yolo), str(tmp_path / "b"), "--val", "0.2"]) == 0
    assert split.main([str(yolo), str(tmp_path / "c"), "--val", "0.2", "--seed", "1"]) == 0
    names = {each: sorted(path.name for path in (tmp_path / each / "val").iterdir()) for each in "abc"}
    assert names["a"] == names["b"] != names["c"]


def test_scenes_stay_together(yolo: Path, tmp_path: Path):
    assert split.main([str(yolo), str(tmp_path / "out"), "--val", "25%", "--together", "^(s[0-9])_"]) == 0
    scenes = {name: {path.name[:2] for path in (tmp_path / "out" / name).iterdir()} for name in ("train", "val")}
    assert (len(scenes["train"]), len(scenes["val"])) == (3, 1)
    assert scenes["train"].isdisjoint(scenes["val"])


def test_other_splits_stay_as_they_are(yolo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    draw(yolo / "held/images/t.png", size=(40, 20))
    write(yolo / "held/labels/t.txt", "0 0.5 0.5 0.5 0.5")
    write(yolo / "data.yaml", "train: images\ntest: held/images\nnames: [cat, dog]\n")
    assert split.main([str(yolo), str(tmp_path / "a")]) == 2
    assert "there are the splits train, test: pass the one to divide with --of" in capsys.readouterr().err
    assert split.main([str(yolo), str(tmp_path / "a"), "--of", "train"]) == 0
    assert numbers(tmp_path / "a")["val"][0] == 8
    assert [path.name for path in (tmp_path / "a/test").iterdir()] == ["t.png"]
    assert split.main([str(tmp_path / "a"), str(tmp_path / "b"), "--of", "train"]) == 2
    assert "there is already a split val besides train" in capsys.readouterr().err
    assert split.main([str(tmp_path / "a"), str(tmp_path / "b")]) == 2
    assert "the set is already divided, into train and val: use convert" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--val", "0"), "the fraction of images must be above 0"),
        (("--val", "100%"), "--val 100% leaves no image for training"),
        (("--together", "z"), "--together z matches nothing in the name s0_0.png"),
        (("--of", "val"), "there is no split val to divide; there is train"),
    ],
)
def test_what_cannot_be_divided_is_refused(
    yolo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], message: str
):
    assert split.main([str(yolo), str(tmp_path / "out"), *options]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_an_expression_that_is_none_is_an_error_of_the_command_line(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit, match="2"):
        split.main(["set", "out", "--together", "("])
    assert "argument --together: ( is not a regular expression (missing )" in capsys.readouterr().err


def test_frames_ends_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert frames.main([str(tmp_path), str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
