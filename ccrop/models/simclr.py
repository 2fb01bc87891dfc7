"""SimCLR: A Simple Framework for Contrastive Learning of Visual Representations (Chen et al., ICML 2020)."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch import distributed as dist
from torch.distributed.nn.functional import all_gather

from ccrop.backbones import BackboneLike
from ccrop.models import heads
from ccrop.models.full_precision import full_precision
from ccrop.models.siamese import Pool, Siamese, average, joined


def nt_xent(z1: Tensor, z2: Tensor, temperature: float = 0.2) -> Tensor:
    """Equation 1, averaged over both directions: each vector finds its pair among all others of the batch.

    Args:
        z1, z2: ``(N, d)``, row i of one and row i of the other a pair; computed in float32 or better. With several
            processes, the batch is that of all of them and gradients reach every one.
    """
    n = len(z1)
    z1, z2 = (F.normalize(full_precision(z), dim=1) for z in (z1, z2))
    own = torch.cat([z1, z2])
    first = 0
    if dist.is_initialized() and dist.get_world_size() > 1:
        z1, z2 = (torch.cat(all_gather(z)) for z in (z1, z2))
        first = n * dist.get_rank()
    logits = own @ torch.cat([z1, z2]).T / temperature
    index = torch.arange(first, first + n, device=own.device)
    itself = torch.cat([index, index + len(z1)])
    pair = torch.cat([index + len(z1), index])
    return F.cross_entropy(logits.scatter(1, itself[:, None], float("-inf")), pair)


class SimCLR(Siamese):
    """Two views attract each other, all other vectors of the batch repel.

    Both views pass the network as one batch, so that BN sees them together, as in the authors' code.

    Args:
        backbone, kwargs: see :class:`ccrop.models.Siamese`.
        channels: hidden width of the projector.
        out_channels: d, width of z; 128 in the paper.
        num_layers: layers of the projector; 2 in the paper.
        head_norm: BN after each of them, as in the authors' code, where the last one has a scale.
        temperature: of the softmax.
    """

    def __init__(
        self,
        backbone: BackboneLike,
        channels: int = 2048,
        out_channels: int = 128,
        num_layers: int = 2,
        head_norm: bool = True,
        temperature: float = 0.2,
        **kwargs: Any,
    ) -> None:
        super().__init__(backbone, **kwargs)
        head = heads.projector if head_norm else heads.without_bn
        self.projector = head(self.in_channels, channels, out_channels, num_layers)
        self.temperature = temperature

    def loss(self, views: list[Tensor], pool: Pool = average) -> dict[str, Tensor]:
        levels = [level.chunk(2) for level in self.extract_feat(joined(views))]
        vectors = [pool(maps, number) for number, maps in enumerate(zip(*levels, strict=True))]
        z1, z2 = self.projector(torch.cat(vectors)).chunk(2)
        self.embeddings = z1.detach()
        return dict(loss=nt_xent(z1, z2, self.temperature))
