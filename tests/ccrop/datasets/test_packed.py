"""A pack gives what its source gives, or an error: after a kill, after damage, after a change of the source."""

import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.logging import MMLogger
from PIL import Image

from ccrop.datasets import (
    CocoImages,
    ImageFolder,
    ImageNet,
    MissingData,
    ObjectCrops,
    UnreadableImage,
    image_size,
    listing,
    packing,
    read_image,
)
from ccrop.datasets.packed import BadPack, Pack, pack_around
from ccrop.datasets.packing import pack_images, scaled_annotations
from ccrop.tools import pack as tool
from ccrop.views import CropViews, RandomCrop

SIZES = ((40, 30), (64, 48), (30, 50), (20, 20), (31, 33), (48, 20))


def fill(folder: Path, mode: str = "RGB") -> Path:
    """Images of several sizes and kinds, two of them in a folder of their own."""
    rng = np.random.default_rng(0)
    for number, (width, height) in enumerate(SIZES):
        pixels = Image.fromarray(rng.integers(0, 256, (height, width, 3), np.uint8)).convert(mode)
        name = f"{'sub/' if number > 3 else ''}{number}.{'jpg' if number % 2 else 'png'}"
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        pixels.save(folder / name)
    return folder


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return fill(tmp_path / "source")


def test_views_of_a_pack_are_those_of_its_source(source: Path, tmp_path: Path):
    pack_images(source, tmp_path / "pack")
    steps = [CropViews(RandomCrop(), 16)]
    packed, expected = (ImageFolder(root, pipeline=steps) for root in (tmp_path / "pack", source))
    assert packed.fingerprint() == expected.fingerprint()
    for key in [(0, epoch, index) for epoch in (0, 1) for index in range(len(SIZES))]:
        found, other = packed[key], expected[key]
        assert torch.equal(found["rectangles"], other["rectangles"])
        for view, same in zip(found["views"], other["views"], strict=True):
            assert (view.int() - same.int()).abs().max() <= 1  # PNG files are resized by Pillow, packs by torch


@pytest.mark.parametrize(("mode", "channels"), [("RGB", 3), ("RGB", 1), ("L", 1), ("RGBA", 4)])
def test_pixels_are_those_of_the_files(tmp_path: Path, mode: str, channels: int):
    (tmp_path / "source").mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (9, 7, 4), np.uint8)
    Image.fromarray(pixels).convert(mode).save(tmp_path / "source/a.png")
    pack_images(tmp_path / "source", tmp_path / "pack", channels=channels)
    for as_tensor in (False, True):
        found = read_image(tmp_path / "pack/a.png", channels, as_tensor=as_tensor)
        assert np.array_equal(np.array(found), np.array(read_image(tmp_path / "source/a.png", channels)))
    assert image_size(tmp_path / "pack/a.png") == (7, 9)


def test_gray_and_rgb_become_each_other_and_nothing_else(source: Path, tmp_path: Path):
    pack_images(source, tmp_path / "pack")
    gray = read_image(tmp_path / "pack/0.png", channels=1)
    assert gray.tobytes() == read_image(source / "0.png").convert("L").tobytes()
    with pytest.raises(UnreadableImage, match="it was packed with 3 channels, but 5 are expected"):
        read_image(tmp_path / "pack/0.png", channels=5)


def test_longer_shorter_sides_are_scaled(source: Path, tmp_path: Path):
    pack_images(source, tmp_path / "pack", side=30)
    sizes = [image_size(tmp_path / "pack" / name) for name in ("0.png", "1.jpg", "2.png", "3.jpg", "sub/5.jpg")]
    assert sizes == [(40, 30), (40, 30), (30, 50), (20, 20), (48, 20)]
    expected = read_image(source / "1.jpg").resize((40, 30), Image.Resampling.BILINEAR)
    assert read_image(tmp_path / "pack/1.jpg").tobytes() == expected.tobytes()


def test_a_killed_packing_goes_on_behind_its_last_image(source: Path, tmp_path: Path, monkeypatch):
    pack_images(source, tmp_path / "whole")
    child = os.fork()
    if child == 0:
        decode = packing._packed
        monkeypatch.setattr(
            packing, "_packed", lambda name, **k: os.kill(os.getpid(), 9) if name == "3.jpg" else decode(name, **k)
        )
        pack_images(source, tmp_path / "pack")
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    with pytest.raises(MissingData, match="pack is unfinished: run the command that made it again"):
        ImageFolder(tmp_path / "pack")
    with (tmp_path / "pack/pixels.bin").open("ab") as pixels, (tmp_path / "pack/journal.jsonl").open("a") as journal:
        pixels.write(b"of the image that was being written")
        journal.write('{"name": "3.')

    decoded = []
    decode = packing._packed
    monkeypatch.setattr(packing, "_packed", lambda name, **kwargs: decoded.append(name) or decode(name, **kwargs))
    pack_images(source, tmp_path / "pack").verify()
    assert decoded == ["3.jpg", "sub/4.png", "sub/5.jpg"]
    for file in ("pixels.bin", "index.npy", "pack.json"):
        assert (tmp_path / "pack" / file).read_bytes() == (tmp_path / "whole" / file).read_bytes()
    assert not (tmp_path / "pack/journal.jsonl").exists()


def test_pixels_that_the_disk_lost_are_packed_again(source: Path, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(packing, "_finish", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        pack_images(source, tmp_path / "pack")
    monkeypatch.undo()
    os.truncate(tmp_path / "pack/pixels.bin", 40 * 30 * 3 + 5)
    pack_images(source, tmp_path / "pack").verify()


@pytest.mark.parametrize("torn", [b"", b"\0" * 40 + b"\n", b'{"version": 1, "sour\n'])
def test_a_journal_without_its_first_line_begins_again(source: Path, tmp_path: Path, torn: bytes):
    (tmp_path / "pack").mkdir()
    (tmp_path / "pack/pixels.bin").write_bytes(b"of an earlier call")
    (tmp_path / "pack/journal.jsonl").write_bytes(torn)
    pack_images(source, tmp_path / "pack").verify()


def test_lines_of_a_journal_that_a_power_failure_tore_are_packed_again(source: Path, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(packing, "_finish", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        pack_images(source, tmp_path / "pack")
    monkeypatch.undo()
    journal = tmp_path / "pack/journal.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join([*lines[:4], b"\0" * 30 + b"\n", *lines[5:]]))
    pack = pack_images(source, tmp_path / "pack")
    pack.verify()
    assert len(pack.names) == len(SIZES)


def test_a_set_of_which_no_image_can_be_read_makes_no_pack(tmp_path: Path):
    (tmp_path / "source").mkdir()
    for name in "ab":
        (tmp_path / f"source/{name}.jpg").write_bytes(b"no image")
    with pytest.raises(MissingData, match=r"none of 2 images can be read; the first is a\.jpg: "):
        pack_images(tmp_path / "source", tmp_path / "pack")
    assert not (tmp_path / "pack/journal.jsonl").exists()
    for name in "ab":
        Image.new("RGB", (8, 8)).save(tmp_path / f"source/{name}.jpg")
    assert len(pack_images(tmp_path / "source", tmp_path / "pack").names) == 2


def test_a_changed_byte_is_an_error_that_names_the_image(source: Path, tmp_path: Path):
    pack_images(source, tmp_path / "pack")
    with (tmp_path / "pack/pixels.bin").open("r+b") as file:
        file.seek(40 * 30 * 3 + 17)  # in the second image
        byte = file.read(1)[0]
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte ^ 1]))
    images = ImageFolder(tmp_path / "pack")
    assert images[0]["image"].size == (40, 30)
    with pytest.raises(
        BadPack, match=r"the bytes of 1\.jpg in .*pixels\.bin are damaged: remove .*pack and pack again"
    ):
        images[1]
    with pytest.raises(BadPack, match=r"the bytes of 1\.jpg"):
        Pack(tmp_path / "pack").verify()


@pytest.mark.parametrize(("name", "old", "new"), [
    ("pack.json", b"{", b"["),
    ("index.npy", b"(2,)", b"(2`)"),
    ("index.npy", b"'name'", b"'nama'"),
    ("index.npy", b"NUMPY", b"NUMPX"),
])  # fmt: skip
def test_a_changed_byte_of_settings_or_index_is_an_error_that_names_the_file(
    source: Path, tmp_path: Path, name: str, old: bytes, new: bytes
):
    pack_images(source, tmp_path / "pack")
    file = tmp_path / "pack" / name
    number = str(len(Pack(tmp_path / "pack").names)).encode()
    content = file.read_bytes()
    damaged = content.replace(old.replace(b"2", number), new.replace(b"2", number), 1)
    assert damaged != content
    file.write_bytes(damaged)
    with pytest.raises(BadPack, match=rf"pack/{name} is damaged: remove {tmp_path}/pack and pack again$"):
        Pack(tmp_path / "pack")


def test_a_source_that_has_changed_is_an_error(source: Path, tmp_path: Path):
    pack_images(source, tmp_path / "pack")
    Image.new("RGB", (9, 9)).save(source / "2.png")
    with pytest.raises(BadPack, match=r"2\.png has changed since it was packed"):
        ImageFolder(tmp_path / "pack")[2]
    with pytest.raises(BadPack, match=r"2\.png has changed since it was packed: remove .*pack and pack again"):
        pack_images(source, tmp_path / "pack")
    (source / "1.jpg").rename(source / "9.jpg")
    with pytest.raises(BadPack, match=r"has other images than .*pack was packed from, the first is 1\.jpg"):
        pack_images(source, tmp_path / "pack")


def test_a_pack_outlives_its_source(source: Path, tmp_path: Path):
    pack_images(source, tmp_path / "pack")
    expected = read_image(source / "0.png").tobytes()
    source.rename(tmp_path / "elsewhere")
    assert read_image(tmp_path / "pack/0.png").tobytes() == expected


def test_other_settings_are_refused(source: Path, tmp_path: Path, capsys):
    pack_images(source, tmp_path / "pack", side=30)
    assert tool.main([str(source), str(tmp_path / "pack"), "--side", "25"]) == 2
    assert "is a pack with side 30, not the requested 25: choose another folder, or remove this one" in (
        capsys.readouterr().err
    )


def test_unreadable_images_stay_unreadable_for_the_same_reason(source: Path, tmp_path: Path, capsys):
    (source / "2.png").write_bytes(b"")
    assert tool.main([str(source), str(tmp_path / "pack"), "--check"]) == 0
    assert "6 images, 0.0 MB; 1 unreadable\n  2.png: the file is empty" in capsys.readouterr().out
    for read in (read_image, image_size):
        with pytest.raises(UnreadableImage, match=r"pack/2\.png: the file is empty"):
            read(tmp_path / "pack/2.png")
    packed, expected = (ImageFolder(root)[2]["image"].size for root in (tmp_path / "pack", source))
    assert packed == expected


def test_workers_make_the_same_pack(source: Path, tmp_path: Path):
    for workers in (0, 1):
        pack_images(source, tmp_path / str(workers), workers=workers)
    assert (tmp_path / "0/pixels.bin").read_bytes() == (tmp_path / "1/pixels.bin").read_bytes()


def test_class_folders_keep_their_classes(tmp_path: Path):
    for name in ("train/dog/a.png", "train/cat/b.png", "val/cat/c.png"):
        (tmp_path / "source" / name).parent.mkdir(parents=True)
        Image.new("RGB", (8, 8), "red").save(tmp_path / "source" / name)
    pack_images(tmp_path / "source", tmp_path / "pack")
    for split in ("train", "val"):
        packed, expected = (ImageNet(tmp_path / root, split=split) for root in ("pack", "source"))
        assert packed.classes == expected.classes == ("cat", "dog")
        assert [each["label"] for each in packed] == [each["label"] for each in expected]


def test_a_coco_set_keeps_its_objects(demo_root: Path, tmp_path: Path):
    pack_images(demo_root, tmp_path / "pack", side=120)  # of 320 x 240
    assert len(CocoImages(tmp_path / "pack", split="val")) == 16
    packed, expected = (ObjectCrops(root, split="val", min_side=0) for root in (tmp_path / "pack", demo_root))
    assert packed.classes == expected.classes
    assert len(packed) == len(expected) > 16
    for index in range(len(packed)):
        own, other = packed.get_data_info(index), expected.get_data_info(index)
        assert own["box"] == pytest.approx([each / 2 for each in other["box"]])
        assert own["label"] == other["label"]
    assert abs(packed[0]["image"].width - expected[0]["image"].width / 2) <= 1


def test_annotations_do_not_count_as_skipped_images(demo_root: Path, tmp_path: Path, monkeypatch):
    warnings: list[str] = []
    monkeypatch.setattr(listing, "say_once", warnings.append)
    pack_images(demo_root, tmp_path / "pack", side=16)
    assert warnings == []


def test_annotations_that_cannot_be_read_do_not_keep_images_from_being_packed(tmp_path: Path, monkeypatch):
    warned: list[str] = []
    monkeypatch.setattr(MMLogger.get_current_instance(), "warning", warned.append)
    root = fill(tmp_path / "source/train2017").parent
    (root / "annotations").mkdir()
    image = dict(id=1, file_name="0.png", width=40, height=30)
    contents = {
        "train2017": dict(images=[image], annotations=[dict(id=1, image_id=1, bbox=[1, 2, 3, 4])], categories=[]),
        "nowhere": dict(images=[image], annotations=[], categories=[]),
        "no_ids": dict(images=[image], annotations=[dict(id=1)], categories=[]),
        "no_list": [image],
    }
    for split, content in contents.items():
        (root / f"annotations/instances_{split}.json").write_text(json.dumps(content))
        (root / split).mkdir(exist_ok=True)
    (root / "nowhere").rmdir()
    (root / "annotations/instances_cut.json").write_text('{"images": [')
    pack = pack_images(root, tmp_path / "pack", side=10)
    assert len(pack.stamps()) == len(SIZES)
    assert os.listdir(tmp_path / "pack/annotations") == ["instances_train2017.json"]
    names = [line.split(": not packed, because it is not in COCO's format (")[0] for line in warned]
    assert names == [f"{root}/annotations/instances_{split}.json" for split in ("cut", "no_ids", "no_list", "nowhere")]
    assert all("\n" not in line for line in warned)


def test_masks_of_scaled_images_are_left_out_and_areas_scaled():
    content = dict(
        images=[dict(id=1, file_name="a.jpg", width=40, height=30), dict(id=2, file_name="b.jpg", width=10, height=8)],
        annotations=[
            dict(image_id=1, bbox=[4, 6, 8, 10], area=60, segmentation=[[0, 0, 1, 0, 1, 1]]),
            dict(image_id=2, bbox=[1, 2, 3, 4], area=12, segmentation=[[0, 0, 1, 0, 1, 1]]),
        ],
        categories=[],
    )
    before = json.dumps(content)
    found = scaled_annotations(content, {"train/a.jpg": 0.5, "train/b.jpg": 1}, Path("train"))
    assert found["images"][0] == dict(id=1, file_name="a.jpg", width=20, height=15)
    assert found["annotations"][0] == dict(image_id=1, bbox=[2, 3, 4, 5], area=15)
    assert found["images"][1], found["annotations"][1] == (content["images"][1], content["annotations"][1])
    assert json.dumps(content) == before


def test_folders_of_files_are_no_packs(source: Path):
    assert pack_around(str(source)) is None
    with pytest.raises(MissingData, match="holds no image to pack"):
        pack_images(source / "none", source / "pack")
    with pytest.raises(ValueError, match="side must be a positive number of pixels, got 0"):
        pack_images(source, source / "pack", side=0)


@pytest.mark.parametrize("elsewhere", [False, True], ids=["the source", "another set"])
def test_a_folder_that_holds_other_files_is_left_as_it_is(source: Path, tmp_path: Path, elsewhere: bool):
    target = tmp_path / "other" if elsewhere else source
    (target / "annotations").mkdir(parents=True)
    (target / "annotations/instances_train.json").write_text("{}")
    before = sorted(target.rglob("*"))
    with pytest.raises(FileExistsError, match="holds files that are not a pack's: choose a new or an empty folder"):
        pack_images(source, target, side=16)
    assert sorted(target.rglob("*")) == before
    assert (target / "annotations/instances_train.json").read_text() == "{}"
