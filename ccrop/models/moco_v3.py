"""MoCo v3: An Empirical Study of Training Self-Supervised Vision Transformers (Chen et al., ICCV 2021), for ResNets."""

from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.dist import all_gather, get_rank
from torch import Tensor

from ccrop.backbones import BackboneLike
from ccrop.models import heads
from ccrop.models.full_precision import full_precision
from ccrop.models.momentum_encoder import MomentumSiamese, cosine_momentum
from ccrop.models.siamese import Pool, average


def batch_info_nce(q: Tensor, k: Tensor, temperature: float = 1.0) -> Tensor:
    """Equation 1 and algorithm 1 (``ctr``): each query finds its key among those of the whole batch, times 2 T.

    Args:
        q: queries, ``(N, d)``.
        k: keys, ``(N, d)``, row i the pair of query i; no gradient reaches them. With several processes the batch is
            that of all of them, and the mean of their losses is the loss of one.
    """
    q, k = (F.normalize(full_precision(vectors), dim=1) for vectors in (q, k.detach()))
    logits = q @ torch.cat(all_gather(k)).T / temperature
    pair = len(q) * get_rank() + torch.arange(len(q), device=q.device)
    return 2 * temperature * F.cross_entropy(logits, pair)


class MoCoV3(MomentumSiamese):
    """Queries with a predictor against keys of a momentum encoder, both ways, without a queue.

    The momentum rises from ``momentum`` to 1 by a cosine over the run.

    Args:
        backbone, kwargs: see :class:`ccrop.models.Siamese`.
        channels: hidden width of projector and predictor; 4096 in the paper.
        out_channels: d, width of queries and keys; 256 in the paper.
        momentum: at the start; 0.99 in the paper.
        temperature: of the softmax; 1.0 in the paper for ResNets.
    """

    def __init__(
        self,
        backbone: BackboneLike,
        channels: int = 4096,
        out_channels: int = 256,
        momentum: float = 0.99,
        temperature: float = 1.0,
        **kwargs: Any,
    ) -> None:
        projector = partial(heads.projector, channels=channels, out_channels=out_channels, num_layers=2)
        super().__init__(backbone, projector, momentum, **kwargs)
        self.predictor = heads.predictor(out_channels, channels)
        self.temperature = temperature

    def loss(self, views: list[Tensor], pool: Pool = average) -> dict[str, Tensor]:
        z = [self.online(view, number, pool) for number, view in enumerate(views)]
        k1, k2 = (self.targets(view, number, pool) for number, view in enumerate(views))
        q1, q2 = (self.predictor(each) for each in z)
        self.embeddings = z[0].detach()
        return dict(loss=batch_info_nce(q1, k2, self.temperature) + batch_info_nce(q2, k1, self.temperature))

    def after_step(self, progress: float) -> None:
        self.follow(cosine_momentum(self.momentum, progress))
