"""Images of other channels than RGB and gray are cut and resized as Pillow does it."""

import numpy as np
import pytest
from PIL import Image

from ccrop.datasets.channel_stack import ChannelStack, as_rgb, from_array


def noise(channels: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (30, 41, channels), np.uint8)


def test_every_channel_is_treated_as_those_of_an_rgb_image():
    image = Image.fromarray(noise(3))
    stack = ChannelStack(image.split())
    box, size, filter = (3, 4, 39, 25), (17, 23), Image.Resampling.BILINEAR
    assert stack.size == (stack.width, stack.height) == image.size == (41, 30)
    assert np.array_equal(
        np.array(stack.crop(box).resize(size, filter)), np.array(image.crop(box).resize(size, filter))
    )


def test_to_numbers_and_back():
    pixels = noise(5)
    stack = from_array(pixels)
    assert np.array_equal(np.array(stack), pixels)
    assert np.array(stack).dtype == np.uint8
    assert np.asarray(stack, dtype=np.float32).dtype == np.float32
    assert [from_array(noise(channels)).mode for channels in (1, 3)] == ["L", "RGB"]
    assert np.array_equal(np.array(from_array(noise(3))), noise(3))
    assert np.array_equal(np.array(from_array(noise(1))), noise(1)[..., 0])


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 7])
def test_pictures_show_the_first_three_channels_or_the_first_as_gray(channels: int):
    shown = as_rgb(from_array(noise(channels)))
    assert shown.mode == "RGB"
    expected = noise(channels)[..., :3] if channels >= 3 else noise(channels)[..., :1].repeat(3, axis=2)
    assert np.array_equal(np.array(shown), expected)
