"""Images as tensors have Pillow's pixels, whatever the file."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image

from ccrop.datasets import ImageFolder, UnreadableImage, read_image, tensor_image
from ccrop.datasets.channel_stack import as_rgb
from ccrop.datasets.tensor_image import TensorImage
from ccrop.views import CropViews, RandomCrop, ReferenceAugmentation

BILINEAR = Image.Resampling.BILINEAR


def scene(width: int = 90, height: int = 70, seed: int = 0) -> Image.Image:
    """Noise of a coarse and a fine scale."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (7, 9, 3), np.uint8)).resize((width, height), BILINEAR)
    return Image.fromarray((np.asarray(coarse) * 0.8 + rng.integers(0, 50, (height, width, 3))).astype(np.uint8))


def both(path: Path) -> tuple[TensorImage, Image.Image]:
    return read_image(path, as_tensor=True), read_image(path)


def outcome(path: Path, as_tensor: bool) -> np.ndarray | str:
    """Pixels, or why there are none."""
    try:
        return np.array(read_image(path, as_tensor=as_tensor))
    except UnreadableImage as error:
        return error.reason


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}, {"quality": 30}], ids=str)
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_jpeg_file_has_the_pixels_that_pillow_decodes(tmp_path: Path, mode: str, options: dict):
    scene().convert(mode).save(tmp_path / "a.jpg", **options)
    found, expected = both(tmp_path / "a.jpg")
    assert isinstance(found, TensorImage)
    assert found.size == (found.width, found.height) == expected.size
    assert np.array_equal(np.array(found), np.array(expected))


@pytest.mark.parametrize("orientation", [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
def test_every_orientation_is_undone(tmp_path: Path, orientation: int):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    scene().save(tmp_path / "a.jpg", exif=exif)
    found, expected = both(tmp_path / "a.jpg")
    assert np.array_equal(np.array(found), np.array(expected))


def test_all_but_rgb_of_jpeg_files_is_left_to_pillow(tmp_path: Path):
    scene().save(tmp_path / "a.png")
    scene().convert("CMYK").save(tmp_path / "cmyk.jpg")
    scene().save(tmp_path / "b.jpg")
    for name, channels in (("a.png", 3), ("cmyk.jpg", 3), ("b.jpg", 1)):
        found, expected = (read_image(tmp_path / name, channels, as_tensor=each) for each in (True, False))
        assert isinstance(found, Image.Image)
        assert found.tobytes() == expected.tobytes()


def test_damaged_files_are_refused_for_pillows_reason_or_have_its_pixels(tmp_path: Path):
    path = tmp_path / "a.jpg"
    scene().save(path)
    whole, rng, refused = path.read_bytes(), np.random.default_rng(0), 0
    for number in range(60):
        damaged = bytearray(whole)
        if number % 3 == 0:
            del damaged[rng.integers(1, len(whole)) :]
        elif number % 3 == 1:
            damaged[rng.integers(len(whole))] = rng.integers(256)
        else:
            start = rng.integers(len(whole))
            del damaged[start : start + 20]
        path.write_bytes(damaged)
        found, expected = outcome(path, as_tensor=True), outcome(path, as_tensor=False)
        assert np.array_equal(found, expected)
        refused += isinstance(expected, str)
    assert 15 <= refused <= 45


def test_shrinking_is_pillows_within_one_level():
    rng = np.random.default_rng(0)
    for seed in range(40):
        width, height = rng.integers(20, 300, 2).tolist()
        image = scene(width, height, seed)
        found = TensorImage(torch.from_numpy(np.array(image)))
        left, top = rng.integers(0, 10, 2).tolist()
        box = (left, top, left + (width + 1) // 2, top + (height + 1) // 2)
        for cut, expected in ((found, image), (found.crop(box), image.crop(box))):
            size = tuple(int(rng.integers(1, side + 1)) for side in expected.size)
            apart = np.array(cut.resize(size, BILINEAR)).astype(int) - np.array(expected.resize(size, BILINEAR))
            assert apart.shape == (*size[::-1], 3)
            assert np.abs(apart).max() <= 1
            assert abs(apart.mean()) < 0.1


@pytest.mark.parametrize(
    ("size", "resample"), [((200, 30), BILINEAR), ((200, 160), BILINEAR), ((30, 20), Image.Resampling.BICUBIC)]
)
def test_other_resizing_is_pillows(size: tuple[int, int], resample: Image.Resampling):
    image = scene()
    found = TensorImage(torch.from_numpy(np.array(image))).resize(size, resample)
    assert np.array_equal(np.array(found), np.array(image.resize(size, resample)))


def test_without_vector_units_all_resizing_is_pillows(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tensor_image, "VECTOR_UNITS", False)
    found = TensorImage(torch.from_numpy(np.array(scene()))).resize((30, 20), BILINEAR)
    assert np.array_equal(np.array(found), np.array(scene().resize((30, 20), BILINEAR)))


def test_arrays_of_it_are_their_own_and_pictures_show_it():
    image = TensorImage(torch.from_numpy(np.array(scene())))
    part = image.crop((3, 4, 40, 50))
    assert np.array_equal(np.array(part), np.array(scene())[4:50, 3:40])
    np.array(part)[:] = 0
    assert np.asarray(part, dtype=np.float32).dtype == np.float32
    assert as_rgb(image).tobytes() == scene().tobytes()
    assert as_rgb(part).tobytes() == scene().crop((3, 4, 40, 50)).tobytes()


def test_views_of_jpeg_files_are_those_of_pillow_within_one_level(tmp_path: Path):
    scene(160, 120).save(tmp_path / "a.jpg")
    dataset = ImageFolder(tmp_path, pipeline=[CropViews(RandomCrop(), 32)])
    found = dataset[0]["views"]
    sample = dict(image=read_image(tmp_path / "a.jpg"), clusters=np.zeros((0, 5)), index=0)
    expected = CropViews(RandomCrop(), 32)(sample | dict(rng=np.random.default_rng((0, 0, 0))))["views"]
    for view, other in zip(found, expected, strict=True):
        assert (view.int() - other.int()).abs().max() <= 1


def test_the_reference_augmentation_has_pillows_views(tmp_path: Path):
    scene(160, 120).save(tmp_path / "a.jpg")
    steps = CropViews(RandomCrop(), 32, augment=ReferenceAugmentation())
    found = ImageFolder(tmp_path, pipeline=[steps])[0]["views"]
    sample = dict(image=read_image(tmp_path / "a.jpg"), clusters=np.zeros((0, 5)), index=0)
    expected = steps(sample | dict(rng=np.random.default_rng((0, 0, 0))))["views"]
    assert all(torch.equal(view, other) for view, other in zip(found, expected, strict=True))
