"""SwAV: Unsupervised Learning of Visual Features by Contrasting Cluster Assignments (Caron et al., NeurIPS 2020)."""

from collections.abc import Sequence
from itertools import groupby
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.dist import all_reduce, get_rank, get_world_size
from torch import Tensor, nn

from ccrop.backbones import BackboneLike
from ccrop.models import heads
from ccrop.models.full_precision import full_precision
from ccrop.models.queue import Queue
from ccrop.models.siamese import Pool, Siamese, average, joined

ASSIGNED = 2  # views that give codes: the first, large ones


@torch.no_grad()
def sinkhorn(scores: Tensor, epsilon: float = 0.05, iterations: int = 3) -> Tensor:
    """Codes of equation 3 to 5: exp(scores / epsilon), scaled so that prototypes are used equally (Sinkhorn-Knopp).

    Args:
        scores: cosines ``(N, K)`` of vectors and prototypes. With several processes, the equal use holds for the
            vectors of all of them.
        epsilon: smoothness; small ones give nearly hard codes.
        iterations: over columns and rows.

    Returns:
        ``(N, K)``, float32, rows of sum 1; no gradient.
    """
    codes = ((full_precision(scores) - 1) / epsilon).exp()
    for _ in range(iterations):
        used = codes.sum(dim=0)
        all_reduce(used)
        codes = codes / used
        codes = codes / codes.sum(dim=1, keepdim=True)
    return codes


def swav_loss(scores: Sequence[Tensor], codes: Sequence[Tensor], temperature: float = 0.1) -> Tensor:
    """Equations 1, 2 and 6: every view predicts the codes of the first views, but none its own; the mean over all.

    Args:
        scores: cosines ``(N, K)`` of each view and the prototypes.
        codes: ``(N, K)`` of the first views; no gradient reaches them.
        temperature: of the softmax over the prototypes.
    """
    predictions = [F.log_softmax(full_precision(each) / temperature, dim=1) for each in scores]
    losses = [
        -(code.detach() * prediction).sum(dim=1).mean()
        for assigned, code in enumerate(codes)
        for predicting, prediction in enumerate(predictions)
        if predicting != assigned
    ]
    return torch.stack(losses).mean()


def size_of(view: Tensor | list[Tensor]) -> torch.Size | None:
    """Height and width of images; None for sweeps, which all go through the backbone together."""
    return view.shape[2:] if isinstance(view, Tensor) else None


class SwAV(Siamese):
    """Each view predicts which of the learned prototypes the other one belongs to; views may be of several sizes.

    The first two views give the codes, so these should be the large ones; views of one size must be adjacent. Vectors
    of earlier batches join in the equal use of prototypes from epoch ``queue_from`` on, as soon as the queue is full.

    Args:
        backbone, kwargs: see :class:`ccrop.models.Siamese`.
        channels: hidden width of the projector; 2048 in the paper.
        out_channels: d, width of z and of the prototypes; 128 in the paper.
        num_prototypes: K; 3000 in the paper.
        temperature: of the softmax over the prototypes.
        epsilon: see :func:`sinkhorn`; 0.05 in the paper.
        queue_size: vectors of earlier batches, of all processes together; 3840 in the paper.
        queue_from: epochs before the queue is used, 15 in the paper; a float is a fraction of the run.
        frozen_epochs: epochs in which the prototypes do not learn; 1 in the paper.
    """

    def __init__(
        self,
        backbone: BackboneLike,
        channels: int = 2048,
        out_channels: int = 128,
        num_prototypes: int = 3000,
        temperature: float = 0.1,
        epsilon: float = 0.05,
        queue_size: int = 3840,
        queue_from: float = 15,
        frozen_epochs: int = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__(backbone, **kwargs)
        self.projector = heads.mlp(self.in_channels, channels, out_channels)
        self.prototypes = nn.Linear(out_channels, num_prototypes, bias=False)
        self.queues = nn.ModuleList(Queue(queue_size, out_channels) for _ in range(ASSIGNED))
        self.temperature = temperature
        self.epsilon = epsilon
        self.queue_from = queue_from
        self.frozen_epochs = frozen_epochs
        self.prototypes_frozen = frozen_epochs > 0
        self.uses_queue = False

    def before_epoch(self, epoch: int, epochs: int) -> None:
        start = round(self.queue_from * epochs) if isinstance(self.queue_from, float) else self.queue_from
        self.prototypes_frozen = epoch < self.frozen_epochs
        self.uses_queue = epoch >= start and self._queue(0).is_full()

    def loss(self, views: list[Tensor], pool: Pool = average) -> dict[str, Tensor]:
        z = self._project(views, pool)
        self.embeddings = z[0].detach()
        with torch.autocast(z[0].device.type, enabled=False):
            prototypes = self._unit_prototypes()
            scores = [each @ prototypes.T for each in z]
            codes = [self._codes(number, scores[number], prototypes) for number in range(ASSIGNED)]
            for number in range(ASSIGNED):
                self._queue(number).push(z[number])
            return dict(loss=swav_loss(scores, codes, self.temperature))

    def _project(self, views: list[Tensor], pool: Pool) -> Sequence[Tensor]:
        """z ``(M, d)`` of each view, of unit length, float32; views of one size go through the backbone together."""
        vectors = []
        for _, group in groupby(enumerate(views), key=lambda numbered: size_of(numbered[1])):
            numbers, images = zip(*group, strict=True)
            levels = [level.chunk(len(images)) for level in self.extract_feat(joined(images))]
            for maps, number in zip(zip(*levels, strict=True), numbers, strict=True):
                vectors.append(pool(maps, number))
        return F.normalize(full_precision(self.projector(torch.cat(vectors))), dim=1).chunk(len(views))

    def _unit_prototypes(self) -> Tensor:
        """``(K, d)`` of unit length, which the weights themselves are brought to."""
        weight = self.prototypes.weight
        with torch.no_grad():
            weight.copy_(F.normalize(weight, dim=1))
        # a gradient of zero, because DDP waits for one of every weight
        return weight.detach() + 0 * weight if self.prototypes_frozen else weight

    def _queue(self, number: int) -> Queue:
        """Of the earlier vectors of one of the views that give codes."""
        queue = self.queues[number]
        assert isinstance(queue, Queue)
        return queue

    @torch.no_grad()
    def _codes(self, number: int, scores: Tensor, prototypes: Tensor) -> Tensor:
        """Codes ``(M, K)`` of a view, together with this rank's part of the view's queue if that is used."""
        if not self.uses_queue:
            return sinkhorn(scores, self.epsilon)
        earlier = self._queue(number).vectors[get_rank() :: get_world_size()] @ prototypes.T
        return sinkhorn(torch.cat([earlier, scores]), self.epsilon)[-len(scores) :]
