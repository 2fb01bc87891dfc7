"""Reading an image file of any common kind as upright RGB."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

TURNED = (5, 6, 7, 8)  # EXIF orientations that swap width and height
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm")


class UnreadableFile(ValueError):
    """A file of a data set that cannot be read.

    Attributes:
        path: the file.
        reason: what is wrong with it, and what to do.
    """

    def __init__(self, path: str | os.PathLike, reason: str) -> None:
        super().__init__(path, reason)
        self.path = path
        self.reason = reason

    def __str__(self) -> str:
        return f"{os.fspath(self.path)}: {self.reason}"


class UnreadableImage(UnreadableFile):
    """An image file that cannot be read."""


def read_image(path: str | os.PathLike) -> Image.Image:
    """The image at `path` as RGB, turned upright by its EXIF orientation.

    An animation gives its first frame; transparent pixels are laid over white; 16-bit grey levels are scaled
    by their range, 65535 to 255; colour profiles are ignored. A truncated file is refused, not half decoded.

    Raises:
        UnreadableImage: with the file and the reason.
    """
    with _opened(path) as image:
        image.load()
        return _to_rgb(_upright(image))


def image_size(path: str | os.PathLike) -> tuple[int, int]:
    """(width, height) in pixels of the image as :func:`read_image` gives it, from its header alone.

    Raises:
        UnreadableImage: with the file and the reason.
    """
    with _opened(path) as image:
        turned = _orientation(image) in TURNED and image.format != "TIFF"  # whose size Pillow turns itself
        return image.size[::-1] if turned else image.size


@contextmanager
def _opened(path: str | os.PathLike) -> Iterator[Image.Image]:
    """The image, its warnings silenced; whatever goes wrong with it is an :class:`UnreadableImage`."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path) as image:
                yield image
    except MemoryError:
        raise
    except Exception as error:  # decoders raise nearly anything on damaged files
        raise UnreadableImage(path, _reason(path, error)) from error


def _orientation(image: Image.Image) -> int:
    """The orientation tag, 1 for upright, also where the EXIF block is missing or damaged."""
    try:
        return image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:
        return 1


def _upright(image: Image.Image) -> Image.Image:
    """The image turned by its orientation tag, or as it is where its EXIF block is missing or damaged."""
    try:
        return image if _orientation(image) == 1 else ImageOps.exif_transpose(image)
    except Exception:
        return image


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.has_transparency_data:
        colours = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, colours).convert("RGB")
    if image.mode == "RGB":
        return image
    if image.mode == "F":
        raise _UnknownRange("its pixels are floating-point numbers of unknown range: save it with 8 or 16 bits")
    if image.mode.startswith("I"):
        levels = np.asarray(image).astype(np.int64)
        if levels.min() < 0 or levels.max() > 65535:
            raise _UnknownRange("its grey levels exceed 16 bits: save it with 8 or 16 bits")
        return Image.fromarray(((levels * 255 + 32767) // 65535).astype(np.uint8)).convert("RGB")
    return image.convert("RGB")


class _UnknownRange(Exception):
    """Pixels whose black and white are not known."""


def _reason(path: str | os.PathLike, error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, UnidentifiedImageError):
        empty = os.path.getsize(path) == 0
        return "the file is empty" if empty else "not an image, or of a kind that Pillow cannot read"
    if isinstance(error, _UnknownRange | Image.DecompressionBombError):
        return str(error)
    return f"damaged or of an unsupported kind ({error or type(error).__name__})"
