"""A frozen copy of the backbone that a run started from, to keep the backbone near it."""

import copy
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ccrop.backbones import BackboneModule
from ccrop.models.full_precision import full_precision


class StartDistillation(nn.Module):
    """Cosine loss between a map of the backbone and the same map of its start, in addition to a method's loss.

    Continued pretraining forgets what ImageNet's labels taught. GFM (Mendieta et al., ICCV 2023, arXiv 2302.04476)
    keeps the frozen start as a teacher: the map of an intermediate stage, through a linear projector, must keep
    its direction, and the stages after it are free. GFM compares averages over the map; here every cell counts,
    because objects are small. The projector starts as the identity, so a short run is not pulled anywhere at first.

    Args:
        backbone: see :class:`ccrop.backbones.Backbone`; is copied.
        level: which of its maps; GFM uses the second-to-last stage.
        weight: in addition to the method's loss, 1 in GFM.

    Raises:
        ValueError: the backbone gives no such map.
    """

    def __init__(self, backbone: BackboneModule, level: int = -2, weight: float = 1.0) -> None:
        super().__init__()
        maps = len(backbone.channels)
        if not -maps <= level < maps:
            raise ValueError(
                f"the start is compared at map {level}, but the backbone gives {maps}: set model.distillation.level, "
                "-1 for the last map"
            )
        channels = backbone.channels[level]
        self.start = copy.deepcopy(backbone).requires_grad_(False).eval()
        self.projector = nn.Conv2d(channels, channels, 1)
        nn.init.dirac_(self.projector.weight)
        assert self.projector.bias is not None
        nn.init.zeros_(self.projector.bias)
        self.level = level
        self.weight = weight
        self._losses: list[Tensor] = []

    def train(self, mode: bool = True) -> "StartDistillation":
        """The start stays in eval mode: its BN keeps its statistics."""
        super().train(mode)
        self.start.eval()
        return self

    def copy_from(self, backbone: nn.Module) -> None:
        """Use a backbone's weights as the start."""
        self.start.load_state_dict(backbone.state_dict())

    def compare(self, images: Tensor | list[Tensor], maps: Sequence[Tensor]) -> None:
        """Compare the backbone's maps ``(N, C_i, h_i, w_i)`` of images ``(N, C, H, W)`` with the start's."""
        with torch.no_grad():
            then = self.start(images)[self.level]
        now = self.projector(maps[self.level])
        self._losses.append(-F.cosine_similarity(full_precision(now), full_precision(then), dim=1).mean())

    def loss(self) -> Tensor:
        """The weighted mean, in [-weight, weight], of everything compared since the last call."""
        losses, self._losses = self._losses, []
        return self.weight * torch.stack(losses).mean()
