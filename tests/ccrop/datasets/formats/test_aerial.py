"""VisDrone and DOTA: what their evaluations ignore are crowds, and oriented boxes become axis-aligned."""

from pathlib import Path

import pytest
from labeled_sets import classes, draw, objects, write

from ccrop.datasets.base import InvalidAnnotations
from ccrop.datasets.formats import read_labeled


@pytest.fixture
def drone(tmp_path: Path) -> Path:
    for split in ("VisDrone2019-DET-train", "VisDrone2019-DET-val", "VisDrone2019-DET-test-dev"):
        draw(tmp_path / split / "images/0001.jpg")
        write(tmp_path / split / "annotations/0001.txt", "10,20,30,10,1,4,0,0\n")
    return tmp_path


def test_visdrone_numbers_its_classes_and_ignores_regions_and_others(drone: Path):
    lines = ("10,20,30,10,1,1,0,0", "5,5,20,20,1,10,1,2,", "60,0,40,50,0,0,0,0", "0,0,9,9,1,11,0,0", "50,0,9,9,0,4,0,0")
    write(drone / "VisDrone2019-DET-train/annotations/0001.txt", "\n".join(lines))
    splits = read_labeled(drone)
    assert list(splits) == ["test", "train", "val"]
    found = objects(splits["train"])
    assert found[:2] == [("0001.jpg", [10, 20, 30, 10], "pedestrian", 0), ("0001.jpg", [5, 5, 20, 20], "motor", 0)]
    ignored = [[60, 0, 40, 50], [0, 0, 9, 9], [50, 0, 9, 9]]
    assert found[2:] == [("0001.jpg", box, name, 1) for box in ignored for name in classes(splits["train"])]
    assert len(classes(splits["val"])) == 10
    assert objects(splits["val"]) == [("0001.jpg", [10, 20, 30, 10], "car", 0)]


def test_visdrone_in_folders_has_its_labels_in_the_same_folders(drone: Path):
    val = drone / "VisDrone2019-DET-val"
    for kind, suffix in (("images", "jpg"), ("annotations", "txt")):
        (val / kind / "night").mkdir()
        (val / kind / f"0001.{suffix}").rename(val / kind / f"night/0001.{suffix}")
    split = read_labeled(val)["val"]
    assert objects(split) == [("night/0001.jpg", [10, 20, 30, 10], "car", 0)]
    assert split.annotations.repaired == []


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("1,2,3,4,1", "line 2: it has 5 values"),
        ("1,2,3,4,1,12,0,0", "line 2: category 12 is not one of VisDrone's 0 to 11"),
    ],
)
def test_a_wrong_line_of_visdrone_is_named(drone: Path, line: str, message: str):
    write(drone / "VisDrone2019-DET-val/annotations/0001.txt", f"10,20,30,10,1,1,0,0\n{line}\n")
    with pytest.raises(InvalidAnnotations, match=rf"0001\.txt, {message}"):
        read_labeled(drone / "VisDrone2019-DET-val")


@pytest.fixture
def aerial(tmp_path: Path) -> Path:
    draw(tmp_path / "train/images/P1.png", tmp_path / "train/images/P2.png", tmp_path / "val/images/P3.png")
    header = "imagesource:GoogleEarth\ngsd:0.146\n"
    lines = ["20 10 40 20 30 40 10 30 plane 0", "50 0 60 0 60 10 50 10 small-vehicle 1"]
    write(tmp_path / "train/labelTxt-v1.0/labelTxt/P1.txt", header + "\n".join(lines))
    write(tmp_path / "train/labelTxt-v1.0/labelTxt/P2.txt", header)
    write(tmp_path / "val/labelTxt/P3.txt", lines[0])
    write(tmp_path / "val/labelTxt/P4.txt", lines[0])
    return tmp_path


def test_dota_has_the_box_around_an_oriented_one_and_keeps_its_outline(aerial: Path):
    splits = read_labeled(aerial)
    assert objects(splits["train"]) == [
        ("P1.png", [10, 10, 30, 30], "plane", 0),
        ("P1.png", [50, 0, 10, 10], "small-vehicle", 1),
    ]
    first = splits["train"].annotations.content["annotations"][0]
    assert first["segmentation"] == [[20, 10, 40, 20, 30, 40, 10, 30]]
    assert first["area"] == 500  # of a square with sides of (20, 10) and (-10, 20)
    assert len(splits["train"].annotations.content["images"]) == 2
    assert objects(splits["val"]) == [("P3.png", [10, 10, 30, 30], "plane", 0)]
    assert splits["val"].annotations.repaired == ["1 label files without an image (left out)"]


def test_images_of_dota_in_parts_find_their_labels_by_name(aerial: Path):
    (aerial / "val/images/part1").mkdir()
    (aerial / "val/images/P3.png").rename(aerial / "val/images/part1/P3.png")
    assert objects(read_labeled(aerial)["val"]) == [("part1/P3.png", [10, 10, 30, 30], "plane", 0)]
    draw(aerial / "val/images/part2/P3.png")
    with pytest.raises(InvalidAnnotations, match=r"part1/P3\.png and part2/P3\.png share one label file"):
        read_labeled(aerial)


@pytest.mark.parametrize("line", ["20 10 40 20 30 40 10 30 plane", "1 2 3 4 5 6 7 8 plane hard"])
def test_a_wrong_line_of_dota_is_named(aerial: Path, line: str):
    write(aerial / "val/labelTxt/P3.txt", f"gsd:1\n{line}")
    with pytest.raises(InvalidAnnotations, match=r"P3\.txt, line 2: it is not x0 y0"):
        read_labeled(aerial)


def test_two_versions_of_dota_are_refused(aerial: Path):
    write(aerial / "train/labelTxt-v1.5/labelTxt/P1.txt", "")
    with pytest.raises(InvalidAnnotations, match=r"labels of P1 in .*v1\.0.* and in .*v1\.5"):
        read_labeled(aerial)
