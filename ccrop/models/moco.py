"""MoCo: Momentum Contrast for Unsupervised Visual Representation Learning (He et al., CVPR 2020), v1 and v2."""

from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.dist import all_gather, broadcast, get_rank, get_world_size
from torch import Tensor, nn

from ccrop.backbones import BackboneLike
from ccrop.models import heads
from ccrop.models.full_precision import full_precision
from ccrop.models.momentum_encoder import MomentumSiamese
from ccrop.models.queue import Queue
from ccrop.models.siamese import Pool, average


def info_nce(q: Tensor, k: Tensor, negatives: Tensor, temperature: float = 0.07) -> Tensor:
    """Equation 1: each query finds its key among the negatives.

    Args:
        q: queries, ``(N, d)``.
        k: keys, ``(N, d)``, row i the pair of query i; no gradient reaches them.
        negatives: ``(K, d)``, of unit length; no gradient reaches them.
    """
    q, k = (F.normalize(full_precision(vectors), dim=1) for vectors in (q, k.detach()))
    positive = (q * k).sum(dim=1, keepdim=True)
    logits = torch.cat([positive, q @ negatives.detach().T], dim=1) / temperature
    return F.cross_entropy(logits, torch.zeros(len(q), dtype=torch.long, device=q.device))


def shuffled(images: Tensor) -> tuple[Tensor, Tensor]:
    """Images ``(N, ...)`` drawn from those of all processes, and the order ``(N x processes,)`` that they are drawn by.

    Collective: the order is the first rank's, every rank gets its own part of it.
    """
    every = torch.cat(all_gather(images.contiguous()))
    order = torch.randperm(len(every), device=images.device)
    broadcast(order)
    return every[order.view(-1, len(images))[get_rank()]], order


def unshuffled(vectors: Tensor, order: Tensor) -> Tensor:
    """Undo :func:`shuffled` for what was computed of each image, ``(N, ...)``. Collective."""
    every = torch.cat(all_gather(vectors.contiguous()))
    return every[order.argsort().view(-1, len(vectors))[get_rank()]]


class MoCo(MomentumSiamese):
    """Queries against the keys of a momentum encoder: one pair each, a queue of earlier keys as negatives.

    With several processes and plain BN, keys are computed of shuffled images (section 3.3, shuffling BN), so that a
    query and its key share no batch statistics; with SyncBN they are not shuffled.

    Args:
        backbone, kwargs: see :class:`ccrop.models.Siamese`.
        channels: hidden width of the head, 2048 in v2; v1 has no hidden layer.
        out_channels: d, width of queries and keys; 128 in the papers.
        num_layers: layers of the head: 1 in v1, 2 in v2.
        queue_size: K, keys that serve as negatives; 65536 in the papers.
        momentum: of the key encoder; 0.999 in the papers.
        temperature: of the softmax: 0.07 in v1, 0.2 in v2 (Chen et al., arXiv 2003.04297).
    """

    def __init__(
        self,
        backbone: BackboneLike,
        channels: int = 2048,
        out_channels: int = 128,
        num_layers: int = 2,
        queue_size: int = 65536,
        momentum: float = 0.999,
        temperature: float = 0.2,
        **kwargs: Any,
    ) -> None:
        projector = partial(heads.without_bn, channels=channels, out_channels=out_channels, num_layers=num_layers)
        super().__init__(backbone, projector, momentum, **kwargs)
        self.queue = Queue(queue_size, out_channels)
        self.temperature = temperature

    def loss(self, views: list[Tensor], pool: Pool = average) -> dict[str, Tensor]:
        query, key = views
        q = self.online(query, 0, pool)
        k = self.targets(key, 1, pool)
        loss = info_nce(q, k, self.queue.vectors, self.temperature)
        self.queue.push(F.normalize(full_precision(k), dim=1))
        self.embeddings = q.detach()
        return dict(loss=loss)

    @torch.no_grad()
    def targets(self, view: Tensor, number: int, pool: Pool) -> Tensor:
        backbone = self.target["backbone"]
        if get_world_size() == 1 or any(isinstance(module, nn.SyncBatchNorm) for module in backbone.modules()):
            return super().targets(view, number, pool)
        if not isinstance(view, Tensor):
            raise ValueError(
                "MoCo shuffles images over the processes, which it cannot do with sweeps: use one process, or another "
                "method"
            )
        images, order = shuffled(view)
        maps = backbone(images.contiguous(memory_format=torch.channels_last))
        if self.regions is None:
            maps = [F.adaptive_avg_pool2d(maps[-1], 1)]  # whose average is itself: less to send
        return self.target["projector"](pool([unshuffled(level, order) for level in maps], number, target=True))

    def after_step(self, progress: float) -> None:
        self.follow(self.momentum)
