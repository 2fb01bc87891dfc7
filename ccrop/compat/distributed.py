"""Processes that train together, on GPUs or on CPUs; MMEngine's launchers all require a GPU."""

from typing import Any

import torch
from mmengine.dist import init_dist
from mmengine.model import convert_sync_batchnorm, is_model_wrapper
from torch import nn


def init_distributed(launcher: str, dist_cfg: dict[str, Any]) -> None:
    """Join the process group that a launcher started.

    Args:
        launcher: ``'pytorch'``, ``'slurm'`` or ``'mpi'``; without a GPU only ``'pytorch'`` (torchrun), over gloo.
        dist_cfg: of MMEngine's ``env_cfg``.

    Raises:
        ValueError: another launcher without a GPU.
    """
    if torch.cuda.is_available():
        init_dist(launcher, **dist_cfg)
    elif launcher == "pytorch":
        torch.distributed.init_process_group("gloo")
    else:
        raise ValueError(f"launcher {launcher!r} needs GPUs; on CPUs, start the processes with torchrun")


def with_synchronized_bn(model: nn.Module) -> nn.Module:
    """A copy of the model with SyncBN instead of BN.

    timm's networks have a BN with an activation in it, which MMEngine's conversion loses and timm's own keeps.
    """
    if not any(type(module).__module__.startswith("timm.") for module in model.modules()):
        return convert_sync_batchnorm(model)
    from timm.layers import convert_sync_batchnorm as convert  # only if timm is already in use

    return convert(model)


def unwrapped(model: nn.Module) -> Any:
    """The model itself, which several processes wrap."""
    return model.module if is_model_wrapper(model) else model
