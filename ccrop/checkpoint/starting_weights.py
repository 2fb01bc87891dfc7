"""What a run starts from, according to its command line and its config."""

from collections.abc import Collection, Iterable

from mmengine.config import Config
from torch import nn

from ccrop.checkpoint.loading import COUNTER, NOT_HEADS, load_backbone, load_heads
from ccrop.checkpoint.weights import RANDOM, Weights, read_weights


def starting_weights(config: Config, init: str | None) -> Weights | None:
    """The weights that a run starts from, None for random ones; the config keeps their source as ``init``.

    MMEngine's own ``load_from`` means the same here: MMEngine would train from random weights if none fit.

    Args:
        init: ``'random'``, or a source as in :func:`ccrop.checkpoint.read_weights`; by default ``load_from`` or
            ``init`` of the config.

    Raises:
        ValueError: ``init`` and ``load_from`` both specify weights; or see there.
    """
    if init and config.get("load_from"):
        raise ValueError(f"--init {init} and load_from={config.load_from} both specify weights: remove load_from")
    config.init = init or config.get("load_from") or config.get("init") or RANDOM
    config.load_from = None
    return None if config.init == RANDOM else read_weights(config.init)


def load_start(model: nn.Module, weights: Weights) -> str:
    """Load weights into a model's ``backbone``, and into neck and heads where they match.

    Returns:
        Lines for the log.

    Raises:
        ValueError: see :func:`load_backbone`.
    """
    tensors, channels, left_behind = load_backbone(model.get_submodule("backbone"), weights)
    heads, others = load_heads(model, weights)
    unused = dict.fromkeys(name.split(".")[0] for name in weights.others)
    shared = {name for name in unused if name not in NOT_HEADS and hasattr(model, name)}
    own = model.state_dict()
    random = _layers((name for name in own if name not in weights.others), shared)
    unknown = _layers((name for name in weights.others if name not in own), shared)
    behind = [*left_behind, *(name for name in unused if name not in shared), *unknown]
    notes = [f"backbone from {weights.source} ({weights.origin}), all {tensors} tensors of it"]
    if channels:
        notes.append(f"first convolution of {channels[1]} channels, each the sum of its {channels[0]} / {channels[1]}")
    if heads or others:
        left = f", not {', '.join(others)}, which are of a different shape" if others else ""
        notes.append(f"{heads} tensors of the neck and heads as well{left}")
    if random:
        notes.append(f"random, because the file lacks them: {', '.join(random)}")
    if behind:
        notes.append(f"left behind: {', '.join(behind)}")
    if weights.has_boxes:
        notes.append("its boxes belong to the data of that run and are not used")
    return "; ".join(notes)


def _layers(tensors: Iterable[str], parts: Collection[str]) -> list[str]:
    """The layers of a model's parts that tensors belong to, such as ``neck.levels`` of ``neck.levels.0.weight``."""
    split = [name.split(".") for name in tensors if not name.endswith(COUNTER)]
    return list(dict.fromkeys(".".join(name[:2]) for name in split if name[0] in parts))
