"""Processes that train together, on GPUs or on CPUs; MMEngine's launchers all ask for a GPU."""

from typing import Any

import torch
from mmengine.dist import init_dist


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
        raise ValueError(f"launcher {launcher!r} needs GPUs; on CPUs start the processes with torchrun")
