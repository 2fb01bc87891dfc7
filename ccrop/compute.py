"""The cost of a pretraining run, and runs of a given cost."""

import copy
import os
from time import process_time

from mmengine.config import Config
from mmengine.registry import MODELS
from mmengine.runner import Runner
from torch.utils.flop_counter import FlopCounterMode


def step_cost(config: Config) -> tuple[int, float]:
    """Steps per epoch, and 10^12 floating-point operations of one step, forward and backward."""
    model = MODELS.build(copy.deepcopy(config.model))
    settings = copy.deepcopy(config.train_dataloader) | dict(num_workers=0, persistent_workers=False)
    settings.pop("resident", None)  # one batch is as quick from files
    loader = Runner.build_dataloader(settings)
    batch = model.data_preprocessor(next(iter(loader)), training=True)
    with FlopCounterMode(display=False) as counter:
        model(**batch, mode="loss")["loss"].backward()
    return len(loader), counter.get_total_flops() / 1e12


def fit_to_budget(config: Config, tflop: float) -> float:
    """Give a run the number of whole epochs closest to a budget, at least one.

    Args:
        tflop: 10^12 floating-point operations of training; localization does not count.

    Returns:
        What the run will cost, in the same unit.
    """
    steps, cost = step_cost(config)
    config.train_cfg.max_epochs = max(1, round(tflop / cost / steps))
    return config.train_cfg.max_epochs * steps * cost


def core_seconds() -> float:
    """CPU seconds of this process so far, and of its children that have ended."""
    spent = os.times()
    return process_time() + spent.children_user + spent.children_system
