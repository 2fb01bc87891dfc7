"""SimSiam: Exploring Simple Siamese Representation Learning (Chen & He, CVPR 2021)."""

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from ccrop.backbones import BackboneLike
from ccrop.models import heads
from ccrop.models.full_precision import full_precision
from ccrop.models.siamese import Pool, Siamese, average


def negative_cosine(p: Tensor, z: Tensor) -> Tensor:
    """D(p, stopgrad(z)) of equations 1 and 3: the mean of -cos(p, z), without a gradient to z.

    Args:
        p, z: ``(N, d)``; computed in float32.
    """
    return -F.cosine_similarity(full_precision(p), full_precision(z.detach()), dim=1).mean()


def simsiam_loss(p1: Tensor, p2: Tensor, z1: Tensor, z2: Tensor) -> Tensor:
    """Equation 4: the symmetric loss in [-1, 1] of predictions p and projections z, ``(N, d)`` each."""
    return (negative_cosine(p1, z2) + negative_cosine(p2, z1)) / 2


class SimSiam(Siamese):
    """Two views, one backbone, a predictor on one side and a stop-gradient on the other.

    Args:
        backbone, kwargs: see :class:`ccrop.models.Siamese`.
        channels: d, width of the projector and of z.
        bottleneck: hidden width of the predictor; a quarter of ``channels`` in the paper.
        num_layers: layers of the projector; 3 in the paper, 2 for CIFAR.
    """

    criterion = staticmethod(simsiam_loss)

    def __init__(
        self,
        backbone: BackboneLike,
        channels: int = 2048,
        bottleneck: int = 512,
        num_layers: int = 3,
        **kwargs: Any,
    ) -> None:
        super().__init__(backbone, **kwargs)
        self.projector = heads.projector(self.in_channels, channels, channels, num_layers)
        self.predictor: nn.Module = heads.predictor(channels, bottleneck)

    def loss(self, views: list[Tensor], pool: Pool = average) -> dict[str, Tensor]:
        z1, z2 = (self.projector(pool(self.extract_feat(view), number)) for number, view in enumerate(views))
        p1, p2 = self.predictor(z1), self.predictor(z2)
        self.embeddings = z1.detach()
        return dict(loss=self.criterion(p1, p2, z1, z2))
