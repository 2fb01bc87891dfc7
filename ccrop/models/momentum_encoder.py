"""A target network that follows the online one by an exponential moving average (EMA) of its weights."""

import copy
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from ccrop.backbones import BackboneLike
from ccrop.models.siamese import Pool, Siamese


def cosine_momentum(base: float, progress: float, final: float = 1.0) -> float:
    """final - (final - base) (cos(pi progress) + 1) / 2 (BYOL, Grill et al., NeurIPS 2020, section 3.3, with final 1).

    Args:
        progress: fraction of the run's iterations done, in [0, 1].
    """
    return final - (final - base) * (math.cos(math.pi * progress) + 1) / 2


class MomentumSiamese(Siamese):
    """Base of the methods whose targets come from a second backbone and projector that no gradient reaches.

    The target starts equal to the online network. Its BN layers normalize by their own batches and keep their own
    running statistics; only weights follow. Subclasses call :meth:`follow` in :meth:`after_step`.

    Args:
        projector: makes the head of the online network, of the number of its input channels; the target gets a copy.
        momentum: fraction of the target's weights that a step keeps.
        backbone, kwargs: see :class:`ccrop.models.Siamese`.
    """

    def __init__(
        self,
        backbone: BackboneLike,
        projector: Callable[[int], nn.Module],
        momentum: float,
        **kwargs: Any,
    ) -> None:
        super().__init__(backbone, **kwargs)
        if not 0 <= momentum <= 1:
            raise ValueError(f"momentum must be in [0, 1], got {momentum}")
        self.projector = projector(self.in_channels)
        self.momentum = momentum
        online: dict[str, nn.Module] = dict(backbone=self.backbone, projector=self.projector)
        self.target = nn.ModuleDict(copy.deepcopy(online)).requires_grad_(False)

    def init_weights(self) -> None:
        super().init_weights()
        self.weights_changed()  # the target was initialized for itself

    def weights_changed(self) -> None:
        super().weights_changed()
        for name, module in self.target.items():
            module.load_state_dict(getattr(self, name).state_dict())

    def online(self, view: Tensor, number: int, pool: Pool) -> Tensor:
        """Projections ``(M, d)`` of view ``number``, ``(N, 3, H, W)``."""
        return self.projector(pool(self.extract_feat(view), number))

    @torch.no_grad()
    def targets(self, view: Tensor, number: int, pool: Pool) -> Tensor:
        """The target network's projections ``(M, d)`` of view ``number``, ``(N, 3, H, W)``; no gradient."""
        return self.target["projector"](pool(self.target["backbone"](view), number, target=True))

    def follow(self, momentum: float) -> None:
        """target = momentum x target + (1 - momentum) x online, for all weights."""
        online = [parameter for name in self.target for parameter in getattr(self, name).parameters()]
        get_ema_multi_avg_fn(momentum)(list(self.target.parameters()), online, None)
