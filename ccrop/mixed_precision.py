"""The precision that a run trains in: float32, or bf16 or fp16 by autocast."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.optim import AmpOptimWrapper, OptimWrapper
from mmengine.registry import OPTIM_WRAPPERS
from torch import nn


@OPTIM_WRAPPERS.register_module()
class AutocastOptimWrapper(OptimWrapper):
    """Mixed precision in bf16, without loss scaling, on GPUs and on CPUs; MMEngine's AmpOptimWrapper refuses CPUs.

    A CPU without bf16 instructions computes in float32: emulated, bf16 takes about thirty times as long.

    Args:
        dtype: ``'bfloat16'``; fp16 needs loss scaling and a GPU: use MMEngine's AmpOptimWrapper.

    Attributes:
        cast_dtype: what autocast computes in, None if it is off.
    """

    def __init__(self, dtype: str = "bfloat16", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if dtype != "bfloat16":
            raise ValueError(f"dtype must be 'bfloat16', got {dtype!r}; for fp16 use MMEngine's AmpOptimWrapper")
        self.cast_dtype = torch.bfloat16 if has_bf16() else None
        if self.cast_dtype is None:
            print_log("This CPU has no bf16 instructions: training in float32", logger="current")

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        device = next(model.parameters()).device.type
        with super().optim_context(model), torch.autocast(device, self.cast_dtype, enabled=self.cast_dtype is not None):
            yield


def has_bf16() -> bool:
    """Whether there is a GPU, or a CPU that multiplies bf16 numbers in hardware."""
    return torch.cuda.is_available() or cpu_has_bf16()


def cpu_has_bf16() -> bool:
    """Whether this CPU multiplies bf16 numbers in hardware (AVX-512 BF16 or AMX)."""
    capabilities = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def require_gpu_for_fp16(config: Config) -> None:
    """Refuse MMEngine's mixed precision where there is no GPU.

    Raises:
        ValueError: says what to set instead.
    """
    kind = config.optim_wrapper.get("type")
    kind = OPTIM_WRAPPERS.get(kind) if isinstance(kind, str) else kind
    if kind is AmpOptimWrapper and not torch.cuda.is_available():
        raise ValueError("optim_wrapper.type=AmpOptimWrapper needs a GPU; --amp bf16 runs on the CPU too")


def set_precision(config: Config, amp: str) -> None:
    """Train in mixed precision, ``'bf16'`` or ``'fp16'`` (GPU only), or in float32 (``'no'``)."""
    if amp == "bf16":
        config.optim_wrapper.merge(dict(type=AutocastOptimWrapper, dtype="bfloat16"))
    elif amp == "fp16":
        config.optim_wrapper.merge(dict(type=AmpOptimWrapper, dtype="float16"))
    else:
        config.optim_wrapper.type = OptimWrapper
        config.optim_wrapper.pop("dtype", None)
