"""A feature pyramid that keeps only its finest level."""

from collections.abc import Sequence

from mmcv.cnn import ConvModule
from mmdet.registry import MODELS
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn import functional as F


@MODELS.register_module()
class TopDownNeck(BaseModule):
    """The top-down path of FPN (Lin et al., CVPR 2017), which ends in one map at the finest level's stride.

    Small objects are found only on the finest level; an FPN also spends 3x3 convolutions on the coarser ones.

    Args:
        in_channels: of the backbone's levels, finest first.
        out_channels: of the map.
    """

    def __init__(self, in_channels: Sequence[int], out_channels: int, init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        norm = dict(type="BN")
        self.laterals = nn.ModuleList(
            ConvModule(channels, out_channels, 1, norm_cfg=norm, act_cfg=None) for channels in in_channels
        )
        self.output = ConvModule(out_channels, out_channels, 3, padding=1, norm_cfg=norm)

    def forward(self, maps: Sequence[Tensor]) -> tuple[Tensor]:
        """Levels ``(N, C_i, h_i, w_i)``, finest first, to one map ``(N, out_channels, h_0, w_0)``."""
        *finer, merged = (conv(level) for conv, level in zip(self.laterals, maps, strict=True))
        for level in reversed(finer):
            merged = level + F.interpolate(merged, size=level.shape[2:], mode="nearest")
        return (self.output(F.relu(merged)),)
