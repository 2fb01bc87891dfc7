"""Pretraining runs measured by the classes of images: kNN and linear classification."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from mmengine.config import Config

from ccrop.datasets import ImageDataset
from ccrop.evaluation import choose_learning_rate, knn_accuracy, linear_probe
from ccrop.experiments.pretrainings import schema_of
from ccrop.experiments.rows import Row
from ccrop.experiments.schema import Schema
from ccrop.inference.features import class_features
from ccrop.models import Siamese

NEIGHBORS = (20, 200)
SHOWN = {"knn_20": "kNN, k 20", "knn_200": "kNN, k 200", "linear": "linear"}
RANDOM_CROPS = "rcrop"


def gains(rows: Sequence[Row]) -> str:
    """The gain of each crop over random crops, on common seeds: the mean over methods.

    Arms are named like configs, ``{method}_{crop}_{data}``, optionally followed by a tag.
    """
    runs = {(row["arm"], row["seed"]): np.array([100 * float(row[name]) for name in SHOWN]) for row in rows}
    arms = [arm for arm, _ in runs]
    gained: dict[str, dict[str, list[np.ndarray]]] = {}
    for (arm, seed), values in runs.items():
        method, crop, data = [*arm.split("_", 2), "", ""][:3]
        random = f"{method}_{RANDOM_CROPS}_{data}"
        baseline = max((other for other in arms if f"{random}_".startswith(f"{other}_")), key=len, default=arm)
        if baseline != arm and (baseline, seed) in runs:
            variant = crop + random.removeprefix(baseline)
            gained.setdefault(variant, {}).setdefault(baseline, []).append(values - runs[baseline, seed])
    lines = []
    for variant, methods in gained.items():
        mean = np.mean([np.mean(seeds, axis=0) for seeds in methods.values()], axis=0)
        points = ", ".join(f"{title} {value:+.2f}" for title, value in zip(SHOWN.values(), mean, strict=True))
        lines.append(f"- {variant} over {RANDOM_CROPS}, points, mean of {len(methods)}: {points}")
    return "\n".join(lines)


@dataclass(frozen=True)
class ClassMeasure:
    """kNN and a linear probe on whole images, on the sets of the run's kNN."""

    schema: ClassVar[Schema] = schema_of(tuple(SHOWN), SHOWN, ("knn_200", "linear"), gains)

    def fits(self, config: Config) -> bool:
        """Whether the config has a kNN over classes."""
        return bool(config.default_hooks.get("knn"))

    @torch.no_grad()
    def of_model(self, config: Config, model: Siamese) -> dict[str, float]:
        """Accuracies, of the linear probe at the learning rate chosen on training images."""
        (train, train_labels), (test, labels), _ = class_features(config, model)
        row = {f"knn_{k}": knn_accuracy(train, train_labels, test, labels, k) for k in NEIGHBORS}
        rate = choose_learning_rate(train, train_labels)
        (predicted,) = linear_probe(train, train_labels, test, [rate]).values()
        return row | dict(linear=(predicted == labels).float().mean().item())

    def of_dataset(self, dataset: ImageDataset) -> dict[str, float]:
        """Nothing: classes do not say where objects are."""
        return {}
