"""RGB images as tensors: JPEG files decoded, cropped and shrunk without Pillow, which takes twice as long."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional as F
from torchvision.io import ImageReadMode, decode_jpeg

# without these instructions torch's resizing of bytes is no faster than Pillow's
VECTOR_UNITS = "AVX" in torch.backends.cpu.get_cpu_capability()


class TensorImage:
    """An RGB image with the part of PIL's interface that data sets and views need.

    Shrunk by torch's antialiased bilinear resize, whose weights have fewer bits than Pillow's: pixels are equal within
    one level, except for a few in 10^9 of pure noise that differ by two. Any other resize is Pillow's.

    Args:
        pixels: ``(H, W, 3)`` uint8.
    """

    def __init__(self, pixels: Tensor) -> None:
        self.pixels = pixels

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        return self.width, self.height

    @property
    def width(self) -> int:
        return self.pixels.shape[1]

    @property
    def height(self) -> int:
        return self.pixels.shape[0]

    def crop(self, box: Sequence[int]) -> "TensorImage":
        """A part of the image, which shares its pixels.

        Args:
            box: left, top, right, bottom in pixels, inside the image.
        """
        left, top, right, bottom = box
        return TensorImage(self.pixels[top:bottom, left:right])

    def resize(self, size: tuple[int, int], resample: Image.Resampling) -> "TensorImage | Image.Image":
        width, height = size
        shrinks = width <= self.width and height <= self.height
        if not (VECTOR_UNITS and shrinks and resample == Image.Resampling.BILINEAR):
            return self.to_pil().resize(size, resample)
        planes = self.pixels.permute(2, 0, 1)[None]
        resized = F.interpolate(planes, (height, width), mode="bilinear", antialias=True)
        return TensorImage(resized[0].permute(1, 2, 0))

    def to_pil(self) -> Image.Image:
        return Image.fromarray(self.pixels.contiguous().numpy())

    def __array__(self, dtype: np.dtype | None = None, copy: bool | None = None) -> NDArray[np.uint8]:
        return np.array(self.pixels.numpy(), dtype=dtype, copy=copy)


def decoded_jpeg(content: NDArray[np.uint8], orientation: int) -> TensorImage:
    """A JPEG file in gray or YCbCr as RGB, upright.

    Args:
        content: bytes of the file.
        orientation: of EXIF, 1 to 8; anything else is upright.

    Raises:
        RuntimeError: the file is truncated or damaged beyond what libjpeg reads.
    """
    pixels = decode_jpeg(torch.from_numpy(content), mode=ImageReadMode.RGB).permute(1, 2, 0)
    if orientation not in range(2, 9):
        return TensorImage(pixels)
    if orientation >= 5:
        pixels = pixels.transpose(0, 1)
    mirrored = [axis for axis, orientations in ((0, (3, 4, 7, 8)), (1, (2, 3, 6, 7))) if orientation in orientations]
    return TensorImage(pixels.flip(mirrored).contiguous())
