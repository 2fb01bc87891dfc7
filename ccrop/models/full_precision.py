"""The precision that losses are computed in, whatever that of the run, see :mod:`ccrop.mixed_precision`."""

import torch
from torch import Tensor


def full_precision(vectors: Tensor) -> Tensor:
    """Half-precision vectors in float32, since half precision is too coarse for norms and softmax; others unchanged."""
    return vectors.to(torch.promote_types(vectors.dtype, torch.float32))
