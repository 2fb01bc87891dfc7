import pickle
from pathlib import Path

import numpy as np
import pytest
import torchvision
from PIL import Image

from ccrop.datasets import CIFAR10, CIFAR100, STL10, ImageNet, InvalidAnnotations, MissingData, TinyImageNet


def pixel(channel, row, column, number):
    """A value that tells channel, row, column and image apart."""
    return (71 * channel + 3 * row + 7 * column + 29 * number) % 256


def pixels(side, number):
    """The image ``(side, side, 3)`` of :func:`pixel`."""
    rows, columns, channels = np.indices((side, side, 3))
    return pixel(channels, rows, columns, number).astype(np.uint8)


@pytest.fixture
def trusted_cifar(monkeypatch):
    """torchvision compares md5 sums with the published files, which tiny files cannot have; here it looks for files."""
    monkeypatch.setattr(torchvision.datasets.cifar, "check_integrity", lambda path, md5=None: Path(path).is_file())


def write_cifar(folder, batches, key):
    """Files of the published python version: a row is 1024 red, 1024 green, 1024 blue bytes, each row by row."""
    folder.mkdir(parents=True)
    for name, images in batches.items():
        rows = np.stack([pixels(32, number).transpose(2, 0, 1).reshape(3072) for number, _ in images])
        content = {"data": rows, key: [label for _, label in images], "batch_label": name}
        (folder / name).write_bytes(pickle.dumps(content, protocol=2))


@pytest.fixture
def cifar10(tmp_path, trusted_cifar):
    batches = {f"data_batch_{i}": [(2 * i, i), (2 * i + 1, 9 - i)] for i in range(1, 6)}
    write_cifar(tmp_path / "cifar-10-batches-py", batches | {"test_batch": [(40, 7)]}, "labels")
    meta = pickle.dumps({"label_names": [str(number) for number in range(10)]}, protocol=2)
    (tmp_path / "cifar-10-batches-py" / "batches.meta").write_bytes(meta)
    return tmp_path


def test_cifar10_batches_by_value(cifar10):
    dataset = CIFAR10(cifar10)
    assert [sample["label"] for sample in dataset] == [1, 8, 2, 7, 3, 6, 4, 5, 5, 4]
    for sample, number in zip(dataset, range(2, 12), strict=True):
        assert (np.asarray(sample["image"]) == pixels(32, number)).all()
    assert dataset[0]["image"].getpixel((5, 1)) == tuple(pixel(channel, 1, 5, 2) for channel in range(3))
    (test,) = CIFAR10(cifar10, split="test")
    assert (test["label"], test["image"].tobytes()) == (7, pixels(32, 40).tobytes())
    assert [sample["label"] for sample in CIFAR10(cifar10, subset=3)] == [1, 3, 4]


def test_cifar100_has_its_fine_labels(tmp_path, trusted_cifar):
    batches = {"train": [(1, 99), (2, 0)], "test": [(3, 42)]}
    write_cifar(tmp_path / "cifar-100-python", batches, "fine_labels")
    meta = pickle.dumps({"fine_label_names": [str(number) for number in range(100)]}, protocol=2)
    (tmp_path / "cifar-100-python" / "meta").write_bytes(meta)
    assert [sample["label"] for sample in CIFAR100(tmp_path)] == [99, 0]
    (test,) = CIFAR100(tmp_path, split="test")
    assert (test["label"], test["image"].tobytes()) == (42, pixels(32, 3).tobytes())


def test_files_other_than_the_published_are_refused(tmp_path):
    write_cifar(tmp_path / "cifar-10-batches-py", {"test_batch": [(0, 0)]}, "labels")
    with pytest.raises(MissingData, match=r"incomplete or damaged: unpack cifar-10-python\.tar\.gz again"):
        CIFAR10(tmp_path)


def test_cifar_as_class_folders(tmp_path):
    for path in ("train/cat/1.png", "train/ant/2.png", "test/cat/3.png", "test/ant/4.png"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels(32, int(path[-5]))).save(tmp_path / path)
    for split, numbers in (("train", (2, 1)), ("test", (4, 3))):
        samples = list(CIFAR10(tmp_path, split=split))
        assert [sample["label"] for sample in samples] == [0, 1]
        assert [sample["image"].tobytes() for sample in samples] == [pixels(32, n).tobytes() for n in numbers]


@pytest.mark.parametrize(
    ("dataset", "archive"), [(CIFAR10, "cifar-10-python.tar.gz"), (CIFAR100, "cifar-100-python.tar.gz")]
)
def test_missing_cifar_says_what_to_put_where(tmp_path, dataset, archive):
    with pytest.raises(MissingData, match=r"neither .* nor train/CLASS/: put the published") as caught:
        dataset(tmp_path)
    assert str(tmp_path) in str(caught.value)
    assert f"tar xf {archive}" in str(caught.value)


def stl_bytes(number):
    """An image as STL-10 stores it: channel by channel, each column by column."""
    return bytes(pixel(c, row, column, number) for c in range(3) for column in range(96) for row in range(96))


@pytest.fixture
def stl10(tmp_path):
    folder = tmp_path / "stl10_binary"
    folder.mkdir()
    (folder / "train_X.bin").write_bytes(stl_bytes(1) + stl_bytes(2))
    (folder / "train_y.bin").write_bytes(bytes([10, 1]))
    (folder / "unlabeled_X.bin").write_bytes(stl_bytes(3))
    return tmp_path


def test_stl10_is_read_column_by_column(stl10):
    dataset = STL10(stl10, split="train")
    assert [sample["label"] for sample in dataset] == [9, 0]
    for sample, number in zip(dataset, (1, 2), strict=True):
        assert (np.asarray(sample["image"]) == pixels(96, number)).all()
    (sample,) = STL10(stl10)
    assert "label" not in sample
    assert sample["image"].getpixel((90, 4)) == tuple(pixel(channel, 4, 90, 3) for channel in range(3))


@pytest.mark.parametrize("name", ["train_X.bin", "train_y.bin"])
def test_missing_stl10_says_what_to_put_where(stl10, name):
    (stl10 / "stl10_binary" / name).unlink()
    with pytest.raises(MissingData, match=rf"{name} is missing: put the published stl10_binary\.tar\.gz into {stl10}"):
        STL10(stl10, split="train")


@pytest.fixture
def tiny_imagenet(tmp_path):
    root = tmp_path / "tiny-imagenet-200"
    for path, number in (
        ("train/n02/images/n02_0.JPEG", 0),
        ("train/n01/images/n01_0.JPEG", 1),
        ("train/n01/images/n01_1.JPEG", 2),
        ("val/images/val_0.JPEG", 3),
        ("val/images/val_1.JPEG", 4),
    ):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (64, 64), 40 * number).save(root / path)
    (root / "train" / "n01" / "n01_boxes.txt").write_text("n01_0.JPEG\t0\t0\t63\t63\n")
    (root / "train" / ".DS_Store").touch()
    (root / "train" / "a_note.txt").touch()
    (root / "val" / "val_annotations.txt").write_text(
        "val_1.JPEG\tn01\t0\t32\t44\t62\nval_0.JPEG\tn02\t52\t55\t57\t59\n"
    )
    return tmp_path


def levels(dataset):
    return [round(np.asarray(sample["image"])[9, 9, 0] / 40) for sample in dataset]


def test_tiny_imagenet_in_its_published_layout(tiny_imagenet):
    train = TinyImageNet(tiny_imagenet)
    assert levels(train) == [1, 2, 0]
    assert [sample["label"] for sample in train] == [0, 0, 1]
    val = TinyImageNet(tiny_imagenet, split="val")
    assert levels(val) == [3, 4]
    assert [sample["label"] for sample in val] == [1, 0]


def test_missing_tiny_imagenet_says_what_to_put_where(tmp_path, tiny_imagenet):
    with pytest.raises(MissingData, match=r"train is missing: put the published tiny-imagenet-200\.zip into"):
        TinyImageNet(tmp_path / "elsewhere")
    (tmp_path / "tiny-imagenet-200" / "val" / "val_annotations.txt").unlink()
    with pytest.raises(MissingData, match=r"val_annotations\.txt is missing: put"):
        TinyImageNet(tiny_imagenet, split="val")


def test_imagenet_in_class_folders(tmp_path):
    for number, file in enumerate(["train/n02/a.JPEG", "train/n01/b.JPEG", "train/n01/c.JPEG", "val/n02/d.JPEG"]):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (20, 20), (40 * number, 0, 0)).save(tmp_path / file)
    (tmp_path / "val" / "n01").mkdir()
    Image.new("RGB", (20, 20), (160, 0, 0)).save(tmp_path / "val" / "n01" / "e.JPEG")
    train, val = ImageNet(tmp_path), ImageNet(tmp_path, split="val")
    assert (levels(train), [sample["label"] for sample in train]) == ([1, 2, 0], [0, 0, 1])
    assert (levels(val), [sample["label"] for sample in val]) == ([4, 3], [0, 1])
    with pytest.raises(MissingData, match="elsewhere/train is missing; expected layout"):
        ImageNet(tmp_path / "elsewhere")


@pytest.mark.parametrize("empty", [False, True])
@pytest.mark.parametrize(("dataset", "held_out"), [(ImageNet, "val"), (CIFAR10, "test")])
def test_a_held_out_split_without_a_class_keeps_the_numbers_of_the_others(tmp_path, dataset, held_out, empty):
    files = [f"train/{name}/1.png" for name in "abcd"] + [f"{held_out}/{name}/1.png" for name in "acd"]
    for file in files:
        (tmp_path / file).parent.mkdir(parents=True)
        Image.new("RGB", (32, 32)).save(tmp_path / file)
    if empty:
        (tmp_path / held_out / "b").mkdir()
    tested = dataset(tmp_path, split=held_out)
    assert tested.classes == dataset(tmp_path, split="train").classes == ("a", "b", "c", "d")
    assert [sample["label"] for sample in tested] == [0, 2, 3]
    (tmp_path / held_out / "c").rename(tmp_path / held_out / "e")
    with pytest.raises(InvalidAnnotations, match=r"has images of the classes \['e'\], which .*train lacks"):
        dataset(tmp_path, split=held_out)


def test_a_class_of_tiny_imagenet_that_is_not_trained_on_is_refused(tiny_imagenet):
    with (tiny_imagenet / "tiny-imagenet-200/val/val_annotations.txt").open("a") as file:
        file.write("val_2.JPEG\tn99\t0\t32\t44\t62\n")
    with pytest.raises(InvalidAnnotations, match=r"val_annotations\.txt: it has the classes \['n99'\]"):
        TinyImageNet(tiny_imagenet, split="val")


@pytest.mark.parametrize(
    ("dataset", "split", "splits"),
    [
        (CIFAR10, "val", "train, test"),
        (CIFAR100, "unlabeled", "train, test"),
        (STL10, "val", "train, test, unlabeled"),
        (TinyImageNet, "test", "train, val"),
        (ImageNet, "test", "train, val"),
    ],
)
def test_wrong_split_names_the_right_ones(tmp_path, dataset, split, splits):
    with pytest.raises(ValueError, match=f"one of {splits}; got '{split}'"):
        dataset(tmp_path, split=split)
