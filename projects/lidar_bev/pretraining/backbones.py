"""The encoders as backbones of ccrop's methods; their weights keep the encoders' names, below ``backbone.``."""

from typing import Any

from mmengine.registry import TASK_UTILS
from torch import Tensor

from ccrop.backbones.contract import Level, LevelChoice
from ccrop.projects.lidar_bev.models import PillarEncoder, SparseEncoder


class OneLevel(LevelChoice):
    """What an encoder lacks to be a :class:`ccrop.backbones.Backbone`; its stride is in cells of the grid."""

    out_indices = (0,)

    @property
    def levels(self) -> tuple[Level, ...]:
        return (Level(self.out_channels, self.stride),)


class PillarBackbone(OneLevel, PillarEncoder):
    """:class:`.PillarEncoder` that takes its grid's config and gives a tuple of one map.

    Args:
        grid: config of :class:`.Grid`.
        kwargs: of the encoder.
    """

    def __init__(self, grid: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(TASK_UTILS.build(grid), **kwargs)

    def forward(self, sweeps: list[Tensor]) -> tuple[Tensor]:
        """Sweeps, N of ``(points, columns)``, to ``(N, out_channels, H / stride, W / stride)``."""
        return (super().forward(sweeps),)


class SparseBackbone(OneLevel, SparseEncoder):
    """:class:`.SparseEncoder` that takes its grid's config and gives a tuple of one map.

    Args:
        grid: config of :class:`.Grid`.
        kwargs: of the encoder.
    """

    def __init__(self, grid: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(TASK_UTILS.build(grid), **kwargs)

    def forward(self, sweeps: list[Tensor]) -> tuple[Tensor]:
        """Sweeps, N of ``(points, columns)``, to ``(N, out_channels, H / 8, W / 8)``."""
        return (super().forward(sweeps),)
