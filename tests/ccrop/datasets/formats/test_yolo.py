"""YOLO's labels in the layouts of Ultralytics, Roboflow and Label Studio."""

from pathlib import Path

import pytest
from labeled_sets import classes, draw, objects, write

from ccrop.datasets.base import InvalidAnnotations
from ccrop.datasets.formats import read_labeled


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Ultralytics' layout, images of 100 x 50 pixels."""
    draw(*(tmp_path / "images" / name for name in ("train/a.jpg", "train/b.jpg", "val/c.jpg")))
    write(tmp_path / "data.yaml", "path: .\ntrain: images/train\nval: images/val\nnames:\n  0: cat\n  1: dog\n")
    write(tmp_path / "labels/train/a.txt", "0 0.5 0.5 0.2 0.4\n1 0.1 0.2 0.2 0.4\n")
    write(tmp_path / "labels/train/b.txt", "")
    write(tmp_path / "labels/val/c.txt", "1 0.1 0.2 0.3 0.2 0.3 0.6 0.1 0.4\n")
    return tmp_path


def test_boxes_are_in_pixels_and_an_outline_has_the_box_around_it(root: Path):
    splits = read_labeled(root)
    assert list(splits) == ["train", "val"]
    assert objects(splits["train"]) == [
        ("a.jpg", pytest.approx([40, 15, 20, 20]), "cat", 0),
        ("a.jpg", pytest.approx([0, 0, 20, 20]), "dog", 0),
    ]
    assert [image["file_name"] for image in splits["train"].annotations.content["images"]] == ["a.jpg", "b.jpg"]
    assert objects(splits["val"]) == [("c.jpg", pytest.approx([10, 10, 20, 20]), "dog", 0)]
    (segment,) = splits["val"].annotations.content["annotations"][0]["segmentation"]
    assert segment == pytest.approx([10, 10, 30, 10, 30, 30, 10, 20])
    assert splits["train"].annotations.repaired == []
    assert classes(splits["val"]) == ["cat", "dog"]


def test_roboflow_means_its_own_folders(tmp_path: Path):
    draw(tmp_path / "train/images/a.jpg", tmp_path / "valid/images/b.jpg")
    write(tmp_path / "data.yaml", "train: ../train/images\nval: ../valid/images\nnc: 1\nnames: ['car']\n")
    for file in ("train/labels/a.txt", "valid/labels/b.txt"):
        write(tmp_path / file, "0 0.5 0.5 0.5 0.5")
    assert {split: objects(each) for split, each in read_labeled(tmp_path).items()} == {
        "train": [("a.jpg", [25, 12.5, 50, 25], "car", 0)],
        "val": [("b.jpg", [25, 12.5, 50, 25], "car", 0)],
    }


def test_a_test_split_that_roboflow_only_lists_is_left_out_and_mentioned(tmp_path: Path):
    draw(tmp_path / "train/images/a.jpg")
    write(tmp_path / "data.yaml", "train: ../train/images\ntest: ../test/images\nnames: ['car']\n")
    write(tmp_path / "train/labels/a.txt", "0 0.5 0.5 0.5 0.5")
    (split,) = read_labeled(tmp_path).values()
    assert len(objects(split)) == 1
    assert split.annotations.repaired == ["the split test, as there is no ../test/images (left out)"]


def test_lists_of_images_and_labels_beside_them(tmp_path: Path):
    draw(tmp_path / "obj/a.jpg", tmp_path / "obj/b.jpg")
    write(tmp_path / "train.txt", "data/obj/a.jpg\n\n./obj/b.jpg\n")
    write(tmp_path / "data.yaml", "train: train.txt\nnames: [car]\n")
    write(tmp_path / "obj/a.txt", "0 0.5 0.5 0.5 0.5")
    (split,) = read_labeled(tmp_path).values()
    assert [name for name, *_ in objects(split)] == ["a.jpg"]
    assert split.annotations.repaired == ["1 images without a label file (no objects)"]
    write(tmp_path / "train.txt", "obj/a.jpg\nobj/gone.jpg\n")
    with pytest.raises(InvalidAnnotations, match=r"train\.txt, line 2: there is no image obj/gone\.jpg"):
        read_labeled(tmp_path)


def test_label_studio_has_its_classes_in_a_text_file(tmp_path: Path):
    draw(tmp_path / "images/a.jpg")
    write(tmp_path / "classes.txt", "cat\ndog\n")
    write(tmp_path / "notes.json", '{"categories": []}')
    write(tmp_path / "labels/a.txt", "1 0.5 0.5 0.5 0.5")
    write(tmp_path / "labels/gone.txt", "1 0.5 0.5 0.5 0.5")
    (split,) = read_labeled(tmp_path).values()
    assert objects(split) == [("a.jpg", [25, 12.5, 50, 25], "dog", 0)]
    assert split.annotations.repaired == ["1 label files without an image (left out)"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("2 0.5 0.5 0.2 0.2", r"a\.txt, line 2: class 2 is not one of the 2 named classes"),
        ("0.5 0.5 0.5 0.2 0.2", r"a\.txt, line 2: class 0\.5 is not one of the 2"),
        ("0 0.5 x 0.2 0.2", r"a\.txt, line 2: 'x' is not a number"),
        ("0 nan 0.5 0.2 0.2", r"a\.txt, line 2: 'nan' is not a number"),
        ("0 0.5 0.5 0.2 0.2 0.9", r"a\.txt, line 2: it has 6 values: a box has 5"),
        ("0 1.5 0.5 0.2 0.2\n0 0.5 1.5 0.2 0.2", r"2 of 5 boxes .* the first is in .*a\.txt, line 2: "),
    ],
)
def test_a_wrong_line_is_named(root: Path, line: str, message: str):
    write(root / "labels/train/a.txt", f"0 0.5 0.5 0.2 0.4\n{line}\n1 0.5 0.5 0.1 0.1\n1 0.5 0.5 0.1 0.1\n")
    with pytest.raises(InvalidAnnotations, match=message):
        read_labeled(root)


def test_one_box_that_leaves_its_image_is_clipped_and_counted(root: Path):
    write(root / "labels/train/a.txt", "0 0.0 0.5 0.2 0.4\n")
    (train, _) = read_labeled(root).values()
    assert objects(train) == [("a.jpg", pytest.approx([0, 15, 10, 20]), "cat", 0)]
    assert train.annotations.repaired[0] == "1 boxes that extend beyond their image (clipped)"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("train: images/gone\nnames: [cat, dog]", r"train: images/gone is not in \S+: correct path:"),
        ("train: images/train\nval: gone\nnames: [cat, dog]", "val: gone is not in"),
        ("test: gone\nnames: [cat, dog]", "test: gone is not in"),  # of a set that has nothing else
        ("path: sub\ntrain: gone\nnames: [cat, dog]", r"train: gone is not in \S+sub nor in \S+: correct path:"),
        ("train: images/train\nnames: [cat, cat]", "two classes have the name cat"),
        ("train: images/train\nnc: 3\nnames: [cat, dog]", "nc is 3, but names has 2"),
        ("train: images/train\nnames: {1: cat}", "names must be a list"),
        ("names: [cat, dog]", "it lists no images"),
        ("names: [cat\n", "it is not valid YAML"),
        ("train: labels\nnames: [cat]", "there are no images in"),
    ],
)
def test_a_wrong_file_of_classes_is_named(root: Path, text: str, message: str):
    write(root / "data.yaml", text)
    with pytest.raises(InvalidAnnotations, match=message) as caught:
        read_labeled(root)
    assert str(caught.value).startswith(str(root / "data.yaml"))


def test_a_set_without_any_label_file_is_refused(root: Path):
    (root / "labels/val/c.txt").unlink()
    with pytest.raises(InvalidAnnotations, match=r"none of the 1 images in .*val has a label file"):
        read_labeled(root)
