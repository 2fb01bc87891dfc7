"""mmdet's ResNet as a pretraining backbone, and its variant for 32-pixel images."""

from collections.abc import Iterator
from contextlib import contextmanager

from ccrop.compat.mmcv_ext import install_mmcv_ext

install_mmcv_ext()

from mmdet.models.backbones.resnet import BasicBlock  # noqa: E402
from mmdet.models.backbones.resnet import ResNet as _MMDetResNet  # noqa: E402
from torch import Tensor, nn  # noqa: E402


class ResNet(_MMDetResNet):
    """ResNet (He et al., CVPR 2016), every part trained: mmdet's own defaults are for fine-tuning.

    Args:
        depth: 18, 34, 50 or 101, or 10 for one basic block a stage.
        kwargs: mmdet's, with BN in training mode (``norm_eval=False``) and only the last stage as output by
            default; ``base_channels`` and ``stem_channels`` narrow the network.
    """

    arch_settings = _MMDetResNet.arch_settings | {10: (BasicBlock, (1, 1, 1, 1))}

    def __init__(self, depth: int, **kwargs) -> None:
        settings = dict(norm_eval=False, out_indices=(3,)) | kwargs
        super().__init__(depth, **settings)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Levels ``out_indices``, finest first, of images ``(N, 3, H, W)``; stages behind the last one do not run."""
        stages = self.res_layers
        self.res_layers = stages[: max(self.out_indices) + 1]
        try:
            return super().forward(x)
        finally:
            self.res_layers = stages

    @contextmanager
    def first_levels(self, number: int) -> Iterator[None]:
        """Give only so many of the levels, for as long as the context lasts."""
        levels = self.out_indices
        self.out_indices = levels[:number]
        try:
            yield
        finally:
            self.out_indices = levels

    def train(self, mode: bool = True) -> "ResNet":
        """Training or evaluation mode; gives the module itself, as every module's does and mmdet's forgets."""
        super().train(mode)
        return self


class ResNetCIFAR(ResNet):
    """For images of 32 px: a 3x3 stem of stride 1 and no max-pool, strides 1, 2, 4, 8 (SimSiam, appendix D)."""

    def _make_stem_layer(self, in_channels: int, stem_channels: int) -> None:
        super()._make_stem_layer(in_channels, stem_channels)
        self.conv1 = nn.Conv2d(in_channels, stem_channels, kernel_size=3, stride=1, padding=1, bias=False)
        self.maxpool = nn.Identity()
