"""``tools/evaluate.py window-knn``: do an encoder's maps tell objects from each other and from background?"""

import numpy as np
import torch
from torch import Tensor

from ccrop.evaluation import knn_predict
from ccrop.evaluation.roi_knn import balanced_accuracy, region_features
from ccrop.models import Siamese
from ccrop.projects.lidar_bev.center_recall import centers_of
from ccrop.projects.lidar_bev.datasets import SweepDataset
from ccrop.projects.lidar_bev.localizer import BevClusters
from ccrop.projects.lidar_bev.pretraining.annotated_sweeps import bounds

MIN_POINTS = 10
APART = 3.0  # meters from all objects, of a cluster that is background


@torch.no_grad()
def labeled_windows(model: Siamese, dataset: SweepDataset, localizer: BevClusters) -> tuple[Tensor, Tensor]:
    """Features ``(M, C)`` of windows, 2 x 2 bins each, and their classes ``(M,)``, on the CPU.

    Windows are the bounds of labeled objects with ``MIN_POINTS`` points or more, and as many clusters of geometry
    that lie ``APART`` from every labeled object: background, the class after the last.

    Args:
        model: in eval mode.
        dataset: labeled.
        localizer: on the encoder's grid.

    Raises:
        ValueError: no object has that many points on the grid.
    """
    grid, device = localizer.grid, next(model.parameters()).device
    area = (*grid.low[:2], *grid.high[:2])
    features, labels = [], []
    for _, known in dataset.readable():
        inside = ((known["boxes"][:, :2] > area[:2]) & (known["boxes"][:, :2] < area[2:])).all(axis=1)
        counted = inside & (known["num_points"] >= MIN_POINTS) & (known["labels"] >= 0)
        sweeps = [torch.from_numpy(known["points"]).to(device)]
        boxes, counts = (each.cpu() for each in localizer(sweeps))
        centers = centers_of(boxes, counts, area)[0]
        far = np.ones(len(centers), dtype=bool)
        if len(known["boxes"]):
            distance = np.hypot(*np.moveaxis(centers[:, None] - known["boxes"][:, :2], -1, 0))
            far = distance.min(axis=1) >= APART
        others = boxes[0, : len(far), :4][torch.from_numpy(far)][: counted.sum()]
        windows = torch.cat([torch.from_numpy(bounds(known["boxes"][counted], grid)), others])
        features.append(region_features(model.extract_feat(sweeps), windows.to(device))[-1].float().cpu())
        background = np.full(len(others), len(dataset.classes))
        labels.append(torch.from_numpy(np.concatenate([known["labels"][counted], background])))
    if not any(map(len, features)):
        raise ValueError(
            f"{dataset.data_root}: none of {len(dataset)} labeled sweeps has an object of {', '.join(dataset.classes)} "
            f"with {MIN_POINTS} points or more on the encoder's grid"
        )
    return torch.cat(features), torch.cat(labels)


def window_knn(
    bank: tuple[Tensor, Tensor], queries: tuple[Tensor, Tensor], classes: tuple[str, ...], k: int = 20
) -> dict[str, float]:
    """Accuracy of each class's queries by their nearest neighbors in the bank, and the mean over classes.

    Features are standardized by the bank's mean and standard deviation and compared by cosine.

    Args:
        bank, queries: of :func:`labeled_windows`.
        classes: names of the labels.
        k: neighbors.
    """
    mean, std = bank[0].mean(dim=0), bank[0].std(dim=0).clamp(min=1e-6)
    correct = knn_predict((bank[0] - mean) / std, bank[1], (queries[0] - mean) / std, k) == queries[1]
    found = {"mean over classes": balanced_accuracy(correct, queries[1])}
    for label, name in enumerate((*classes, "background")):
        if (queries[1] == label).any():
            found[name] = correct[queries[1] == label].float().mean().item()
    return found
