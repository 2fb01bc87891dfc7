"""Crops of whole batches resized on their device, by matrix products; the counterpart of Pillow's crop and resize."""

import torch
from torch import Tensor


def resized_crops(images: Tensor, rectangles: Tensor, size: int) -> Tensor:
    """Cut a rectangle out of each image and resize it, bilinear with antialiasing.

    Equal to Pillow's within a level: it rounds after resizing along x and again along y, this only at the end.

    Args:
        images: ``(B, C, H, W)`` uint8.
        rectangles: ``(B, 4)`` left, top, right, bottom in whole pixels, right and bottom exclusive.
        size: side of the result in pixels.

    Returns:
        ``(B, size, size, C)`` uint8.
    """
    num, channels, height, width = images.shape
    left, top, right, bottom = rectangles.float().unbind(1)
    along_x = resampling_weights(left, right, size, width)
    along_y = resampling_weights(top, bottom, size, height)
    rows = torch.bmm(images.reshape(num, channels * height, width).float(), along_x.mT)
    rows = rows.view(num, channels, height, size).transpose(1, 2).reshape(num, height, channels * size)
    pixels = torch.bmm(along_y, rows).round_().clamp_(0, 255)
    return pixels.view(num, size, channels, size).permute(0, 1, 3, 2).to(torch.uint8)


def resampling_weights(start: Tensor, stop: Tensor, size: int, length: int) -> Tensor:
    """The weight of each pixel of an axis in each of ``size`` pixels between ``start`` and ``stop``.

    A triangle around each new pixel's middle, as wide as a new pixel where that is larger than an old one, cut at both
    ends.

    Args:
        start, stop: ``(B,)`` in pixels.
        length: old pixels of the axis.

    Returns:
        ``(B, size, length)``; rows sum to 1.
    """
    scale = ((stop - start) / size)[:, None, None]
    start, stop = start[:, None, None], stop[:, None, None]
    middles = torch.arange(length, device=start.device) + 0.5
    centers = start + (torch.arange(size, device=start.device)[:, None] + 0.5) * scale
    weights = (1 - (middles - centers).abs() / scale.clamp(min=1)).clamp_(min=0)
    weights = weights * ((middles > start) & (middles < stop))
    return weights / weights.sum(dim=2, keepdim=True)
