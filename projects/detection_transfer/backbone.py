"""A ResNet of mmdet from a checkpoint: every weight is used, or the run stops."""

import re
from pathlib import Path

from torch import Tensor, nn

from ccrop import transfer
from ccrop.compat.checkpoint import load_checkpoint


def backbone_weights(file: str | Path) -> dict[str, Tensor]:
    """The backbone's tensors of a ccrop or mmdet checkpoint (``backbone.*``), or of a torchvision state dict.

    Raises:
        FileNotFoundError: there is no such file.
        UntrustedCheckpoint: see :func:`ccrop.compat.checkpoint.load_checkpoint`.
        ValueError: the file holds no backbone.
    """
    state = load_checkpoint(file)
    if "conv1.weight" in state:  # torchvision's names are mmdet's, and its classifier stays behind
        return {name: tensor for name, tensor in state.items() if not name.startswith("fc.")}
    try:
        return transfer.backbone_weights(file)
    except ValueError as error:
        raise ValueError(f"{error}, and it is no state dict of torchvision's ResNet") from None


def load_backbone(backbone: nn.Module, file: str | Path) -> list[str]:
    """Load a checkpoint's backbone into a detector's.

    Returns:
        The checkpoint's stages (``layer4``, ...) that stay behind, because the detector's ResNet has fewer by
        its config's ``num_stages``.

    Raises:
        ValueError: a weight has no place, is missing or has another shape; lists them.
    """
    weights = backbone_weights(file)
    stages = getattr(backbone, "num_stages", None)
    behind = {
        name for name in weights if stages and (stage := re.match(r"layer(\d+)\.", name)) and int(stage[1]) > stages
    }
    used = {name: tensor for name, tensor in weights.items() if name not in behind}
    advice = "set model.backbone's depth, base_channels and stem_channels to those of the pretraining"
    transfer.load_weights(backbone, used, file, advice)
    return sorted({name.split(".")[0] for name in behind})


class BackboneInitHook(transfer.BackboneInitHook):
    """Load the pretrained ResNet when a run begins, and neck and heads where the file is a detector's.

    Args:
        init: ``'random'``, or a file, see :func:`load_backbone`.
    """

    def load(self, backbone: nn.Module) -> str:
        behind = load_backbone(backbone, self.init)
        return f"; {', '.join(behind)} unused, the detector has no such stage" if behind else ""
