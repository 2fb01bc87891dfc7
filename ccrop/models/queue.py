"""A first-in, first-out queue of vectors of earlier batches, for MoCo and SwAV."""

import torch
import torch.nn.functional as F
from mmengine.dist import all_gather
from torch import Tensor, nn


class Queue(nn.Module):
    """The latest vectors of all processes, first in, first out; the same on every rank and part of every checkpoint.

    Args:
        size: K, vectors that it holds.
        channels: d, their width.

    Attributes:
        vectors: ``(K, d)``; of unit length and random until they are replaced. A new tensor after each push, so
            that a loss of the old ones can still be differentiated.
        pushed: vectors so far, a scalar tensor.
    """

    vectors: Tensor
    pushed: Tensor

    def __init__(self, size: int, channels: int) -> None:
        super().__init__()
        if size < 1:
            raise ValueError(f"size must be positive, got {size}")
        self.register_buffer("vectors", F.normalize(torch.randn(size, channels), dim=1))
        self.register_buffer("pushed", torch.zeros((), dtype=torch.long))

    @torch.no_grad()
    def push(self, vectors: Tensor) -> None:
        """Replace the oldest vectors with ``(N, d)`` of each process, in the order of ranks; the last K stay.

        Collective: every rank must call it, with equal N.
        """
        size = len(self.vectors)
        new = torch.cat(all_gather(vectors.contiguous()))
        rows = (self.pushed + torch.arange(len(new), device=new.device))[-size:] % size
        self.vectors = self.vectors.index_copy(0, rows, new[-size:].to(self.vectors.dtype))
        self.pushed += len(new)

    def is_full(self) -> bool:
        """Whether no random vector is left; synchronizes with the device."""
        return self.pushed.item() >= len(self.vectors)
