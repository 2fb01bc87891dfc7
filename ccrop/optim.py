"""What the methods need from the optimizer: groups of parameters with their own rates and weight decay."""

from typing import Any

from mmengine.optim import OptimWrapper
from mmengine.registry import OPTIM_WRAPPERS, OPTIMIZERS
from torch import nn

from ccrop.compat.distributed import unwrapped

# their names in configs of earlier runs
from ccrop.mixed_precision import AutocastOptimWrapper as AutocastOptimWrapper
from ccrop.schedule import CosineLR as CosineLR

PARAMWISE = ("fix_predictor_lr", "decay_vectors")


class PredictorGroups:
    """Optimizer wrapper constructor: parameters that are treated the same form a group.

    Args:
        optim_wrapper_cfg: its config; ``optimizer`` is the optimizer's.
        paramwise_cfg: ``fix_predictor_lr``, true by default: the predictor's learning rate is not decayed
            (SimSiam, Chen & He, CVPR 2021, section 4.2), if the schedule is :class:`.CosineLR`. ``decay_vectors``, true
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
