"""uint8 batches -> normalized float batches on the model's device, with SimSiam's augmentation for views."""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from mmengine.model import BaseDataPreprocessor
from torch import Tensor

from ccrop.backbones.base import IMAGENET_MEAN, IMAGENET_STD
from ccrop.models import photometric
from ccrop.views.windows import mirrored

ORDERS = 8  # of the color operations in a batch of views on a GPU
SMALLEST_GROUP = 16  # of the views that share one
Operation = Callable[[Tensor, Tensor], Tensor]  # images and a strength each to images


class ViewPreprocessor(BaseDataPreprocessor):
    """Flip, color jitter, grayscale, blur and normalization of whole batches, with parameters per view.

    SimSiam's augmentation (Chen & He, CVPR 2021, section 4, after MoCo v2); for images that are not RGB, without
    saturation, hue and grayscale, which are undefined there. Views are augmented in training; whole images (``images``)
    are only normalized. The order of the color operations is drawn for every 16 views on a CPU, which are few enough
    for a core's cache; on a GPU for every eighth of a batch, of 16 views at least, so a large batch costs the host no
    more than a small one. torchvision's ColorJitter draws it for every call.
    Views that an operation skips get its identity strength, so no views are selected on a GPU and nothing waits for it,
    see :func:`on_chosen`.

    Args:
        mean, std: of the normalization in [0, 1], one a channel; RGB if there are three.
        augment: ``'device'`` augments views here; ``'cpu'`` only normalizes, because the views were augmented
            in the workers by :class:`ccrop.views.ReferenceAugmentation`.
        jitter: largest relative change of brightness, contrast and saturation, and of the hue in turns.
        jitter_prob, gray_prob, blur_prob, flip_prob: probability per view.
        blur_sigma: range of the blur's standard deviation in pixels.

    Attributes:
        channels: of the images.
    """

    def __init__(
        self,
        mean: Sequence[float] = IMAGENET_MEAN,
        std: Sequence[float] = IMAGENET_STD,
        augment: str = "device",
        flip_prob: float = 0.5,
        jitter: tuple[float, float, float, float] = (0.4, 0.4, 0.4, 0.1),
        jitter_prob: float = 0.8,
        gray_prob: float = 0.2,
        blur_sigma: tuple[float, float] = (0.1, 2.0),
        blur_prob: float = 0.5,
    ) -> None:
        super().__init__(non_blocking=True)
        if augment not in ("device", "cpu"):
            raise ValueError(f"augment must be 'device' or 'cpu', got {augment!r}")
        probabilities = dict(flip_prob=flip_prob, jitter_prob=jitter_prob, gray_prob=gray_prob, blur_prob=blur_prob)
        for name, value in probabilities.items():
            if not 0 <= value <= 1:
                raise ValueError(f"{name} must be from 0 to 1, got {value}")
        if not all(value > 0 for value in std):
            raise ValueError(f"std must be positive, got {std}")
        if len(jitter) != 4 or not all(value >= 0 for value in jitter) or jitter[3] > 0.5:
            raise ValueError(f"jitter must be four numbers of at least 0, the last at most 0.5, got {tuple(jitter)}")
        if len(blur_sigma) != 2 or not 0 <= blur_sigma[0] <= blur_sigma[1] < math.inf:
            raise ValueError(f"blur_sigma must be two numbers from 0, the smaller first, got {tuple(blur_sigma)}")
        self.augment = augment
        self.flip_prob = flip_prob
        self.jitter = tuple(jitter)
        self.jitter_prob = jitter_prob
        self.gray_prob = gray_prob
        self.blur_sigma = tuple(blur_sigma)
        self.blur_prob = blur_prob
        if len(mean) != len(std):
            raise ValueError(f"mean and std need one value per channel, got {len(mean)} and {len(std)}")
        self.channels = len(mean)
        self.register_buffer("mean", torch.tensor(mean).view(-1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(-1, 1, 1), persistent=False)

    @torch.no_grad()
    def forward(self, data: dict[str, Any], training: bool = False) -> dict[str, Any]:
        """Move a batch to the device and make it floats.

        Args:
            data: with ``views``, a list of ``(N, H, W, C)`` uint8, or ``images``, one such tensor; perhaps with
                ``transforms``, ``(N, 2, 3)`` a view, see :mod:`ccrop.views.windows`.

        Returns:
            ``data`` with those as ``(N, C, H, W)`` float32, channels last in memory; transforms follow the flips.
        """
        data = self.cast_data(data)
        device = self.mean.device.type
        with torch.autocast(device, enabled=False):
            if "views" in data:
                augment = training and self.augment == "device"
                if augment:
                    self._flip(data)
                data["views"] = [self.prepare(view, augment) for view in data["views"]]
            if "images" in data:
                data["images"] = self.prepare(data["images"], augment=False)
        return data

    def _flip(self, data: dict[str, Any]) -> None:
        """Mirror some of the views, and with them the transforms to them."""
        for number, view in enumerate(data["views"]):
            chosen = torch.rand(len(view), device=view.device) < self.flip_prob
            data["views"][number] = torch.where(chosen[:, None, None, None], view.flip(2), view)
            if "transforms" in data:
                data["transforms"][number] = mirrored(data["transforms"][number], chosen)

    def prepare(self, images: Tensor, augment: bool) -> Tensor:
        """``(N, H, W, C)`` uint8 to ``(N, C, H, W)`` float32, augmented (all but the flip) if asked and normalized."""
        if not augment:
            pixels = images.to(torch.float32, memory_format=torch.contiguous_format).div_(255)
            # a statistic per channel would be broadcast to every pixel on its own; one per row of pixels is not
            mean, std = (each.flatten().repeat(images.shape[2], 1) for each in (self.mean, self.std))
            return pixels.sub_(mean).div_(std).permute(0, 3, 1, 2)
        prepared = torch.empty(images.shape, device=images.device)
        group = views_per_order(len(images), images.is_cpu)
        for pixels, place in zip(images.split(group), prepared.split(group), strict=True):  # a group fits into a cache
            planes = pixels.permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.contiguous_format).div_(255)
            planes = self._augment(planes).sub_(self.mean).div_(self.std)
            torch.stack(planes.unbind(1), dim=-1, out=place)
        return prepared.permute(0, 3, 1, 2)

    def _augment(self, images: Tensor) -> Tensor:
        """Jitter, gray and blur of one group ``(N, C, H, W)`` in [0, 1]."""
        num = len(images)

        def chosen(probability: float) -> Tensor:
            return torch.rand(num, device=images.device) < probability

        def uniform(low: float, high: float) -> Tensor:
            return torch.empty(num, device=images.device).uniform_(low, high)

        jittered = chosen(self.jitter_prob)
        brightness, contrast, saturation, hue = self.jitter
        operations: list[tuple[Callable[[Tensor, Tensor], Tensor], Tensor]] = [
            (photometric.adjust_brightness, uniform(max(0, 1 - brightness), 1 + brightness).where(jittered, 1)),
            (photometric.adjust_contrast, uniform(max(0, 1 - contrast), 1 + contrast).where(jittered, 1)),
        ]
        if self.channels == 3:
            operations += [
                (photometric.adjust_saturation, uniform(max(0, 1 - saturation), 1 + saturation).where(jittered, 1)),
                (photometric.adjust_hue, uniform(-hue, hue).where(jittered, 0)),
            ]
        images = on_chosen(jittered, [operations[index] for index in torch.randperm(len(operations)).tolist()], images)
        if self.channels == 3:
            gray = chosen(self.gray_prob)
            images = on_chosen(gray, [(photometric.adjust_saturation, torch.where(gray, 0.0, 1.0))], images)
        if self.blur_prob > 0:
            radius = min(round(4 * self.blur_sigma[1]), min(images.shape[2:]) - 1)
            sigma, blurred = uniform(*self.blur_sigma), chosen(self.blur_prob)
            blur = partial(photometric.gaussian_blur, radius=radius)
            images = on_chosen(blurred, [(blur, sigma.where(blurred, 0))], images)
        return images

    def to_uint8(self, images: Tensor) -> Tensor:
        """Undo the normalization for pictures: ``(N, C, H, W)`` to ``(N, H, W, C)`` uint8 on the CPU."""
        pixels = (images * self.std + self.mean).clamp(0, 1).mul(255).round()
        return pixels.permute(0, 2, 3, 1).to("cpu", torch.uint8)


def views_per_order(num_views: int, on_cpu: bool) -> int:
    """How many views of a batch share an order of their color operations, see :class:`ViewPreprocessor`."""
    return SMALLEST_GROUP if on_cpu else max(SMALLEST_GROUP, math.ceil(num_views / ORDERS))


def on_chosen(chosen: Tensor, operations: Sequence[tuple[Operation, Tensor]], images: Tensor) -> Tensor:
    """Apply operations to some of the images, in place.

    A CPU processes only these. A GPU processes all, because selecting would mean waiting for it.

    Args:
        chosen: ``(N,)`` bool.
        operations: with strengths ``(N,)`` that leave images unchanged where not chosen.
        images: ``(N, C, H, W)``.
    """
    if not images.is_cpu:
        for operation, strengths in operations:
            images = operation(images, strengths)
    elif chosen.any():
        own = images[chosen]
        for operation, strengths in operations:
            own = operation(own, strengths[chosen])
        images[chosen] = own
    return images
