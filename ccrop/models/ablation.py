"""SimSiam without one of its parts, to show what each of them does (Chen & He, CVPR 2021, section 4)."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ccrop.models.full_precision import full_precision
from ccrop.models.simsiam import SimSiam

PARTS = ("stop_gradient", "predictor", "predictor_training", "bn")


def without_stop_gradient(p1: Tensor, p2: Tensor, z1: Tensor, z2: Tensor) -> Tensor:
    """Equation 4 without its stop-gradients: in [-1, 1], of predictions p and projections z, ``(N, d)`` each."""
    cosines = [F.cosine_similarity(full_precision(p), full_precision(z), dim=1).mean() for p, z in ((p1, z2), (p2, z1))]
    return -torch.stack(cosines).mean()


class SimSiamAblation(SimSiam):
    """SimSiam that lacks one part.

    Args:
        without: ``'stop_gradient'`` (section 4.1); ``'predictor'``, which is then the identity, or
            ``'predictor_training'``, which leaves it as it is at random (section 4.2); or ``'bn'`` of both heads
            (section 4.4).
        kwargs: SimSiam's.
    """

    def __init__(self, without: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if without not in PARTS:
            raise ValueError(f"without must be one of {', '.join(PARTS)}; got {without!r}")
        if without == "stop_gradient":
            self.criterion = without_stop_gradient
        elif without == "predictor":
            self.predictor = nn.Identity()
        elif without == "predictor_training":
            self.predictor.requires_grad_(False)
        else:
            for head in (self.projector, self.predictor):
                assert isinstance(head, nn.Sequential)
                for position, layer in enumerate(head):
                    if isinstance(layer, nn.BatchNorm1d):
                        head[position] = nn.Identity()
