"""Reading an image file of any common kind, upright and with the requested number of channels."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache

import numpy as np
import torch
from mmengine.logging import MMLogger
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError
from torch.utils.data import get_worker_info

from ccrop.datasets.channel_stack import AnyImage, ChannelStack, from_array
from ccrop.datasets.packed import BadPack, NotPacked, Pack, pack_around
from ccrop.datasets.tensor_image import TensorImage, decoded_jpeg

TURNED = (5, 6, 7, 8)  # EXIF orientations that swap width and height
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM", "JPEG2000", "TGA", "AVIF")  # EPS runs Ghostscript
IMAGE_SUFFIXES = tuple(
    suffix
    for suffix in (
        *(".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm"),
        *(".jfif", ".jpe", ".jp2", ".tga", ".avif"),
    )
    if Image.registered_extensions().get(suffix) in FORMATS  # some builds of Pillow lack AVIF
)
ARRAY_SUFFIX = ".npy"
WHITE = 65535  # level of white in 16-bit gray images and more
DARK = WHITE // 8  # if no level is above it, white is most likely wrong
MAX_PIXELS = 100_000_000  # of an image; RGB takes 3 bytes per pixel in every worker, and decoding some more


class UnreadableFile(ValueError):
    """A file of a data set that cannot be read.

    What a DataLoader's worker raises, PyTorch rebuilds from only the text of its traceback; the last line of that
    is the message.

    Attributes:
        path: the file.
        reason: what is wrong with it, and what to do.
    """

    def __init__(self, path: str | os.PathLike, reason: str | None = None) -> None:
        if reason is None:  # torch hands over only a worker's traceback, whose last line is type, path and reason
            path, reason = str(path).strip().splitlines()[-1].split(": ", 2)[1:]
        super().__init__(path, reason)
        self.path = path
        self.reason = reason

    def __str__(self) -> str:
        return f"{printable(self.path)}: {self.reason}"


def printable(path: str | os.PathLike) -> str:
    """A path for a line of a log: control characters and bytes that are not UTF-8 are escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in os.fspath(path))


class UnreadableImage(UnreadableFile):
    """An image file that cannot be read."""


def read_image(path: str | os.PathLike, channels: int = 3, white: int = WHITE, as_tensor: bool = False) -> AnyImage:
    """The image at `path`, rotated upright by its EXIF orientation: RGB, or the requested number of channels.

    An animation yields its first frame; transparent pixels are blended over white; gray levels of 16 and 32 bits are
    scaled from 0 and `white` to 0 and 255; color profiles are ignored. A truncated file is refused, not half decoded,
    and so is an image of more than :data:`MAX_PIXELS` or in a format not among :data:`FORMATS`, whatever
    its name. One channel is the luma (ITU-R BT.601). Two, four or more channels are read unchanged, from
    an image with that many or from a `.npy` file of ``(H, W, channels)`` uint8, which can also hold one or three.

    Args:
        as_tensor: return RGB from a JPEG file as a :class:`ccrop.datasets.tensor_image.TensorImage`, with the pixels
            that the PIL image would have, which is faster.

    Raises:
        UnreadableImage: with the file and the reason.
    """
    if (pack := _pack_of(path)) is not None:
        with _explained(path):
            return _of_pack(pack.image(path), channels, as_tensor)
    if _is_array(path):
        with _explained(path):
            return from_array(_checked(_mapped(path), channels))
    with _opened(path) as image:
        if as_tensor and channels == 3 and image.format == "JPEG" and image.mode in ("L", "RGB"):
            with suppress(RuntimeError):  # Pillow says what is wrong
                return decoded_jpeg(np.fromfile(path, np.uint8), _orientation(image))
        image.load()
        return to_channels(_upright(image), channels, white)


def image_size(path: str | os.PathLike) -> tuple[int, int]:
    """(width, height) in pixels of the image as :func:`read_image` gives it, from its header alone.

    Raises:
        UnreadableImage: with the file and the reason.
    """
    if (pack := _pack_of(path)) is not None:
        with _explained(path):
            return pack.size(path)
    if _is_array(path):
        with _explained(path):
            return _mapped(path).shape[1::-1]
    with _opened(path) as image:
        turned = _orientation(image) in TURNED and image.format != "TIFF"  # whose size Pillow rotates itself
        return image.size[::-1] if turned else image.size


def is_turned(path: str | os.PathLike) -> bool:
    """Whether an image's EXIF orientation swaps its width and height.

    Raises:
        UnreadableImage: with the file and the reason.
    """
    if _is_array(path) or _pack_of(path) is not None:
        return False
    with _opened(path) as image:
        return _orientation(image) in TURNED


def _pack_of(path: str | os.PathLike) -> Pack | None:
    """The pack that holds an image, see :mod:`ccrop.datasets.packed`."""
    return pack_around(os.path.dirname(os.path.abspath(path)))


def _of_pack(pixels: np.ndarray, channels: int, as_tensor: bool) -> AnyImage:
    packed = pixels.shape[2]
    if packed == channels == 3 and as_tensor:
        return TensorImage(torch.from_numpy(pixels))
    image = from_array(pixels)
    if packed == channels:
        return image
    if {packed, channels} == {1, 3} and isinstance(image, Image.Image):
        return image.convert("RGB" if channels == 3 else "L")
    raise _Unsuited(f"it was packed with {packed} channels, but {channels} are expected: pack it again with that many")


def _is_array(path: str | os.PathLike) -> bool:
    return os.fspath(path).lower().endswith(ARRAY_SUFFIX)


def _mapped(path: str | os.PathLike) -> np.ndarray:
    """The array of a ``.npy`` file, mapped, so that a damaged header does not allocate memory."""
    pixels = np.load(path, mmap_mode="r", allow_pickle=False)
    _limit(pixels.shape[:2])
    return pixels


def _limit(sides: Sequence[int]) -> None:
    if math.prod(sides) > MAX_PIXELS:
        raise _Unsuited(_too_large(f"{math.prod(sides) / 1e6:.0f}"))


def _too_large(megapixels: str) -> str:
    limit = f"{MAX_PIXELS / 1e6:.0f}"
    return f"it has {megapixels} megapixels, over the limit of {limit}: scale it down or cut it into tiles"


def _checked(pixels: np.ndarray, channels: int) -> np.ndarray:
    """``(H, W, channels)`` uint8."""
    shaped = pixels[..., None] if pixels.ndim == 2 else pixels
    if shaped.dtype != np.uint8 or shaped.ndim != 3 or shaped.shape[2] != channels or not shaped.size:
        raise _Unsuited(
            f"it holds {pixels.dtype} of shape {pixels.shape}, but uint8 of shape (H, W, {channels}) is expected: "
            "set channels to match the files, or save them accordingly"
        )
    return shaped


@contextmanager
def _opened(path: str | os.PathLike) -> Iterator[Image.Image]:
    """The image, its warnings silenced; whatever goes wrong with it is an :class:`UnreadableImage`."""
    with _explained(path), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Image.open(path, formats=_openable()) as image:
            _limit(image.size)
            yield image


@cache
def _openable() -> tuple[str, ...]:
    """Those of :data:`FORMATS` that this build of Pillow has."""
    return tuple(name for name in FORMATS if name in Image.OPEN)


@contextmanager
def _explained(path: str | os.PathLike) -> Iterator[None]:
    """Any failure is an :class:`UnreadableImage`, except lack of memory and a damaged pack."""
    try:
        if os.path.exists(path) and not (os.path.isfile(path) or os.path.isdir(path)):
            raise _Unsuited("it is a pipe, a socket or a device, not a file")  # reading a pipe would block forever
        yield
    except (MemoryError, BadPack):
        raise
    except Exception as error:  # decoders raise nearly anything on damaged files
        raise UnreadableImage(path, _reason(path, error)) from error


def _orientation(image: Image.Image) -> int:
    """The orientation tag, 1 for upright, also if the EXIF block is missing or damaged."""
    try:
        return image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:
        return 1


def _upright(image: Image.Image) -> Image.Image:
    """The image rotated by its orientation tag, or unchanged if its EXIF block is missing or damaged."""
    try:
        return image if _orientation(image) == 1 else ImageOps.exif_transpose(image)
    except Exception:
        return image


def to_channels(image: Image.Image, channels: int, white: int = WHITE) -> AnyImage:
    """An image of any mode with that many channels, see :func:`read_image`.

    Raises:
        ValueError: it has a different number of channels, or gray levels of unknown range.
    """
    if channels == 3:
        return _to_rgb(image, white)
    if channels == 1:
        return _to_rgb(image, white).convert("L")
    if len(image.getbands()) != channels:
        raise _Unsuited(
            f"it has {len(image.getbands())} bands ({image.mode}), but {channels} are expected: set channels "
            f"to match the files; {ARRAY_SUFFIX} files can hold uint8 of shape (H, W, {channels})"
        )
    return ChannelStack(image.split())


def _to_rgb(image: Image.Image, white: int) -> Image.Image:
    if image.has_transparency_data:
        colors = image.convert("RGBA")
        backdrop = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(backdrop, colors).convert("RGB")
    if image.mode == "RGB":
        return image
    if image.mode == "F":
        raise _Unsuited("its pixels are floating-point numbers of unknown range: save it with 8 or 16 bits")
    if image.mode.startswith("I"):
        levels = np.asarray(image).astype(np.int64)
        lowest, highest = int(levels.min()), int(levels.max())
        if lowest < 0 or highest > white:
            raise _Unsuited(
                f"its gray levels are {lowest} to {highest}, not within 0 to {white}: save it with 8 or 16 bits, or "
                "set white to the highest level"
            )
        if white == WHITE and 0 < highest <= DARK:
            _say_dark()
        return Image.fromarray(((levels * 255 + white // 2) // white).astype(np.uint8)).convert("RGB")
    return image.convert("RGB")


@cache
def _say_dark() -> None:
    """Warn once that images are nearly black; among a loader's workers, only the first does."""
    worker = get_worker_info()
    if worker is None or worker.id == 0:
        MMLogger.get_current_instance().warning(
            f"Some gray images of 16 bits or more have no level above {DARK}, but white is {WHITE}: they will "
            "look nearly black. If their sensor has fewer bits, set white to its highest level: 4095 for 12 bits, "
            "255 for 8"
        )


class _Unsuited(ValueError):
    """Pixels with unknown black and white levels, or with a different number of channels."""


def _reason(path: str | os.PathLike, error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, UnidentifiedImageError):
        empty = os.path.getsize(path) == 0
        return "the file is empty" if empty else f"not an image of a supported format ({', '.join(_openable())})"
    if isinstance(error, Image.DecompressionBombError):
        assert Image.MAX_IMAGE_PIXELS is not None  # which the image exceeds
        return _too_large(f"more than {2 * Image.MAX_IMAGE_PIXELS / 1e6:.0f}")
    if isinstance(error, _Unsuited | NotPacked):
        return str(error)
    return f"damaged or of an unsupported format ({error or type(error).__name__})"
