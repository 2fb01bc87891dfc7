"""A batch that does not fit into the machine's memory: on a CPU, the system would kill the run without a word."""

import os
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from ccrop.available_memory import available_memory

ROOM = 0.9  # of the available memory, for what the backward pass needs; the rest is used only for a moment


class BatchTooLargeError(MemoryError):
    """A batch does not fit into memory."""


class BatchMemoryHook(Hook):
    """Ends a run on a CPU, in the forward pass of its first iteration, if the batch is too large for the memory.

    It counts what autograd keeps for the backward pass. A GPU refuses by itself, see :mod:`ccrop.failures`.
    """

    def __init__(self) -> None:
        self.counting: saved_tensors_hooks | None = None
        self.seen = False

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        if not self.seen and next(runner.model.parameters()).device.type == "cpu":
            self.counting = self._counting(runner.model, batch_size(runner.train_dataloader))
            self.counting.__enter__()
        self.seen = True

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        self._stop()

    def _stop(self) -> None:
        if self.counting is not None:
            self.counting.__exit__()
            self.counting = None

    def _counting(self, model: nn.Module, number: int) -> saved_tensors_hooks:
        """Hooks that count what is kept in addition to the weights.

        Raises:
            BatchTooLargeError: from the forward pass.
        """
        available = available_memory() / int(os.environ.get("LOCAL_WORLD_SIZE", 1))  # torchrun's
        counted = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
        kept = 0

        def count(tensor: Tensor) -> Tensor:
            nonlocal kept
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in counted:
                counted.add(storage.data_ptr())
                kept += storage.nbytes()
                if kept > ROOM * available:
                    self._stop()
                    raise BatchTooLargeError(
                        f"a batch of {number} does not fit into the available memory ({available / 1e9:.1f} GB): "
                        "lower train_dataloader.batch_size"
                    )
            return tensor

        return saved_tensors_hooks(count, lambda tensor: tensor)


def batch_size(loader: Any) -> int:
    """Examples in a full batch of a loader, in each process."""
    return loader.batch_size or loader.batch_sampler.batch_size
