import os

import pytest
from PIL import Image

from ccrop.datasets import ImageFolder, ImageList, InvalidAnnotations, MissingData


def write_images(folder, names):
    """Images whose gray level is ten times their number."""
    for number, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (4, 4), 10 * number).save(folder / name)


def levels(dataset):
    return [sample["image"].getpixel((0, 0))[0] for sample in dataset]


def test_flat_and_nested_folders_are_read_alike(tmp_path):
    write_images(tmp_path, ["a.png", "b/c.png", "b/d/e.png"])
    dataset = ImageFolder(tmp_path)
    assert levels(dataset) == [0, 10, 20]
    assert [dataset.path(dataset.get_data_info(i)) for i in range(3)] == [
        tmp_path / "a.png",
        tmp_path / "b" / "c.png",
        tmp_path / "b" / "d" / "e.png",
    ]
    assert "label" not in dataset[0]


def test_first_folder_is_the_class(tmp_path):
    write_images(tmp_path, ["cat/0.png", "ant/1.png", "bee/deep/2.png", "ant/3.png"])
    dataset = ImageFolder(tmp_path, labeled=True)
    assert levels(dataset) == [10, 30, 20, 0]
    assert [sample["label"] for sample in dataset] == [0, 0, 1, 2]


def test_classes_are_numbered_by_the_training_images(tmp_path):
    write_images(tmp_path, ["train/ant/0.png", "train/bee/1.png", "train/cat/2.png", "val/cat/3.png", "val/ant/4.png"])
    (tmp_path / "val/bee").mkdir()
    dataset = ImageFolder(tmp_path / "val", labeled=True, classes_of=tmp_path / "train")
    assert dataset.classes == ("ant", "bee", "cat")
    assert [sample["label"] for sample in dataset] == [0, 2]
    (tmp_path / "train/bee/1.png").unlink()
    assert ImageFolder(tmp_path / "train", labeled=True).classes == ("ant", "bee", "cat")


def test_a_class_that_the_training_images_lack_is_refused(tmp_path):
    write_images(tmp_path, ["train/ant/0.png", "val/ant/1.png", "val/wasp/2.png"])
    with pytest.raises(InvalidAnnotations, match=r"val: it has images of the classes \['wasp'\], which .*train does"):
        ImageFolder(tmp_path / "val", labeled=True, classes_of=tmp_path / "train")


def test_image_beside_the_class_folders_is_refused(tmp_path):
    write_images(tmp_path, ["cat/0.png", "stray.png"])
    with pytest.raises(MissingData, match=r"stray\.png is not in a class folder; expected .*/CLASS/IMAGE"):
        ImageFolder(tmp_path, labeled=True)


def test_missing_folder_is_named(tmp_path):
    with pytest.raises(MissingData, match="none is not a folder; expected a folder of images, flat or nested"):
        ImageFolder(tmp_path / "none")


def test_list_takes_paths_relative_to_itself_and_absolute(tmp_path):
    write_images(tmp_path, ["lists/near.png", "far away/a b.png", "far away/c.png"])
    lines = [str(tmp_path / "far away" / "a b.png"), "", "near.png  ", "../far away/c.png"]
    (tmp_path / "lists" / "train.txt").write_text("\r\n".join(lines))
    assert levels(ImageList(tmp_path / "lists" / "train.txt")) == [10, 0, 20]


def test_list_names_files_in_any_encoding_and_behind_a_byte_order_mark(tmp_path):
    names = ["wälder.png".encode(), "wälder.png".encode("latin-1")]
    write_images(tmp_path, ["a.png", "b.png"])
    for old, name in zip(("a.png", "b.png"), names, strict=True):
        (tmp_path / old).rename(tmp_path / os.fsdecode(name))
    (tmp_path / "train.txt").write_bytes(b"\xef\xbb\xbf" + b"\n".join(names))
    assert levels(ImageList(tmp_path / "train.txt")) == [0, 10]


def test_list_keeps_its_order_and_its_subset_is_evenly_spaced(tmp_path):
    write_images(tmp_path, [f"{number}.png" for number in range(5)])
    (tmp_path / "train.txt").write_text("4.png\n2.png\n0.png\n1.png\n3.png\n")
    assert levels(ImageList(tmp_path / "train.txt")) == [40, 20, 0, 10, 30]
    assert levels(ImageList(tmp_path / "train.txt", subset=3)) == [40, 0, 30]


def test_listed_image_that_is_missing_is_passed_over(tmp_path):
    write_images(tmp_path, ["a.png", "c.png"])
    (tmp_path / "train.txt").write_text("a.png\nb.png\nc.png\n")
    dataset = ImageList(tmp_path / "train.txt")
    assert levels(dataset) == [0, 10, 10]
    assert dataset.unreadable.tolist() == [False, True, False]


def test_missing_and_empty_lists_are_named(tmp_path):
    with pytest.raises(
        MissingData, match=r"train\.txt is not a file; expected a text file with one image path per line"
    ):
        ImageList(tmp_path / "train.txt")
    (tmp_path / "train.txt").write_text("\n\n")
    with pytest.raises(MissingData, match=r"no image found in .*train\.txt"):
        ImageList(tmp_path / "train.txt")
