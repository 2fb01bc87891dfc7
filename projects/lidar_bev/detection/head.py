"""CenterPoint's head: class heatmaps and, per cell, the box of an object centered there."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ccrop.models.focal_loss import PRIOR


class CenterMaps(NamedTuple):
    """The output of a CenterPoint head.

    Attributes:
        logits: ``(N, classes, H, W)`` of the heatmaps.
        regression: ``(N, groups * D, H, W)``, D channels for each group of classes, see :mod:`.targets`.
        ious: ``(N, groups, H, W)``, 2 * IoU - 1 of the boxes with the objects; None if they are not predicted.
    """

    logits: Tensor
    regression: Tensor
    ious: Tensor | None = None


class CenterHead(nn.Module):
    """A shared 3x3 convolution, then two more for the heatmaps and two for the boxes (Yin et al., CVPR 2021).

    Each group of classes has its own convolutions after the shared one, as in class-balanced grouping (Zhu
    et al., 2019, section 3.3); those of all groups run as one grouped convolution.

    Args:
        in_channels: of the encoder's map.
        groups: labels of the classes in each group; every label from 0 on is in one of them.
        outputs: channels of the boxes, per group, see :mod:`.targets`.
        channels: of the hidden maps, per group.
        ious: also predict the IoU of each box with its object.
    """

    def __init__(
        self,
        in_channels: int,
        groups: Sequence[Sequence[int]],
        outputs: int,
        channels: int = 64,
        ious: bool = False,
    ) -> None:
        super().__init__()
        number, most = len(groups), max(map(len, groups))
        self.shared = _block(in_channels, channels)
        self.heatmaps = _branch(channels, number, most)
        self.regression = _branch(channels, number, outputs)
        self.ious = _branch(channels, number, 1) if ious else None
        places = {label: group * most + place for group, own in enumerate(groups) for place, label in enumerate(own)}
        self.register_buffer("places", torch.tensor([places[label] for label in sorted(places)]), persistent=False)
        last = self.heatmaps[-1]
        assert isinstance(last, nn.Conv2d)
        assert last.bias is not None
        nn.init.constant_(last.bias, PRIOR)

    def forward(self, maps: Tensor) -> CenterMaps:
        """Maps in float32, also under autocast: losses and decoding need more precision than bf16 has.

        Args:
            maps: ``(N, in_channels, H, W)``.
        """
        shared = self.shared(maps)
        ious = None if self.ious is None else self.ious(shared).float()
        return CenterMaps(self.heatmaps(shared)[:, self.places].float(), self.regression(shared).float(), ious)


def _branch(channels: int, groups: int, outputs: int) -> nn.Sequential:
    last = nn.Conv2d(groups * channels, groups * outputs, 3, padding=1, groups=groups)
    return nn.Sequential(_block(channels, groups * channels), last)


def _block(in_channels: int, channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels), nn.ReLU(inplace=True)
    )
