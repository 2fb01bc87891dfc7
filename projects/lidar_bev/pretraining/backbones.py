"""The encoders as backbones of ccrop's methods; their weights keep the encoders' names, below ``backbone.``.

Each has one level, whose stride is in cells of the grid. As all backbones do, they give a tuple of maps, not the map
that the encoders give.
"""

from typing import Any

from mmengine.registry import TASK_UTILS
from torch import Tensor

from ccrop.backbones.base import BackboneModule, Level
from ccrop.projects.lidar_bev.models import PillarEncoder, SparseEncoder
from ccrop.projects.lidar_bev.models.encoders import Encoder


class SweepBackbone(BackboneModule, Encoder):
    """What makes an encoder, the next class of the method resolution order, a backbone.

    Args:
        grid: config of :class:`.Grid`.
        kwargs: of the encoder.
    """

    def __init__(self, grid: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(TASK_UTILS.build(grid), **kwargs)
        self.levels = (Level(self.out_channels, self.stride),)
        self.out_indices = (0,)

    def forward(self, sweeps: list[Tensor]) -> tuple[Tensor]:
        """Sweeps, N of ``(points, columns)``, to a tuple of one map ``(N, out_channels, H / stride, W / stride)``."""
        return (super().forward(sweeps),)


class PillarBackbone(SweepBackbone, PillarEncoder):  # type: ignore[misc]
    """:class:`.PillarEncoder` as a backbone, see :class:`SweepBackbone`."""


class SparseBackbone(SweepBackbone, SparseEncoder):  # type: ignore[misc]
    """:class:`.SparseEncoder` as a backbone, see :class:`SweepBackbone`."""
