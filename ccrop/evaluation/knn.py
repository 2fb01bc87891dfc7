"""Weighted k-nearest-neighbor classification on frozen features."""

import torch
import torch.nn.functional as F
from torch import Tensor


def knn_predict(
    bank: Tensor, bank_labels: Tensor, queries: Tensor, k: int = 200, temperature: float = 0.07, chunk: int = 1024
) -> Tensor:
    """Classes by votes exp(cos / temperature) of the k nearest (Wu et al., CVPR 2018, section 3.4).

    Args:
        bank: features ``(M, C)`` with classes ``bank_labels (M,)``, int64.
        queries: features ``(N, C)``.
        k: neighbors, at most M of them.
        chunk: queries at a time, which bounds the memory at ``chunk`` x M similarities.

    Returns:
        Classes ``(N,)``.
    """
    bank = F.normalize(bank.float(), dim=1)
    num_classes = int(bank_labels.max()) + 1
    predictions = []
    for part in F.normalize(queries.float(), dim=1).split(chunk):
        similarity, nearest = (part @ bank.T).topk(min(k, len(bank)), dim=1)
        votes = torch.zeros(len(part), num_classes, device=part.device)
        votes.scatter_add_(1, bank_labels[nearest], ((similarity - 1) / temperature).exp())
        predictions.append(votes.argmax(dim=1))
    return torch.cat(predictions)


def note_on_unknown(bank_labels: Tensor, labels: Tensor) -> str | None:
    """A line on queries of classes that the bank has no example of, so that none of them can be right, if any."""
    unknown = int((~torch.isin(labels, bank_labels)).sum())
    if not unknown:
        return None
    return f"{unknown} of {len(labels)} test images are of classes without a training image: none can be right"


def knn_accuracy(
    bank: Tensor, bank_labels: Tensor, queries: Tensor, labels: Tensor, k: int = 200, temperature: float = 0.07
) -> float:
    """Fraction of queries ``(N, C)`` whose predicted class is that of ``labels (N,)``, in [0, 1]."""
    return (knn_predict(bank, bank_labels, queries, k, temperature) == labels).float().mean().item()
