"""mmdet's ResNet as a fully trained backbone, and its variant for 32-pixel images."""

from collections.abc import Sequence
from itertools import accumulate
from operator import mul
from typing import Any

from torch import Tensor, nn

from ccrop.backbones.base import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    BackboneModule,
    Level,
    checked_indices,
)
from ccrop.compat.mmdet_lean_import import BasicBlock
from ccrop.compat.mmdet_lean_import import ResNet as _MMDetResNet


class ResNet(BackboneModule, _MMDetResNet):
    """ResNet (He et al., CVPR 2016) with every part trained; mmdet's own defaults are for fine-tuning.

    Its levels are its stages, of strides 4, 8, 16 and 32.

    Args:
        depth: 18, 34, 50, 101 or 152, or 10 for one basic block per stage.
        in_channels: of the images.
        num_stages: 4 in the paper.
        out_indices: stages that a forward pass gives; default: the last.
        kwargs: mmdet's, with BN in training mode (``norm_eval=False``) by default; ``base_channels`` and
            ``stem_channels`` narrow the network.

    Raises:
        ValueError: there is no such depth or stage.
    """

    arch_settings = _MMDetResNet.arch_settings | {10: (BasicBlock, (1, 1, 1, 1))}
    stem_stride = 4

    # of mmdet's constructor
    block: type[BasicBlock]
    base_channels: int
    stage_strides: tuple[int, ...]
    res_layers: list[str]

    def __init__(
        self,
        depth: int,
        in_channels: int = 3,
        num_stages: int = 4,
        out_indices: Sequence[int] | None = None,
        **kwargs: Any,
    ) -> None:
        if depth not in self.arch_settings:
            raise ValueError(f"depth of a ResNet must be one of {', '.join(map(str, self.arch_settings))}; got {depth}")
        chosen = (num_stages - 1,) if out_indices is None else out_indices
        settings = dict(norm_eval=False) | kwargs
        settings["out_indices"] = checked_indices(chosen, num_stages, f"a ResNet-{depth}")
        super().__init__(depth, in_channels=in_channels, num_stages=num_stages, **settings)
        self.in_channels = in_channels
        self.levels = tuple(
            Level(self.block.expansion * self.base_channels * 2**stage, stride)
            for stage, stride in enumerate(list(accumulate(self.stage_strides, mul, initial=self.stem_stride))[1:])
        )
        if in_channels == len(IMAGENET_MEAN):
            self.mean, self.std = IMAGENET_MEAN, IMAGENET_STD

    @property
    def strides(self) -> tuple[int, ...]:
        return super().strides

    @strides.setter
    def strides(self, of_stages: Sequence[int]) -> None:
        """mmdet's constructor stores the stride of each stage under this name."""
        self.stage_strides = tuple(of_stages)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Levels ``out_indices``, finest first, of images ``(N, C, H, W)``; stages after the last one do not run."""
        stages = self.res_layers
        self.res_layers = stages[: max(self.out_indices) + 1]
        try:
            return super().forward(x)
        finally:
            self.res_layers = stages

    def train(self, mode: bool = True) -> "ResNet":
        """Set training or evaluation mode and return the module, as every module does but mmdet's forgets to."""
        super().train(mode)
        return self


class ResNetCIFAR(ResNet):
    """For images of 32 px: a 3x3 stem of stride 1 and no max-pool, strides 1, 2, 4, 8 (SimSiam, appendix D)."""

    stem_stride = 1

    def _make_stem_layer(self, in_channels: int, stem_channels: int) -> None:
        super()._make_stem_layer(in_channels, stem_channels)
        self.conv1 = nn.Conv2d(in_channels, stem_channels, kernel_size=3, stride=1, padding=1, bias=False)
        self.maxpool = nn.Identity()
