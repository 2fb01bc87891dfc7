"""Pascal VOC's XML in its own layout, and next to the images."""

from pathlib import Path

import pytest
from labeled_sets import classes, draw, objects, write

from ccrop.datasets.base import InvalidAnnotations
from ccrop.datasets.formats import read_labeled


def xml(*boxes: tuple[str, int, int, int, int], extra: str = "", width: int = 100) -> str:
    """An annotation file with an object a box: name, xmin, ymin, xmax, ymax."""
    parts = "".join(
        f"<object>\n<name>{name}</name>{extra}<bndbox><xmin>{x0}</xmin><ymin>{y0}</ymin><xmax>{x1}</xmax>"
        f"<ymax>{y1}</ymax></bndbox></object>\n"
        for name, x0, y0, x1, y1 in boxes
    )
    return f"<annotation>\n<size><width>{width}</width><height>50</height></size>\n{parts}</annotation>\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """VOC's own layout, images of 100 x 50 pixels."""
    for stem in ("000001", "000002", "000003"):
        draw(tmp_path / f"JPEGImages/{stem}.jpg")
    write(tmp_path / "Annotations/000001.xml", xml(("dog", 1, 1, 20, 10)))
    write(tmp_path / "Annotations/000002.xml", xml(("cat", 11, 21, 100, 50), extra="<difficult>1</difficult>"))
    write(tmp_path / "Annotations/000003.xml", xml())
    write(tmp_path / "ImageSets/Main/train.txt", "000001\n000003\n")
    write(tmp_path / "ImageSets/Main/val.txt", "000002\n")
    write(tmp_path / "ImageSets/Main/trainval.txt", "000001\n000002\n000003\n")
    write(tmp_path / "ImageSets/Main/test.txt", "000009\n")
    return tmp_path


def test_pixels_count_from_1_with_both_ends(root: Path):
    splits = read_labeled(root)
    assert {split: objects(each) for split, each in splits.items()} == {
        "train": [("000001.jpg", [0, 0, 20, 10], "dog", 0)],
        "val": [("000002.jpg", [10, 20, 90, 30], "cat", 1)],  # difficult
    }
    assert [len(each.annotations.content["images"]) for each in splits.values()] == [2, 1]
    assert [classes(each) for each in splits.values()] == [["cat", "dog"]] * 2
    assert [each.annotations.repaired for each in splits.values()] == [[], []]


def test_a_corner_at_0_shows_that_they_are_coordinates(root: Path):
    write(root / "Annotations/000003.xml", xml(("dog", 0, 5, 10, 10)))
    splits = read_labeled(root)
    assert [box for _, box, *_ in objects(splits["train"])] == [[1, 1, 19, 9], [0, 5, 10, 5]]
    assert [box for _, box, *_ in objects(splits["val"])] == [[11, 21, 89, 29]]
    assert splits["val"].annotations.repaired == ["corners at 0 (read as coordinates, not as pixels counted from 1)"]


@pytest.mark.parametrize(("labels", "images"), [("labels", "data"), ("Annotations", "images"), ("labels", "images")])
def test_folders_of_other_names(tmp_path: Path, labels: str, images: str):
    """FiftyOne writes the first."""
    root = tmp_path / "set"
    draw(root / images / "a.jpg")
    write(root / labels / "a.xml", xml(("car", 11, 11, 20, 20)))
    assert objects(read_labeled(root)["train"]) == [("a.jpg", [10, 10, 10, 10], "car", 0)]


def test_other_xml_is_named_as_such(tmp_path: Path):
    draw(tmp_path / "images/a.jpg")
    write(tmp_path / "annotations.xml", "<annotations><version>1.1</version></annotations>")  # CVAT's own format
    with pytest.raises(InvalidAnnotations, match=r"annotations\.xml: its root is <annotations>.* export .* as COCO"):
        read_labeled(tmp_path)


def test_xml_beside_the_images_of_splits(tmp_path: Path):
    for split, stem in (("train", "a"), ("valid", "b"), ("test", "c")):
        draw(tmp_path / split / f"{stem}.jpg")
        write(tmp_path / split / f"{stem}.xml", xml(("car", 11, 11, 20, 20)))
    write(tmp_path / "train/gone.xml", xml(("bus", 11, 11, 20, 20)))
    splits = read_labeled(tmp_path)
    assert {split: objects(each) for split, each in splits.items()} == {
        split: [(f"{stem}.jpg", [10, 10, 10, 10], "car", 0)]
        for split, stem in (("train", "a"), ("val", "b"), ("test", "c"))
    }
    assert splits["train"].annotations.repaired == ["1 XML files without an image (left out)"]


def test_all_files_are_one_split_without_lists(root: Path):
    for file in root.glob("ImageSets/Main/*.txt"):
        file.unlink()
    (split,) = read_labeled(root).values()
    assert len(split.annotations.content["images"]) == 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<annotation>\n<object>\n</annotation>", r"000001\.xml, line 3: it is not valid XML \(mismatched tag\)"),
        ("", r"000001\.xml, line 1: it is not valid XML \(no element found\)"),
        (xml(("dog", "x", 1, 2, 2)), r"000001\.xml, line 3: 'x' is not a number"),
        (xml(("", 1, 1, 2, 2)), r"000001\.xml, line 3: the object has no name"),
        (
            "<annotation>\n\n<object><name>cat</name></object></annotation>",
            "line 3: the object has no xmin and no ymin",
        ),
        (
            xml(("dog", 1, 1, 9, 9), ("dog", 30, 1, 20, 9), ("dog", 1, 1, 300, 9)),
            r"2 of 3 boxes .*in .*000001\.xml, line 5",
        ),
    ],
)
def test_a_wrong_file_is_named_with_its_line(root: Path, text: str, message: str):
    write(root / "Annotations/000001.xml", text)
    with pytest.raises(InvalidAnnotations, match=message):
        read_labeled(root, "voc")


def test_a_list_that_names_what_is_not_there_is_refused(root: Path):
    write(root / "ImageSets/Main/train.txt", "000001\n000007\n")
    with pytest.raises(InvalidAnnotations, match=r"train\.txt, line 2: there is no Annotations/000007\.xml"):
        read_labeled(root)


def test_sizes_are_those_of_the_files(root: Path):
    write(root / "Annotations/000001.xml", xml(("dog", 1, 1, 20, 10), width=640))
    train = read_labeled(root)["train"]
    assert train.annotations.content["images"][0]["width"] == 100
    assert train.annotations.repaired == ["1 sizes of images that differ from the files'"]
