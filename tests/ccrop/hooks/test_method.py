"""When a method is told where the run is."""

from types import SimpleNamespace

import pytest
import torch
from mmengine.optim import OptimWrapper
from torch import nn

from ccrop.hooks import MethodHook


class Told(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))
        self.epochs, self.steps = [], []

    def before_epoch(self, epoch: int, epochs: int) -> None:
        self.epochs.append((epoch, epochs))

    def after_step(self, progress: float) -> None:
        self.steps.append(progress)


@pytest.mark.parametrize(
    ("accumulative_counts", "progress"), [(1, [0, 0.2, 0.4, 0.6, 0.8]), (2, [0.2, 0.6, 0.8]), (5, [0.8])]
)
@pytest.mark.parametrize("wrap", [lambda model: model, nn.DataParallel], ids=["bare", "wrapped"])
def test_each_epoch_and_each_step_of_the_optimizer_but_no_batch_between(wrap, accumulative_counts, progress):
    model = Told()
    wrapper = OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.1), accumulative_counts=accumulative_counts)
    wrapper.initialize_count_status(model, 0, 5)
    runner = SimpleNamespace(model=wrap(model), optim_wrapper=wrapper, epoch=3, max_epochs=7, max_iters=5)
    hook = MethodHook()
    hook.before_train_epoch(runner)
    for runner.iter in range(5):
        wrapper.update_params(model.weight.sum())
        hook.after_train_iter(runner, runner.iter)
    assert model.epochs == [(3, 7)]
    assert model.steps == progress  # the last batch makes a step however many wait
