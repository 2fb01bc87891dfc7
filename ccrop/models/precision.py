"""In which precision losses are computed."""

import torch
from torch import Tensor


def full_precision(vectors: Tensor) -> Tensor:
    """Half-precision vectors in float32, too coarse otherwise for norms and softmax; others as they are."""
    return vectors.to(torch.promote_types(vectors.dtype, torch.float32))
