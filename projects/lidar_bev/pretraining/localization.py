"""Clusters of the sweeps, localized at an interval: by geometry first, then increasingly by the encoder's features."""

import logging
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from mmengine.runner import Runner
from torch import Tensor
from torch.utils.data import DataLoader

from ccrop.available_cores import fitting_workers
from ccrop.datasets import BoxStore, LocatedDataset, ShardedBatches
from ccrop.hooks import LocalizationHook
from ccrop.inference.locate import LocatedBatch, gathered, in_turn
from ccrop.long_work import with_progress
from ccrop.models import Siamese
from ccrop.projects.lidar_bev.localizer import BevClusters
from ccrop.projects.lidar_bev.pretraining.pipeline import WholeSweep, collate_sweeps


class SweepLocalizationHook(LocalizationHook):
    """:class:`ccrop.hooks.LocalizationHook` for sweeps; the store's boxes are in fractions of the grid.

    The first localization comes before the first epoch and needs geometry alone: that is the warm-up. With every
    further one, the weight of the learned heatmap grows in equal steps, up to ``blend`` at the last.

    Args:
        localizer: config of :class:`.BevClusters`.
        blend: weight of the learned heatmap in the last localization, in [0, 1].
        interval: see the base class.
        batch_size: whole sweeps per batch.
        num_workers: processes that read them.
    """

    def __init__(
        self,
        localizer: dict[str, Any],
        blend: float = 0.5,
        interval: float = 0.2,
        batch_size: int = 8,
        num_workers: int = 2,
    ) -> None:
        super().__init__(localizer, warmup=0, interval=interval, batch_size=batch_size, num_workers=num_workers)
        self.localizer: BevClusters
        if not 0 <= blend <= 1:
            raise ValueError(f"blend must be in [0, 1], got {blend}")
        self.blend = blend

    def learned(self, step: int, total: int) -> float:
        """Weight of the learned heatmap in a localization before epoch ``step`` (from 0) of ``total``."""
        steps = self.schedule(total)
        return self.blend * sum(each <= step for each in steps[1:]) / max(1, len(steps) - 1)

    def probe(self, model: Siamese) -> None:
        """Nothing to check: the first localization comes before the first epoch."""

    def find(self, model: Siamese, dataset: LocatedDataset, runner: Runner) -> Iterator[LocatedBatch]:
        learned = self.learned(runner.epoch, runner.max_epochs)
        return located_sweeps(model, dataset, self.localizer, learned, self.batch_size, self.num_workers)

    def describe(self, store: BoxStore) -> dict[str, float]:
        """``clusters`` a sweep; ``no_box``, fraction of sweeps without; ``box_side``, median longer side in meters."""
        grid, numbers = self.localizer.grid, store.counts
        extent = np.array([high - low for low, high in zip(grid.low, grid.high, strict=True)][:2], np.float32)
        sides = np.concatenate(
            [
                ((boxes[..., 2:4] - boxes[..., :2]) * extent).max(-1)[np.arange(store.max_boxes) < counts[:, None]]
                for boxes, counts in store.chunks()
            ]
        )
        found = dict(clusters=len(sides) / len(store), no_box=(numbers == 0).float().mean().item())
        return found | dict(box_side=float(np.median(sides))) if len(sides) else found

    def report(self, runner: Runner, store: BoxStore, seconds: float) -> None:
        found = self.describe(store)
        learned = self.learned(runner.epoch, runner.max_epochs)
        line = (
            f"Localized {len(store)} sweeps in {seconds:.1f} s, learned heatmap {learned:.0%}: {found['clusters']:.2f} "
            f"boxes per sweep, with a median side of {found.get('box_side', 0):.1f} m"
        )
        runner.logger.log(logging.INFO if len(store.counts.nonzero()) else logging.WARNING, line)


def locate_sweeps(
    model: Siamese,
    dataset: LocatedDataset,
    localizer: BevClusters,
    learned: float,
    batch_size: int = 8,
    num_workers: int = 0,
) -> tuple[Tensor, Tensor]:
    """Boxes of all sweeps of a data set, see :func:`located_sweeps`.

    Returns:
        ``boxes (N, K, 5)`` and ``counts (N,)`` on the CPU, equal on every rank. Unreadable sweeps have none.
    """
    found = located_sweeps(model, dataset, localizer, learned, batch_size, num_workers)
    return gathered(found, len(dataset), localizer.max_boxes)


def located_sweeps(
    model: Siamese,
    dataset: LocatedDataset,
    localizer: BevClusters,
    learned: float,
    batch_size: int = 8,
    num_workers: int = 0,
) -> Iterator[LocatedBatch]:
    """Boxes of the sweeps of this rank's share of a data set, batch by batch.

    Args:
        model: in eval mode; the encoder does not run where ``learned`` is 0.
        learned: fraction of the learned heatmap.
    """
    share = ShardedBatches(len(dataset), batch_size)
    loader: DataLoader = DataLoader(
        dataset.with_pipeline([dict(type=WholeSweep)]),
        batch_sampler=share,
        num_workers=fitting_workers(num_workers),
        collate_fn=collate_sweeps,
        pin_memory=torch.cuda.is_available(),
    )
    shown = with_progress(loader, "localizing")
    for batch, turn in zip(shown, share, strict=True):
        sweeps = model.data_preprocessor(dict(sweeps=batch["sweeps"]))["sweeps"]
        features = model.extract_feat(sweeps)[-1] if learned else None
        yield in_turn(batch["index"], turn, *localizer(sweeps, features, learned))
