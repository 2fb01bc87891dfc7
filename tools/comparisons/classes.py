"""kNN and linear classification of whole images."""

import argparse
from collections.abc import Sequence

import numpy as np
import torch
from mmengine.config import Config

from ccrop.evaluation import choose_learning_rate, knn_accuracy, linear_probe
from ccrop.models import Siamese
from ccrop.tools.comparisons.measure import Measure
from ccrop.tools.evaluations.classes import class_features

NEIGHBOURS = (20, 200)
RANDOM = "rcrop"


def fits(config: Config) -> bool:
    """Whether the config has a kNN of classes."""
    return bool(config.default_hooks.get("knn"))


@torch.no_grad()
def measured(config: Config, model: Siamese, args: argparse.Namespace) -> dict[str, float]:
    """kNN, and linear classification at the rate chosen on training images, on the sets of the run's kNN."""
    (train, train_labels), (test, labels), _ = class_features(config, model)
    row = {f"knn_{k}": knn_accuracy(train, train_labels, test, labels, k) for k in NEIGHBOURS}
    rate = choose_learning_rate(train, train_labels)
    (predicted,) = linear_probe(train, train_labels, test, [rate]).values()
    return row | dict(linear=(predicted == labels).float().mean().item())


def gains(rows: Sequence[dict[str, str]]) -> str:
    """What each crop gives over random crops, on seeds that both have: the mean over methods.

    Arms are named as configs are, ``{method}_{crop}_{data}``, and a tag may follow.
    """
    runs = {(row["arm"], row["seed"]): np.array([100 * float(row[name]) for name in MEASURE.shown]) for row in rows}
    arms = [arm for arm, _ in runs]
    gained: dict[str, dict[str, list[np.ndarray]]] = {}
    for (arm, seed), figures in runs.items():
        method, crop, data = [*arm.split("_", 2), "", ""][:3]
        random = f"{method}_{RANDOM}_{data}"
        baseline = max((other for other in arms if f"{random}_".startswith(f"{other}_")), key=len, default=arm)
        if baseline != arm and (baseline, seed) in runs:
            variant = crop + random.removeprefix(baseline)
            gained.setdefault(variant, {}).setdefault(baseline, []).append(figures - runs[baseline, seed])
    lines = []
    for variant, methods in gained.items():
        mean = np.mean([np.mean(seeds, axis=0) for seeds in methods.values()], axis=0)
        points = ", ".join(f"{title} {value:+.2f}" for title, value in zip(MEASURE.shown.values(), mean, strict=True))
        lines.append(f"- {variant} over {RANDOM}, points, mean of {len(methods)}: {points}")
    return "\n".join(lines)


MEASURE = Measure(
    columns=(*(f"knn_{k}" for k in NEIGHBOURS), "linear"),
    shown={"knn_20": "kNN, k 20", "knn_200": "kNN, k 200", "linear": "linear"},
    plotted=("knn_200", "linear"),
    fits=fits,
    model=measured,
    note=gains,
)
