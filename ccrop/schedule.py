"""The learning-rate schedule: its decay, fitted to the length of a run, and again when a run is resumed with another.

Each config of a method has its own as ``param_scheduler``.
"""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.optim import CosineAnnealingLR, OptimWrapper
from mmengine.runner import IterBasedTrainLoop, Runner

from ccrop.wording import counted


class CosineLR(CosineAnnealingLR):
    """Cosine decay that leaves parameter groups marked ``fixed_lr`` at their first learning rate."""

    def _get_value(self) -> list[float]:
        groups = self.optimizer.param_groups
        return [
            group["lr"] if group.get("fixed_lr") else value
            for group, value in zip(groups, super()._get_value(), strict=True)
        ]


def fit_schedule(schedulers: Sequence[Mapping[str, Any]], epochs: int) -> list[dict[str, Any]]:
    """Learning-rate schedulers for a run: ``begin``, ``end`` and ``milestones`` given as floats are fractions of it.

    A fraction is rounded to whole epochs, at least one. A scheduler without an ``end`` ends with the run, and one
    with no epochs left is dropped.

    Args:
        schedulers: their configs.
        epochs: the run's.

    Raises:
        ValueError: the run has no epochs.
    """
    if epochs < 1:
        raise ValueError(f"a run needs at least one epoch, got train_cfg.max_epochs={epochs}")

    def epoch(length: float) -> int:
        return max(1, round(length * epochs)) if isinstance(length, float) else length

    fitted = []
    for scheduler in schedulers:
        own = {"begin": 0, "end": epochs, **scheduler}
        own |= {name: epoch(own[name]) for name in ("begin", "end")}
        if "milestones" in own:
            own["milestones"] = [epoch(each) for each in own["milestones"]]
        if own["begin"] < own["end"]:
            fitted.append(own)
    return fitted


def group_settings(optim_wrapper: OptimWrapper) -> list[dict[str, Any]]:
    """Of each parameter group, everything but the parameters."""
    return [{name: value for name, value in group.items() if name != "params"} for group in optim_wrapper.param_groups]


def refit_schedule(runner: Runner, settings: Sequence[Mapping[str, Any]]) -> None:
    """Give a resumed run the learning rates that its config's schedule has after what is done.

    Args:
        runner: resumed without its checkpoint's schedule.
        settings: the config's, of each parameter group, see :func:`group_settings`.
    """
    for group, own in zip(runner.optim_wrapper.param_groups, settings, strict=True):
        group.update(own, lr=own.get("initial_lr", own["lr"]))
    runner.param_schedulers = runner.build_param_scheduler(copy.deepcopy(runner.cfg.param_scheduler))
    by_iteration = isinstance(runner.train_loop, IterBasedTrainLoop)
    epoch_length = len(runner.train_dataloader)
    for step in range(1, (runner.iter if by_iteration else runner.epoch * epoch_length) + 1):
        for scheduler in runner.param_schedulers:
            if not scheduler.by_epoch or (step % epoch_length == 0 and not by_iteration):
                scheduler.step()
    rates = ", ".join(f"{rate:.4g}" for rate in dict.fromkeys(runner.optim_wrapper.get_lr()["lr"]))
    length = counted(runner.max_iters, "iteration") if by_iteration else counted(runner.max_epochs, "epoch")
    runner.logger.info(f"The schedule is fitted to {length}; learning rate {rates}")
