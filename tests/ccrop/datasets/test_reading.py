import os
import pickle
import warnings
from functools import cache
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import EpsImagePlugin, ExifTags, Image
from torch.utils.data import DataLoader, Dataset

from ccrop.datasets import reading
from ccrop.datasets.reading import IMAGE_SUFFIXES, UnreadableImage, image_size, read_image

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


@pytest.fixture(autouse=True)
def no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def solid(mode, color, size=(8, 8)):
    return Image.new(mode, size, color)


def saved(tmp_path, image, name, **options):
    image.save(tmp_path / name, **options)
    return tmp_path / name


def middle(image):
    assert image.mode == "RGB"
    return image.getpixel((image.width // 2, image.height // 2))


def refused(path):
    with pytest.raises(UnreadableImage) as caught:
        read_image(path)
    assert os.fspath(path) in str(caught.value)
    assert caught.value.reason in str(caught.value)
    assert caught.value.path == path
    return caught.value.reason


@pytest.mark.parametrize("suffix", IMAGE_SUFFIXES)
def test_every_listed_suffix_is_read(tmp_path, suffix):
    image = solid("L", 128) if suffix == ".pgm" else solid("RGB", (200, 100, 50))
    expected = (128,) * 3 if suffix == ".pgm" else (200, 100, 50)
    assert middle(read_image(saved(tmp_path, image, f"image{suffix}"))) == pytest.approx(expected, abs=3)


def test_rgb_jpeg_is_handed_over_as_decoded(tmp_path, monkeypatch):
    path = saved(tmp_path, solid("RGB", RED), "image.jpg")
    for name in ("convert", "copy", "transpose"):
        monkeypatch.setattr(Image.Image, name, None)
    assert read_image(path).size == (8, 8)


@pytest.mark.parametrize(
    ("mode", "color", "name", "expected"),
    [
        ("L", 77, "gray.png", (77, 77, 77)),
        ("1", 1, "bit.png", WHITE),
        ("CMYK", (255, 0, 0, 0), "cyan.tif", (0, 255, 255)),
        ("CMYK", (255, 0, 0, 0), "adobe.jpg", (0, 255, 255)),
        ("CMYK", (0, 0, 0, 255), "black.jpg", (0, 0, 0)),
        ("LA", (0, 0), "la.png", WHITE),
        ("LA", (90, 255), "la.png", (90, 90, 90)),
        ("RGBA", (255, 0, 0, 0), "clear.png", WHITE),
        ("RGBA", (255, 0, 0, 51), "faint.png", (255, 204, 204)),
        ("I;16", 32896, "deep.png", (128, 128, 128)),
        ("I;16", 65535, "deep.tif", WHITE),
        ("I;16", 256, "dark.tif", (1, 1, 1)),
        ("I", 32896, "deep.tif", (128, 128, 128)),
    ],
)
def test_modes_become_rgb(tmp_path, mode, color, name, expected):
    assert middle(read_image(saved(tmp_path, solid(mode, color), name))) == pytest.approx(expected, abs=2)


def test_16_bit_levels_are_rounded_to_the_nearest(tmp_path):
    levels = np.arange(0, 65536, 16, dtype=np.uint16).reshape(64, 64)
    image = read_image(saved(tmp_path, Image.fromarray(levels), "ramp.png"))
    assert (np.asarray(image)[..., 1] == np.round(levels / 257)).all()


@pytest.mark.parametrize(("kind", "white"), [(np.uint16, 4095), (np.int32, 255), (np.uint16, 1000)])
def test_levels_up_to_another_white_are_scaled_by_it(tmp_path, kind, white):
    levels = np.linspace(0, white, 64).astype(kind).reshape(8, 8)
    file = saved(tmp_path, Image.fromarray(levels), "ramp.tif")
    expected = [int(255 * int(level) / white + 0.5) for level in levels.ravel()]
    for channels in (1, 3):
        assert np.asarray(read_image(file, channels, white)).reshape(64, -1)[:, 0].tolist() == expected


def test_levels_above_white_are_refused(tmp_path):
    file = saved(tmp_path, Image.fromarray(np.full((4, 4), 5000, np.uint16)), "bright.png")
    with pytest.raises(UnreadableImage, match=r"its gray levels are 5000 to 5000, not within 0 to 4095: .* set white"):
        read_image(file, white=4095)


def test_images_that_are_nearly_black_are_warned_of_once(tmp_path, monkeypatch):
    said = []
    logger = SimpleNamespace(get_current_instance=lambda: SimpleNamespace(warning=said.append))
    monkeypatch.setattr(reading, "MMLogger", logger)
    monkeypatch.setattr(reading, "_say_dark", cache(reading._say_dark.__wrapped__))
    for name, level in (("black", 0), ("bright", 9000), ("dark", 4095), ("darker", 255)):
        file = saved(tmp_path, Image.fromarray(np.full((4, 4), level, np.uint16)), f"{name}.png")
        read_image(file)
        assert len(said) == (name in ("dark", "darker"))
    assert "no level above 8191, but white is 65535: they will look nearly black" in said[0]
    assert "4095 for 12 bits, 255 for 8" in said[0]


def test_16_bit_pgm_is_scaled(tmp_path):
    (tmp_path / "deep.pgm").write_bytes(b"P5 1 1 65535\n" + (32896).to_bytes(2, "big"))
    assert middle(read_image(tmp_path / "deep.pgm")) == (128, 128, 128)


def test_palette_with_a_transparent_entry_lies_over_white(tmp_path):
    image = Image.fromarray(np.array([[0, 1]], np.uint8), "L").convert("P")
    image.putpalette([*RED, *BLUE])
    read = read_image(saved(tmp_path, image, "palette.png", transparency=0))
    assert [read.getpixel((x, 0)) for x in (0, 1)] == [WHITE, BLUE]


def test_color_key_lies_over_white(tmp_path):
    assert middle(read_image(saved(tmp_path, solid("RGB", RED), "key.png", transparency=RED))) == WHITE


@pytest.mark.parametrize("name", ["image.png", "image.tif", "image.webp", "image.jpg"])
@pytest.mark.parametrize(("orientation", "top_left"), [(1, RED), (2, GREEN), (3, WHITE), (6, BLUE), (8, GREEN)])
def test_orientation_is_undone(tmp_path, name, orientation, top_left):
    corners = np.array([[RED, GREEN], [BLUE, WHITE]], np.uint8).repeat(16, 0).repeat(24, 1)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    options = {"lossless": True} if name.endswith("webp") else {}
    path = saved(tmp_path, Image.fromarray(corners), name, exif=exif, **options)
    image = read_image(path)
    assert image.size == image_size(path) == ((32, 48) if orientation >= 5 else (48, 32))
    assert image.getpixel((4, 4)) == pytest.approx(top_left, abs=3)


def test_damaged_exif_does_not_hide_the_image(tmp_path):
    path = saved(tmp_path, solid("RGB", GREEN), "image.jpg", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff\x01\x12")
    assert middle(read_image(path)) == pytest.approx(GREEN, abs=2)
    assert image_size(path) == read_image(path).size


@pytest.mark.parametrize("name", ["moving.gif", "moving.png", "moving.webp"])
def test_animation_gives_its_first_frame(tmp_path, name):
    options = {"lossless": True} if name.endswith("webp") else {}
    frames = [solid("RGB", color) for color in (RED, BLUE)]
    path = saved(tmp_path, frames[0], name, save_all=True, append_images=frames[1:], **options)
    with Image.open(path) as image:
        assert image.n_frames == 2
    assert middle(read_image(path)) == pytest.approx(RED, abs=2)


def test_one_pixel_is_an_image(tmp_path):
    assert read_image(saved(tmp_path, solid("RGB", BLUE, (1, 1)), "dot.png")).getpixel((0, 0)) == BLUE


@pytest.mark.parametrize("name", ["cut.jpg", "cut.png", "cut.gif", "cut.tif", "cut.bmp", "cut.webp"])
def test_truncated_file_is_refused(tmp_path, name):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    path = saved(tmp_path, Image.fromarray(noise), name)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    refused(path)


def test_truncated_jpeg_says_so(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    path = saved(tmp_path, Image.fromarray(noise), "cut.jpg")
    path.write_bytes(path.read_bytes()[:-1000])
    assert "truncated" in refused(path)


def test_empty_file_and_text_are_refused(tmp_path):
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "text.jpg").write_text("a shopping list")
    assert "empty" in refused(tmp_path / "empty.jpg")
    assert "not an image" in refused(tmp_path / "text.jpg")


def test_missing_file_and_folder_give_the_system_s_reason(tmp_path):
    assert refused(tmp_path / "none.jpg") == "No such file or directory"
    assert refused(tmp_path) == "Is a directory"


def test_pixels_of_unknown_range_are_refused(tmp_path):
    assert "floating-point" in refused(saved(tmp_path, solid("F", 0.5), "float.tif"))
    assert "16 bits" in refused(saved(tmp_path, solid("I", 70000), "long.tif"))
    assert "16 bits" in refused(saved(tmp_path, solid("I", -1), "signed.tif"))


def test_an_image_of_too_many_pixels_is_refused_before_it_is_decoded(tmp_path, monkeypatch):
    image, array = saved(tmp_path, solid("RGB", RED, (3000, 2000)), "large.png"), tmp_path / "large.npy"
    np.save(array, np.zeros((2000, 3000), np.uint8))
    monkeypatch.setattr(reading, "MAX_PIXELS", 6_000_000)
    assert read_image(image).size == read_image(array, channels=1).size == (3000, 2000)
    monkeypatch.setattr(reading, "MAX_PIXELS", 5_000_000)
    monkeypatch.setattr(Image.Image, "load", None)
    for path in (image, array):
        assert refused(path) == "it has 6 megapixels, over the limit of 5: scale it down or cut it into tiles"
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 2_000_000)
    assert refused(image) == "it has more than 4 megapixels, over the limit of 5: scale it down or cut it into tiles"


def test_a_format_that_runs_another_program_is_refused_whatever_its_name(tmp_path, monkeypatch):
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *_, **__: pytest.fail("Ghostscript was started"))
    path = saved(tmp_path, solid("RGB", RED), "image.eps").rename(tmp_path / "image.jpg")
    assert path.read_bytes().startswith(b"%!PS-Adobe")
    assert refused(path).startswith("not an image of a supported format (JPEG, PNG, WEBP")
    with pytest.raises(UnreadableImage, match="not an image"):
        image_size(path)


@pytest.mark.parametrize("linked", [False, True])
def test_a_pipe_is_not_waited_for(tmp_path, linked):
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "link.jpg").symlink_to("pipe.jpg")
    path = tmp_path / ("link.jpg" if linked else "pipe.jpg")
    assert refused(path) == "it is a pipe, a socket or a device, not a file"


def test_an_array_that_declares_more_than_the_file_holds_is_refused(tmp_path):
    np.save(tmp_path / "image.npy", np.zeros((1000, 1000, 4), np.uint8))
    whole = (tmp_path / "image.npy").read_bytes()
    (tmp_path / "image.npy").write_bytes(whole.replace(b"(1000, 1000, 4)", b"(9000, 9000, 4)"))
    with pytest.raises(UnreadableImage, match=r"image\.npy: damaged"):
        read_image(tmp_path / "image.npy", channels=4)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (b"w\xc3\xa4lder.jpg", "wälder.jpg"),
        (b"red\x1b[31m.jpg", r"red\x1b[31m.jpg"),
        (b"two\nlines.jpg", r"two\nlines.jpg"),
        (b"latin\xe4.jpg", r"latin\udce4.jpg"),
    ],
)
def test_names_are_shown_in_one_line_without_control_characters(name, shown):
    line = str(UnreadableImage(os.fsdecode(name), "the file is empty"))
    assert line == f"{shown}: the file is empty"
    assert line.encode()


def test_error_survives_a_process_border():
    error = pickle.loads(pickle.dumps(UnreadableImage("a.jpg", "the file is empty")))
    assert (error.path, error.reason, str(error)) == (
        "a.jpg",
        "the file is empty",
        "a.jpg: the file is empty",
    )


class Unreadable(Dataset):
    def __len__(self):
        return 1

    def __getitem__(self, index):
        raise UnreadableImage("some/a.jpg", "damaged (why: unknown)")


def test_error_crosses_a_worker_of_a_loader():
    with pytest.raises(UnreadableImage) as caught:
        list(DataLoader(Unreadable(), num_workers=1))
    assert str(caught.value) == "some/a.jpg: damaged (why: unknown)"
    assert (caught.value.path, caught.value.reason) == ("some/a.jpg", "damaged (why: unknown)")


def test_one_channel_is_the_luma(tmp_path):
    image = read_image(saved(tmp_path, solid("RGB", (200, 100, 50)), "image.png"), channels=1)
    assert image.mode == "L"
    assert image.getpixel((0, 0)) == round(0.299 * 200 + 0.587 * 100 + 0.114 * 50)
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    assert np.array_equal(np.array(read_image(saved(tmp_path, Image.fromarray(levels), "gray.png"), 1)), levels)
    deep = Image.fromarray(levels.astype(np.uint16) * 257)
    assert np.array_equal(np.array(read_image(saved(tmp_path, deep, "deep.png"), 1)), levels)


@pytest.mark.parametrize("channels", [1, 2, 3, 5])
def test_arrays_are_read_as_they_are(tmp_path, channels):
    pixels = np.random.default_rng(0).integers(0, 256, (6, 9, channels), np.uint8)
    np.save(tmp_path / "image.npy", pixels)
    assert np.array_equal(np.array(read_image(tmp_path / "image.npy", channels)), pixels.squeeze())
    assert image_size(tmp_path / "image.npy") == (9, 6)
    np.save(tmp_path / "flat.npy", pixels[..., 0])
    assert np.array_equal(np.array(read_image(tmp_path / "flat.npy", 1)), pixels[..., 0])


def test_channels_of_a_file_that_pillow_reads_are_taken_as_they_are(tmp_path):
    path = saved(tmp_path, solid("RGBA", (9, 8, 7, 6)), "image.png")
    assert (np.array(read_image(path, channels=4)) == [9, 8, 7, 6]).all()
    path = saved(tmp_path, solid("LA", (9, 8)), "two.png")
    assert (np.array(read_image(path, channels=2)) == [9, 8]).all()


@pytest.mark.parametrize(
    ("pixels", "channels", "reason"),
    [
        (np.zeros((4, 5, 6), np.uint8), 5, r"uint8 of shape \(4, 5, 6\), but uint8 of shape \(H, W, 5\) is expected"),
        (np.zeros((4, 5), np.uint8), 3, r"\(4, 5\), but uint8 of shape \(H, W, 3\) is expected: set channels"),
        (np.zeros((4, 5, 5), np.float32), 5, "it holds float32"),
        (np.zeros((0, 5, 5), np.uint8), 5, r"\(0, 5, 5\)"),
    ],
)
def test_other_arrays_are_refused(tmp_path, pixels, channels, reason):
    np.save(tmp_path / "image.npy", pixels)
    with pytest.raises(UnreadableImage, match=rf"image\.npy: .*{reason}"):
        read_image(tmp_path / "image.npy", channels)


def test_files_of_other_channels_are_refused(tmp_path):
    with pytest.raises(UnreadableImage, match=r"image\.png: it has 3 bands \(RGB\), but 5 are expected: set channels"):
        read_image(saved(tmp_path, solid("RGB", RED), "image.png"), channels=5)
    (tmp_path / "image.npy").write_bytes(b"no array")
    with pytest.raises(UnreadableImage, match=r"image\.npy: damaged"):
        read_image(tmp_path / "image.npy", channels=5)
    np.save(tmp_path / "pickled.npy", np.array([print]), allow_pickle=True)
    with pytest.raises(UnreadableImage, match=r"pickled\.npy: damaged"):
        read_image(tmp_path / "pickled.npy", channels=5)
    with pytest.raises(UnreadableImage, match=r"none\.npy: No such file"):
        read_image(tmp_path / "none.npy")
