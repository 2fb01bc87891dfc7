"""Evaluating a model during its training."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from ccrop.models import Siamese


@contextmanager
def evaluating(runner: Runner) -> Iterator[Siamese]:
    """The runner's bare model in eval mode, without gradients and in the training precision."""
    model = runner.model.module if is_model_wrapper(runner.model) else runner.model
    dtype = getattr(runner.optim_wrapper, "cast_dtype", None)
    device = next(model.parameters()).device.type
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad(), torch.autocast(device, dtype, enabled=dtype is not None):
            yield model
    finally:
        model.train(was_training)
