"""Images of any number of channels, with Pillow's cropping and resizing."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ccrop.datasets.tensor_image import TensorImage


class ChannelStack:
    """An image of any number of channels, with the part of PIL's interface that data sets and views need.

    Every channel is a gray PIL image, so that all are cropped and resized like the channels of an RGB image.
    ``np.array`` of it is ``(H, W, N)`` uint8.

    Args:
        channels: gray (mode L) images of one size.
    """

    def __init__(self, channels: Sequence[Image.Image]) -> None:
        self.channels = tuple(channels)

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        return self.channels[0].size

    @property
    def width(self) -> int:
        return self.size[0]

    @property
    def height(self) -> int:
        return self.size[1]

    def crop(self, box: tuple[int, int, int, int]) -> "ChannelStack":
        return ChannelStack([channel.crop(box) for channel in self.channels])

    def resize(self, size: tuple[int, int], resample: Image.Resampling) -> "ChannelStack":
        return ChannelStack([channel.resize(size, resample) for channel in self.channels])

    def __array__(self, dtype: np.dtype | None = None, copy: bool | None = None) -> NDArray[np.uint8]:
        pixels = np.stack([np.asarray(channel) for channel in self.channels], axis=2)
        return pixels if dtype is None else pixels.astype(dtype)


# RGB or L as a PIL image, or RGB as a tensor; other numbers of channels as a stack
AnyImage = Image.Image | TensorImage | ChannelStack


def from_array(pixels: NDArray[np.uint8]) -> AnyImage:
    """The image of pixels ``(H, W, N)`` uint8."""
    channels = [Image.fromarray(np.ascontiguousarray(pixels[..., number])) for number in range(pixels.shape[2])]
    if len(channels) == 1:
        return channels[0]
    return Image.merge("RGB", channels) if len(channels) == 3 else ChannelStack(channels)


def as_rgb(image: AnyImage) -> Image.Image:
    """The image for a picture: its first three channels as red, green and blue, or the first one as gray."""
    if isinstance(image, Image.Image):
        return image.convert("RGB")
    if isinstance(image, TensorImage):
        return image.to_pil()
    shown = image.channels[:3] if len(image.channels) >= 3 else image.channels[:1] * 3
    return Image.merge("RGB", shown)
