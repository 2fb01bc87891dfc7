"""CenterPoint's head: class heatmaps and, in every cell, the box of a center that might lie there."""

from typing import NamedTuple

from torch import Tensor, nn

from ccrop.models.center_heatmap import PRIOR
from ccrop.projects.lidar_bev.detection.targets import CHANNELS


class CenterMaps(NamedTuple):
    """
    Attributes:
        logits: ``(N, classes, H, W)`` of the heatmaps.
        regression: ``(N, 8, H, W)``, see :mod:`.targets`.
    """

    logits: Tensor
    regression: Tensor


class CenterHead(nn.Module):
    """A shared 3x3 convolution, then two more for the heatmaps and two for the boxes (Yin et al., CVPR 2021).

    Args:
        in_channels: of the encoder's map.
        num_classes: of the heatmaps.
        channels: of the hidden maps.
    """

    def __init__(self, in_channels: int, num_classes: int, channels: int = 64) -> None:
        super().__init__()
        self.shared = _block(in_channels, channels)
        logits = nn.Conv2d(channels, num_classes, 3, padding=1)
        self.heatmaps = nn.Sequential(_block(channels, channels), logits)
        self.regression = nn.Sequential(_block(channels, channels), nn.Conv2d(channels, CHANNELS, 3, padding=1))
        assert logits.bias is not None
        nn.init.constant_(logits.bias, PRIOR)

    def forward(self, maps: Tensor) -> CenterMaps:
        """
        Args:
            maps: ``(N, in_channels, H, W)``.
        """
        shared = self.shared(maps)
        return CenterMaps(self.heatmaps(shared), self.regression(shared))


def _block(in_channels: int, channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels), nn.ReLU(inplace=True)
    )
