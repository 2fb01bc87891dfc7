"""Crops by matrix products against Pillow's."""

import numpy as np
import pytest
import torch
from PIL import Image

from ccrop.views.resampling import resampling_weights, resized_crops

RECTANGLES = [(0, 0, 61, 47), (10, 5, 42, 37), (3, 2, 8, 45), (0, 40, 61, 47), (60, 46, 61, 47), (20, 0, 57, 21)]


@pytest.mark.parametrize("size", [1, 7, 32, 90])
@pytest.mark.parametrize("channels", [1, 3])
def test_equal_to_pillow_within_a_level(size: int, channels: int):
    pixels = np.random.default_rng(size).integers(0, 256, (len(RECTANGLES), 47, 61, channels), dtype=np.uint8)
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2)
    found = resized_crops(images, torch.tensor(RECTANGLES), size)
    assert found.dtype == torch.uint8
    for own, rectangle, result in zip(pixels, RECTANGLES, found.numpy(), strict=True):
        whole = Image.fromarray(own if channels == 3 else own[..., 0])
        expected = np.asarray(whole.crop(rectangle).resize((size, size), Image.Resampling.BILINEAR))
        assert np.abs(result.astype(int) - expected.reshape(size, size, channels)).max() <= 1


def test_a_rectangle_of_the_views_size_is_cut_out_unchanged():
    images = torch.randint(0, 256, (2, 3, 20, 20), dtype=torch.uint8)
    found = resized_crops(images, torch.tensor([[4, 5, 12, 13], [0, 12, 8, 20]]), 8)
    assert torch.equal(found[0], images[0, :, 5:13, 4:12].permute(1, 2, 0))
    assert torch.equal(found[1], images[1, :, 12:20, 0:8].permute(1, 2, 0))


def test_two_pixels_of_four_are_their_triangles():
    # centers at 1 and 3, triangles two pixels wide to each side, cut at the ends
    (weights,) = resampling_weights(torch.tensor([0.0]), torch.tensor([4.0]), 2, 4)
    assert weights.tolist() == [
        pytest.approx([3 / 7, 3 / 7, 1 / 7, 0]),
        pytest.approx([0, 1 / 7, 3 / 7, 3 / 7]),
    ]
