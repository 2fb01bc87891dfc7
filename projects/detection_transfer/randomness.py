"""Random numbers of transforms."""

from functools import cached_property
from typing import Any

import numpy as np
import torch
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.runner import Runner

from ccrop.datasets.trained_files import innermost


class OwnRandomness:
    """A generator that follows the run's seed and differs between workers and kinds of transforms."""

    @cached_property
    def rng(self) -> np.random.Generator:
        return np.random.default_rng([torch.initial_seed(), *type(self).__name__.encode()])


class SeededTransformsHook(Hook):
    """Seeds the transforms from (seed, iteration, rank) for every batch, so a resumed run draws what it would have.

    Only if the main process loads the batches: workers are ahead of the iteration by a varying number of batches.
    """

    def before_train(self, runner: Runner) -> None:
        loader = runner.train_dataloader
        steps = [step for dataset in innermost(loader.dataset) for step in dataset.pipeline.transforms]
        self._random = [step for step in steps if isinstance(step, OwnRandomness) and not loader.num_workers]
        self._seed(runner, runner.iter)

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        self._seed(runner, runner.iter + 1)

    def _seed(self, runner: Runner, iteration: int) -> None:
        for step in self._random:
            step.rng = np.random.default_rng([runner.seed, iteration, get_rank(), *type(step).__name__.encode()])
