"""kNN and linear classification of whole images."""

import argparse

import numpy as np
import torch
from evaluations.classes import class_features
from mmengine.config import Config

from ccrop.evaluation import knn_accuracy, linear_probe
from ccrop.models import Siamese
from comparisons.measure import Arms, Measure

NEIGHBOURS = (20, 200)
RANDOM, OWN = "rcrop", "ccrop"


def fits(config: Config) -> bool:
    """Whether the config has a kNN of classes."""
    return bool(config.default_hooks.get("knn"))


@torch.no_grad()
def measured(config: Config, model: Siamese, args: argparse.Namespace) -> dict[str, float]:
    """kNN, and the best rate's linear classification, on the sets of the run's kNN."""
    (train, train_labels), (test, labels), _ = class_features(config, model)
    row = {f"knn_{k}": knn_accuracy(train, train_labels, test, labels, k) for k in NEIGHBOURS}
    found = linear_probe(train, train_labels, test)
    return row | dict(linear=max((predicted == labels).float().mean().item() for predicted in found.values()))


def gains(arms: Arms) -> str:
    """What ContrastiveCrop gives over random crops, in the mean over the methods of which both were measured."""
    pairs = [(arm, arm.replace(OWN, RANDOM)) for arm in arms if OWN in arm and arm.replace(OWN, RANDOM) in arms]
    if not pairs:
        return ""
    parts = []
    for name, title in MEASURE.shown.items():
        gained = [np.mean(arms[own][name]) - np.mean(arms[other][name]) for own, other in pairs]
        parts.append(f"{title} {np.mean(gained):+.2f}")
    return f"\n{OWN} over {RANDOM}, points, mean of {len(pairs)}: {', '.join(parts)}"


MEASURE = Measure(
    columns=(*(f"knn_{k}" for k in NEIGHBOURS), "linear"),
    shown={"knn_20": "kNN, k 20", "knn_200": "kNN, k 200", "linear": "linear"},
    plotted=("knn_200", "linear"),
    fits=fits,
    model=measured,
    note=gains,
)
