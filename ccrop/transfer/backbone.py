"""A detector's backbone from a checkpoint: every weight is used, or the run stops. A detector's gives heads too."""

from collections.abc import Mapping
from pathlib import Path

from mmengine.hooks import Hook
from mmengine.logging import MMLogger
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import Tensor, nn

from ccrop.compat.checkpoint import load_checkpoint

RANDOM = "random"
IMAGENET = "imagenet"  # the arm that starts from weights of ImageNet
PREFIX = "backbone."


def backbone_weights(file: str | Path) -> dict[str, Tensor]:
    """The backbone's tensors of a checkpoint (``backbone.*``), without the prefix.

    Raises:
        FileNotFoundError: there is no such file.
        UntrustedCheckpoint: see :func:`ccrop.compat.checkpoint.load_checkpoint`.
        ValueError: the file holds no backbone.
    """
    content = load_checkpoint(file)
    state = content.get("state_dict", content)
    weights = {name.removeprefix(PREFIX): tensor for name, tensor in state.items() if name.startswith(PREFIX)}
    if not weights:
        raise ValueError(f"{file} holds no backbone: no key starts with {PREFIX!r}")
    return weights


def load_weights(backbone: nn.Module, weights: Mapping[str, Tensor], file: str | Path, advice: str) -> None:
    """Load weights into a backbone, all or none.

    Args:
        file: where they come from, for the error.
        advice: what to do where they do not fit.

    Raises:
        ValueError: a weight has no place, is missing or has another shape; lists them.
    """
    own = backbone.state_dict()
    odd = {
        "without a place in the detector": weights.keys() - own.keys(),
        "missing in the file": own.keys() - weights.keys(),
        "of another shape": {name for name in weights.keys() & own.keys() if weights[name].shape != own[name].shape},
    }
    if any(odd.values()):
        lists = "".join(f"\n  {what}: {', '.join(sorted(names))}" for what, names in odd.items() if names)
        raise ValueError(f"the backbone of {file} does not fit the detector's: {advice}{lists}")
    backbone.load_state_dict(weights)


def load_heads(detector: nn.Module, file: str | Path) -> tuple[int, list[str]]:
    """Load neck and heads of a detector's checkpoint into a detector, as far as it has the same layers.

    Returns:
        How many tensors were loaded, and those of another shape, which stay as they are: a classifier of other
        categories.
    """
    parts = {name for name, _ in detector.named_children()} - {"backbone", "data_preprocessor"}
    content = load_checkpoint(file)
    own = detector.state_dict()
    known = {
        name: tensor
        for name, tensor in content.get("state_dict", content).items()
        if name.split(".")[0] in parts and name in own
    }
    fitting = {name: tensor for name, tensor in known.items() if tensor.shape == own[name].shape}
    detector.load_state_dict(fitting, strict=False)
    return len(fitting), sorted(known.keys() - fitting.keys())


class BackboneInitHook(Hook):
    """Load the pretrained backbone when a run begins, after MMEngine's own initialisation; of a detector its heads too.

    Args:
        init: ``'random'``, or a file, see :func:`backbone_weights` and :func:`load_heads`.
    """

    advice = "set model.backbone to that of the pretraining"

    def __init__(self, init: str) -> None:
        self.init = init

    def before_train(self, runner: Runner) -> None:
        if runner.iter or self.init == RANDOM:  # a resumed run has its weights
            return
        detector = runner.model.module if is_model_wrapper(runner.model) else runner.model
        note = self.load(detector.backbone)
        heads, others = load_heads(detector, self.init)
        if heads:
            note += f"; {heads} tensors of neck and heads too"
        if others:
            note += f", not {', '.join(others)}, which are of another shape"
        MMLogger.get_current_instance().info(f"backbone from {self.init}{note}")

    def load(self, backbone: nn.Module) -> str:
        """Load the file into the detector's backbone; gives what the log says of the rest of its weights."""
        load_weights(backbone, backbone_weights(self.init), self.init, self.advice)
        return ""
