"""What the methods need from the optimizer: parameter groups, a partly constant learning rate, autocast anywhere."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.logging import print_log
from mmengine.optim import CosineAnnealingLR, OptimWrapper
from mmengine.registry import OPTIM_WRAPPERS, OPTIMIZERS
from torch import nn

from ccrop.compat.distributed import unwrapped

PARAMWISE = ("fix_predictor_lr", "decay_vectors")


class PredictorGroups:
    """Optimizer wrapper constructor: parameters that are treated the same form a group.

    Args:
        optim_wrapper_cfg: its config; ``optimizer`` is the optimizer's.
        paramwise_cfg: ``fix_predictor_lr``, true by default: the predictor's learning rate is not decayed
            (SimSiam, Chen & He, CVPR 2021, section 4.2), if the schedule is :class:`CosineLR`. ``decay_vectors``, true
            by default: biases and BN's weights get weight decay; without it timm's Lars does not adapt their rate
            either (SimCLR, Chen et al., ICML 2020, and BYOL, Grill et al., NeurIPS 2020).

    Raises:
        ValueError: ``paramwise_cfg`` has another name.
    """

    def __init__(self, optim_wrapper_cfg: dict[str, Any], paramwise_cfg: dict[str, Any] | None = None) -> None:
        self.wrapper = dict(optim_wrapper_cfg)
        self.optimizer = dict(self.wrapper.pop("optimizer"))
        settings = paramwise_cfg or {}
        if unknown := set(settings) - set(PARAMWISE):
            raise ValueError(
                f"optim_wrapper.paramwise_cfg takes {' and '.join(PARAMWISE)}, not {', '.join(sorted(unknown))}"
            )
        self.fix_predictor_lr = settings.get("fix_predictor_lr", True)
        self.decay_vectors = settings.get("decay_vectors", True)

    def __call__(self, model: nn.Module) -> OptimWrapper:
        model = unwrapped(model)
        groups: dict[tuple[bool, bool], dict[str, Any]] = {}
        for name, parameter in model.named_parameters():
            if not parameter.requires_grad:
                continue
            in_predictor = name.startswith("predictor.")
            undecayed = parameter.ndim == 1 and not self.decay_vectors
            group = groups.setdefault((in_predictor, undecayed), dict(params=[]))
            group["params"].append(parameter)
            if in_predictor:
                group["fixed_lr"] = self.fix_predictor_lr
            if undecayed:
                group["weight_decay"] = 0.0
        optimizer = OPTIMIZERS.build(self.optimizer | dict(params=list(groups.values())))
        return OPTIM_WRAPPERS.build(self.wrapper | dict(optimizer=optimizer))


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
