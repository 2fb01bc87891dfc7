"""Is the embedding alive? Metrics that drop when a Siamese network collapses.

:class:`ccrop.hooks.HealthHook` decides by them whether a run has collapsed; a finished run is
judged by :mod:`ccrop.evaluation.health_verdict`.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def embedding_std(z: Tensor) -> Tensor:
    """Mean over channels of the std of z / |z|, times sqrt(d): about 1 when healthy, 0 when collapsed.

    SimSiam (Chen & He, CVPR 2021, section 4.1 and figure 2).

    Args:
        z: ``(N, d)``.

    Returns:
        A scalar tensor on z's device.
    """
    return F.normalize(z.float(), dim=1).std(dim=0, unbiased=False).mean() * z.shape[1] ** 0.5


def effective_rank(z: Tensor) -> Tensor:
    """exp of the entropy of the normalized singular values (Roy & Vetterli, EUSIPCO 2007), in [1, min(N, d)].

    Args:
        z: ``(N, d)``, not all zero.
    """
    z = z.double()
    gram = z @ z.T if len(z) < z.shape[1] else z.T @ z
    singular = torch.linalg.eigvalsh(gram).clamp(min=0).sqrt()
    share = singular / singular.sum()
    return torch.special.entr(share).sum().exp()
