"""The same random numbers in an iteration, whether or not the run was interrupted before it."""

from typing import Any

import numpy as np
import torch
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.runner import Runner


class ReproducibleHook(Hook):
    """Seeds torch before every iteration from (seed, iteration, rank), for the augmentation on the device.

    The workers' random numbers depend on (seed, epoch, index) already, see :class:`ccrop.datasets.LocatedDataset`, so
    a resumed run needs no generator state.
    """

    priority = "VERY_HIGH"

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        seed = np.random.SeedSequence((runner.seed, runner.iter, get_rank())).generate_state(1, np.uint64)[0]
        torch.manual_seed(int(seed))
