"""Photometric operations on whole batches, every image with its own strength.

Each takes images ``(N, C, H, W)``, floats in [0, 1], and strengths ``(N,)`` and returns images of the same shape;
saturation and hue are only for RGB. The formulas are torchvision's (``torchvision.transforms.functional``), whose
operations take one strength per batch. :class:`ccrop.models.ViewPreprocessor` draws the strengths and applies them;
:class:`ccrop.views.ReferenceAugmentation` is its counterpart in the workers, image by image.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def to_gray(images: Tensor) -> Tensor:
    """Luma of ITU-R BT.601 of three channels, the mean of any other number, ``(N, 1, H, W)``."""
    if images.shape[1] != 3:
        return images.mean(dim=1, keepdim=True)
    red, green, blue = images.unbind(1)
    return (0.299 * red).add_(green, alpha=0.587).add_(blue, alpha=0.114)[:, None]


def adjust_brightness(images: Tensor, factor: Tensor) -> Tensor:
    return (images * _per_image(factor)).clamp_(0, 1)


def adjust_contrast(images: Tensor, factor: Tensor) -> Tensor:
    """Blend with the mean luma of the image, see :func:`to_gray`."""
    return torch.lerp(to_gray(images).mean(dim=(2, 3), keepdim=True), images, _per_image(factor)).clamp_(0, 1)


def adjust_saturation(images: Tensor, factor: Tensor) -> Tensor:
    """Blend with the gray image; factor 0 is :func:`to_gray` in all three channels."""
    return torch.lerp(to_gray(images), images, _per_image(factor)).clamp_(0, 1)


def adjust_hue(images: Tensor, shift: Tensor) -> Tensor:
    """Rotate the hue of the HSV representation by ``shift`` turns, in [-0.5, 0.5].

    Value V and chroma C stay; a channel is V - C clamp(2 - 6 |h + n|, 0, 1), where h is the hue in turns, n is 1/2,
    1/6, -1/6 for red, green, blue, and h + n is wrapped into [-1/2, 1/2]. Which channel is the largest is a number,
    0 or 1, and chooses by interpolation: on a CPU, comparisons and ``torch.where`` take five times as long.
    """
    red, green, blue = images.unbind(1)
    value = torch.maximum(torch.maximum(red, green), blue)
    chroma = value - torch.minimum(torch.minimum(red, green), blue)
    scale = chroma.mul(6).clamp_(min=torch.finfo(images.dtype).tiny).reciprocal_()
    below_red, below_green = (value - red).sign_(), (value - green).sign_()
    hue = torch.lerp((blue - red).mul_(scale).add_(1 / 3), (red - green).mul_(scale).add_(2 / 3), below_green)
    hue = torch.lerp((green - blue).mul_(scale), hue, below_red).add_(shift[:, None, None])
    rotated = torch.empty_like(images)
    for channel, offset in enumerate((1 / 2, 1 / 6, -1 / 6)):
        turns = hue + offset
        weight = turns.sub_(turns.round()).abs_().mul_(-6).add_(2).clamp_(0, 1)
        rotated[:, channel] = torch.addcmul(value, weight, chroma, value=-1)
    return rotated


def gaussian_blur(images: Tensor, sigma: Tensor, radius: int) -> Tensor:
    """Separable Gaussian blur of standard deviation ``sigma`` pixels; sigma 0 leaves an image unchanged.

    Args:
        radius: half width of the kernel in pixels, at most the image's shorter side less 1; edges are reflected.
    """
    num_images, channels, height, width = images.shape
    distance = torch.arange(-radius, radius + 1, dtype=images.dtype, device=images.device)
    exponent = -0.5 * (distance / sigma.clamp(min=1e-3)[:, None]) ** 2
    kernel = exponent.softmax(dim=1).repeat_interleave(channels, dim=0)[:, None]
    planes = images.reshape(1, num_images * channels, height, width)
    planes = F.pad(planes, (radius, radius, radius, radius), mode="reflect")
    planes = F.conv2d(planes, kernel[..., None], groups=num_images * channels)
    planes = F.conv2d(planes, kernel[:, :, None], groups=num_images * channels)
    return planes.view(num_images, channels, height, width)


def _per_image(strength: Tensor) -> Tensor:
    return strength[:, None, None, None]
