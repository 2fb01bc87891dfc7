"""Loading weights into a network: every tensor of the backbone, or none and an error that says what does not fit."""

import re
from collections.abc import Iterable
from itertools import product
from typing import NamedTuple

from torch import Tensor, nn

from ccrop.checkpoint.architectures import Shapes, looks_like
from ccrop.checkpoint.layouts import StateDict, is_head
from ccrop.checkpoint.weights import Weights, require_finite

EXAMPLES = 4  # of the names in an error
COUNTER = "num_batches_tracked"  # of BN, which older files do not have
LAST_LAYERS = {"conv_head", "bn2", "norm", "fc_norm"}  # of timm's networks, after their last map
NOT_HEADS = {"target", "queue", "queues", "distillation", "data_preprocessor"}
STAGE = re.compile(r"(layer|(?:blocks|stages|layers|features)\.)(\d+)\.")


class Loaded(NamedTuple):
    """What was loaded into a backbone.

    Attributes:
        tensors: how many, which is all it has.
        channels: of the file's first convolution and of the backbone's, if they differ.
        left_behind: first names of what the backbone does not have: the classifier, stages that were cut off.
    """

    tensors: int
    channels: tuple[int, int] | None
    left_behind: tuple[str, ...]


def load_backbone(backbone: nn.Module, weights: Weights) -> Loaded:
    """Load weights into a backbone, which gets all of its tensors from them.

    A wrapper around either network does not matter. The file's classifier and whole stages after the backbone's
    last one may be left out. BN's batch counters may be missing. For a first convolution with a different number
    of channels, see :func:`adapted`.

    Raises:
        ValueError: a tensor is missing, unexpected or of a different shape; then nothing was loaded.
    """
    own = backbone.state_dict()
    own_prefix, their_prefix = _prefixes(own, weights.backbone)
    expected = {name.removeprefix(own_prefix): tensor for name, tensor in own.items()}
    found = {name.removeprefix(their_prefix): tensor for name, tensor in weights.backbone.items()}
    behind = _left_behind(found, expected)
    taken = {name: tensor for name, tensor in found.items() if name not in behind and not name.endswith(COUNTER)}
    taken |= {name: found.get(name, tensor) for name, tensor in expected.items() if name.endswith(COUNTER)}
    channels = _fit_first_convolution(_first_convolution(backbone, own_prefix), taken, expected)
    if odd := _differences(_shapes(taken), _shapes(expected)):
        raise ValueError(_misfit(weights.source, looks_like(_shapes(found)), looks_like(_shapes(expected)), odd))
    backbone.load_state_dict({f"{own_prefix}{name}": tensor for name, tensor in taken.items()})
    return Loaded(len(own), channels, tuple(dict.fromkeys(map(_module, behind))))


def load_heads(model: nn.Module, weights: Weights) -> tuple[int, list[str]]:
    """Load what else a model has in common with the weights' model: neck and heads.

    A target network and a queue are not loaded: one follows the backbone, the other belongs to other images.

    Returns:
        How many tensors were loaded, and those of a different shape, which are kept unchanged: a classifier
        of other categories.

    Raises:
        ValueError: see :func:`.weights.require_finite`; then nothing was loaded.
    """
    own = model.state_dict()
    known = {
        name: tensor for name, tensor in weights.others.items() if name in own and name.split(".")[0] not in NOT_HEADS
    }
    fitting = {name: tensor for name, tensor in known.items() if tensor.shape == own[name].shape}
    require_finite(weights.source, fitting)
    model.load_state_dict(fitting, strict=False)
    return len(fitting), sorted(known.keys() - fitting.keys())


def require_same_tensors(model: nn.Module, state: StateDict, source: str) -> None:
    """Refuse to resume a model from a checkpoint of another one.

    Args:
        state: of the checkpoint.
        source: its path.

    Raises:
        ValueError: a tensor is missing, unexpected or of a different shape.
    """
    if odd := _differences(_shapes(state), _shapes(model.state_dict())):
        raise ValueError(
            f"{source} cannot be resumed, because its model is not this run's: repeat the options of its model, or "
            f"start a new run from its weights with --init {source}{_examples(odd)}"
        )


def adapted(weight: Tensor, channels: int) -> Tensor:
    """A first convolution ``(out, in, h, w)`` for another number of input channels, ``(out, channels, h, w)``.

    Every channel gets the sum over the channels divided by their new number, so an image whose channels are all
    equal activates the filters as before: a gray image as its three equal channels, and vice versa.
    """
    return weight.sum(dim=1, keepdim=True).expand(-1, channels, -1, -1) / channels


def _left_behind(found: StateDict, expected: StateDict) -> list[str]:
    """Tensors that a backbone may leave in the file if it lacks them: they come after its last map."""
    last: dict[str, int] = {}
    for stage in filter(None, map(STAGE.match, expected)):
        last[stage[1]] = max(int(stage[2]), last.get(stage[1], 0))

    def may_stay(name: str) -> bool:
        stage = STAGE.match(name)
        cut_off = stage is not None and int(stage[2]) > last.get(stage[1], int(stage[2]))
        return cut_off or is_head(name) or name.split(".")[0] in LAST_LAYERS

    return [name for name in found if name not in expected and may_stay(name)]


def _module(name: str) -> str:
    """What a tensor belongs to, for a log: a stage or a layer of the network."""
    stage = STAGE.match(name)
    return stage[0].removesuffix(".") if stage else name.split(".")[0]


def _prefixes(own: StateDict, theirs: StateDict) -> tuple[str, str]:
    """The shortest prefixes, of all names of either, without which most names are common to both."""

    def common(pair: tuple[str, str]) -> int:
        return sum(f"{pair[0]}{name.removeprefix(pair[1])}" in own for name in theirs)

    return max(product(_shared_prefixes(own), _shared_prefixes(theirs)), key=common)


def _shared_prefixes(names: Iterable[str]) -> list[str]:
    """``""``, ``a.``, ``a.b.`` and so on, for as long as all names start with it."""
    names = list(names)
    parts = names[0].split(".")[:-1]
    prefixes = ["".join(f"{part}." for part in parts[:length]) for length in range(len(parts) + 1)]
    return [prefix for prefix in prefixes if all(name.startswith(prefix) for name in names)]


def _first_convolution(backbone: nn.Module, prefix: str) -> str | None:
    """Name of the weight of a network's first layer, if that is a convolution."""
    for name, module in backbone.named_modules():
        if isinstance(getattr(module, "weight", None), Tensor):
            return f"{name}.weight".removeprefix(prefix) if isinstance(module, nn.Conv2d) else None
    return None


def _fit_first_convolution(name: str | None, found: StateDict, expected: StateDict) -> tuple[int, int] | None:
    """Adapt a first convolution in place; returns its numbers of channels, found and expected, if they differ."""
    if name is None or name not in found or found[name].ndim != 4:
        return None
    (out, channels, *kernel), (own_out, own_channels, *own_kernel) = found[name].shape, expected[name].shape
    if channels == own_channels or (out, kernel) != (own_out, own_kernel):
        return None
    found[name] = adapted(found[name], own_channels)
    return channels, own_channels


def _shapes(state: StateDict) -> Shapes:
    return {name: tuple(tensor.shape) for name, tensor in state.items()}


def _differences(found: Shapes, expected: Shapes) -> dict[str, list[str]]:
    """What is missing, left over and of a different shape, in the order of the networks; empty if nothing is."""
    odd = {
        "missing in the file": [name for name in expected if name not in found],
        "not in the model": [name for name in found if name not in expected],
        "of a different shape": [
            f"{name} {found[name]} instead of {shape}"
            for name, shape in expected.items()
            if found.get(name, shape) != shape
        ],
    }
    return {what: names for what, names in odd.items() if names}


def _misfit(source: str, theirs: str | None, ours: str | None, odd: dict[str, list[str]]) -> str:
    """The error of weights that do not fit, with a few examples of each difference."""
    plain = re.fullmatch(r"a ResNet-(\d+)", theirs or "")
    option = f"--backbone mmdet:resnet{plain[1]}" if plain else "--backbone or model.backbone"
    return (
        f"{source} does not fit the backbone, and nothing was loaded: the file holds {theirs or 'an unknown network'}, "
        f"the backbone is {ours or 'another one'}. Choose other weights, or build the file's network with {option}"
        f".{_examples(odd)}"
    )


def _examples(odd: dict[str, list[str]]) -> str:
    """A line for each kind of difference."""
    return "".join(
        f"\n  {len(names)} {what}: {', '.join(names[:EXAMPLES])}{', ...' if len(names) > EXAMPLES else ''}"
        for what, names in odd.items()
    )
