"""A detector's backbone from a pretraining checkpoint: every weight is used, or the run stops."""

import re
from pathlib import Path

from mmengine.hooks import Hook
from mmengine.logging import MMLogger
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch import Tensor, nn

from ccrop.compat.checkpoint import load_checkpoint

RANDOM = "random"


def backbone_weights(file: str | Path) -> dict[str, Tensor]:
    """The backbone's tensors of a ccrop or mmdet checkpoint (``backbone.*``), or of a torchvision state dict.

    Raises:
        FileNotFoundError: there is no such file.
        UntrustedCheckpoint: see :func:`ccrop.compat.checkpoint.load_checkpoint`.
        ValueError: the file holds no backbone.
    """
    content = load_checkpoint(file)
    state = content.get("state_dict", content)
    prefix = "backbone."
    weights = {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}
    if not weights and "conv1.weight" in state:  # torchvision's names are mmdet's, and its classifier stays behind
        weights = {name: tensor for name, tensor in state.items() if not name.startswith("fc.")}
    if not weights:
        raise ValueError(
            f"{file} holds no backbone: no key starts with 'backbone.', and it is no state dict of torchvision's ResNet"
        )
    return weights


def load_backbone(backbone: nn.Module, file: str | Path) -> list[str]:
    """Load a checkpoint's backbone into a detector's.

    Returns:
        The checkpoint's stages (``layer4``, ...) that stay behind, because the detector's ResNet has fewer by
        its config's ``num_stages``.

    Raises:
        ValueError: a weight has no place, is missing or has another shape; lists them.
    """
    weights, own = backbone_weights(file), backbone.state_dict()
    stages = getattr(backbone, "num_stages", None)
    behind = {
        name for name in weights if stages and (stage := re.match(r"layer(\d+)\.", name)) and int(stage[1]) > stages
    }
    weights = {name: tensor for name, tensor in weights.items() if name not in behind}
    shapes = {name for name in weights.keys() & own.keys() if weights[name].shape != own[name].shape}
    odd = {
        "without a place in the detector": weights.keys() - own.keys(),
        "missing in the file": own.keys() - weights.keys(),
        "of another shape": shapes,
    }
    if any(odd.values()):
        lists = "".join(f"\n  {what}: {', '.join(sorted(names))}" for what, names in odd.items() if names)
        raise ValueError(
            f"the backbone of {file} does not fit the detector's: set model.backbone's depth, base_channels and "
            f"stem_channels to those of the pretraining{lists}"
        )
    backbone.load_state_dict(weights)
    return sorted({name.split(".")[0] for name in behind})


@HOOKS.register_module()
class BackboneInitHook(Hook):
    """Load the pretrained backbone when a run begins, after MMEngine's own initialisation.

    Args:
        init: ``'random'``, or a file, see :func:`load_backbone`.
    """

    def __init__(self, init: str) -> None:
        self.init = init

    def before_train(self, runner: Runner) -> None:
        logger = MMLogger.get_current_instance()
        if runner.iter or self.init == RANDOM:  # a resumed run has its weights
            return
        behind = load_backbone(runner.model.backbone, self.init)
        unused = f"; {', '.join(behind)} unused, the detector has no such stage" if behind else ""
        logger.info(f"backbone from {self.init}{unused}")
