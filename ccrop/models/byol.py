"""BYOL: Bootstrap Your Own Latent, A New Approach to Self-Supervised Learning (Grill et al., NeurIPS 2020)."""

from functools import partial
from typing import Any

from torch import Tensor, nn

from ccrop.backbones import BackboneLike
from ccrop.models import heads
from ccrop.models.momentum_encoder import MomentumSiamese, cosine_momentum
from ccrop.models.siamese import Pool, average
from ccrop.models.simsiam import negative_cosine


def byol_loss(p1: Tensor, p2: Tensor, z1: Tensor, z2: Tensor) -> Tensor:
    """Equation 2 in both directions: mean of |p1/|p1| - z2/|z2||^2 + |p2/|p2| - z1/|z1||^2, in [0, 8].

    Args:
        p1, p2: the online network's predictions, ``(N, d)``.
        z1, z2: the target network's projections, ``(N, d)``; no gradient reaches them.
    """
    return 4 + 2 * (negative_cosine(p1, z2) + negative_cosine(p2, z1))


class BYOL(MomentumSiamese):
    """Predicts from one view what a slowly moving copy of the network outputs for the other.

    The momentum goes from ``momentum`` to ``final_momentum`` by a cosine over the run.

    Args:
        backbone, kwargs: see :class:`ccrop.models.Siamese`.
        channels: hidden width of projector and predictor; 4096 in the paper.
        out_channels: d, width of projections and predictions; 256 in the paper.
        momentum: at the start; 0.996 in the paper for 1000 epochs, 0.99 for 300 and fewer.
        final_momentum: at the end; 1 in the paper.
        copied_target: the target starts as a copy of the online network, as in the paper; otherwise, it starts from
            random weights of its own, as in ContrastiveCrop's released code.
    """

    def __init__(
        self,
        backbone: BackboneLike,
        channels: int = 4096,
        out_channels: int = 256,
        momentum: float = 0.996,
        final_momentum: float = 1.0,
        copied_target: bool = True,
        **kwargs: Any,
    ) -> None:
        projector = partial(heads.mlp, channels=channels, out_channels=out_channels)
        super().__init__(backbone, projector, momentum, **kwargs)
        self.predictor = heads.predictor(out_channels, channels)
        self.final_momentum = final_momentum
        self.copied_target = copied_target

    def init_weights(self) -> None:
        super().init_weights()
        if not self.copied_target:
            for module in self.target.modules():
                _call(module, "reset_parameters")
            _call(self.target["backbone"], "init_weights")
            self.follow(self.momentum)  # the released code follows before each step, not after it

    def loss(self, views: list[Tensor], pool: Pool = average) -> dict[str, Tensor]:
        online = [self.online(view, number, pool) for number, view in enumerate(views)]
        z1, z2 = (self.targets(view, number, pool) for number, view in enumerate(views))
        p1, p2 = (self.predictor(z) for z in online)
        self.embeddings = online[0].detach()
        return dict(loss=byol_loss(p1, p2, z1, z2))

    def after_step(self, progress: float) -> None:
        self.follow(cosine_momentum(self.momentum, progress, self.final_momentum))


def _call(module: nn.Module, method: str) -> None:
    """Call a module's method if it has one of this name."""
    if callable(found := getattr(module, method, None)):
        found()
