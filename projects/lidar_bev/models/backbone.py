"""The 2D backbone and neck of BEV detectors, the RPN of SECOND (Yan et al., Sensors 2018) and PointPillars."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ccrop.projects.lidar_bev.models.normalization import NORM


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, **NORM)


class BevBackbone(nn.Module):
    """Stages of 3x3 convolutions, whose maps are brought to a common stride and concatenated.

    Modules are named and ordered as OpenPCDet's, so that weights can be exchanged by name.

    Args:
        in_channels: of the input map.
        layers: convolutions of each stage after the first one, which has the stride.
        strides: of each stage, relative to the previous one.
        channels: of each stage.
        up_strides: by how much each stage's map is enlarged (or, below 1, made smaller) for the output.
        up_channels: of each enlarged map.

    Attributes:
        stride: of the output to the input.
        out_channels: of the output.
    """

    def __init__(
        self,
        in_channels: int,
        layers: Sequence[int],
        strides: Sequence[int],
        channels: Sequence[int],
        up_strides: Sequence[float],
        up_channels: Sequence[int],
    ) -> None:
        super().__init__()
        if len({len(each) for each in (layers, strides, channels, up_strides, up_channels)}) != 1:
            raise ValueError("layers, strides, channels, up_strides and up_channels must have one entry per stage")
        reached = [math.prod(strides[: i + 1]) / up for i, up in enumerate(up_strides)]
        if len(set(reached)) != 1 or reached[0] != int(reached[0]):
            raise ValueError(f"up_strides must bring the maps of all stages to the same whole stride, got {reached}")
        self.stride = int(reached[0])
        self.total_stride = math.prod(strides)
        self.out_channels = sum(up_channels)
        before = [in_channels, *channels[:-1]]
        self.blocks = nn.ModuleList(map(_stage, before, channels, strides, layers))
        self.deblocks = nn.ModuleList(map(_up, channels, up_channels, up_strides))

    def forward(self, maps: Tensor) -> Tensor:
        """Maps ``(N, in_channels, H, W)``, sides multiples of ``total_stride``, to ``(N, out_channels, H/s, W/s)``."""
        outputs = []
        for block, deblock in zip(self.blocks, self.deblocks, strict=True):
            maps = block(maps)
            outputs.append(deblock(maps))
        return torch.cat(outputs, dim=1)


def _stage(in_channels: int, channels: int, stride: int, layers: int) -> nn.Sequential:
    modules = [nn.ZeroPad2d(1), nn.Conv2d(in_channels, channels, 3, stride, bias=False), _norm(channels), nn.ReLU()]
    for _ in range(layers):
        modules += [nn.Conv2d(channels, channels, 3, padding=1, bias=False), _norm(channels), nn.ReLU()]
    return nn.Sequential(*modules)


def _up(in_channels: int, channels: int, stride: float) -> nn.Sequential:
    if stride >= 1:
        convolution: nn.Module = nn.ConvTranspose2d(in_channels, channels, int(stride), int(stride), bias=False)
    else:
        side = round(1 / stride)
        convolution = nn.Conv2d(in_channels, channels, side, side, bias=False)
    return nn.Sequential(convolution, _norm(channels), nn.ReLU())
