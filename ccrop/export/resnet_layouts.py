"""A backbone's state dict in each framework's layout."""

import re
from collections.abc import Callable
from typing import Any

from torch import Tensor

from ccrop.checkpoint.resnet import ResNetArchitecture

StateDict = dict[str, Tensor]


def to_torchvision(resnet: ResNetArchitecture, state_dict: StateDict) -> StateDict:
    """For `torchvision.models.resnet{depth}`, strict apart from `fc.*`."""
    _require_image_stem(resnet, "torchvision")
    _require_width_64(resnet, "torchvision", "its resnet{} has 64 channels in the stem, whatever its arguments")
    return dict(state_dict)


def to_timm(resnet: ResNetArchitecture, state_dict: StateDict) -> StateDict:
    """For `timm.create_model('resnet{depth}')`, strict apart from `fc.*`."""
    _require_image_stem(resnet, "timm")
    _require_width_64(resnet, "timm", "its resnet{} has 64 channels in the stem, whatever its arguments")
    return dict(state_dict)


def to_mmdet(resnet: ResNetArchitecture, state_dict: StateDict) -> dict[str, StateDict]:
    """For mmdet's ResNet with `init_cfg=dict(type='Pretrained', checkpoint=..., prefix='backbone.')`.

    The prefix, which `init_cfg` could do without, makes it a detector's checkpoint for `load_from` as well.
    """
    _require_image_stem(resnet, "mmdet")
    return {"state_dict": {f"backbone.{name}": tensor for name, tensor in state_dict.items()}}


def to_detectron2(resnet: ResNetArchitecture, state_dict: StateDict) -> dict[str, Any]:
    """For detectron2's `MODEL.WEIGHTS`: numpy arrays, matched to the model by the ends of their names.

    Norms live inside their convolution there (`res2.0.conv1.norm`), and none counts its batches.
    """
    _require_image_stem(resnet, "detectron2")
    if resnet.depth < 50:
        _require_width_64(resnet, "detectron2", "it asserts RES2_OUT_CHANNELS 64 for ResNet-{}")
    arrays = {
        _detectron2_name(name): tensor.numpy()
        for name, tensor in state_dict.items()
        if not name.endswith("num_batches_tracked")
    }
    return {"model": arrays, "__author__": "ccrop", "matching_heuristics": True}


FRAMEWORKS: dict[str, Callable[[ResNetArchitecture, StateDict], dict[str, Any]]] = {
    "torchvision": to_torchvision,
    "timm": to_timm,
    "mmdet": to_mmdet,
    "detectron2": to_detectron2,
}


def _detectron2_name(name: str) -> str:
    name = re.sub(r"^(?=conv1|bn1)", "stem.", name)
    name = re.sub(r"^layer(\d)", lambda stage: f"res{int(stage[1]) + 1}", name)
    name = re.sub(r"bn(\d)", r"conv\1.norm", name)
    return name.replace("downsample.0", "shortcut").replace("downsample.1", "shortcut.norm")


def _require_image_stem(resnet: ResNetArchitecture, framework: str) -> None:
    if resnet.stem_kernel != 7:
        stem = f"{resnet.stem_kernel}x{resnet.stem_kernel}"
        raise ValueError(
            f"{framework} cannot hold this backbone: its first convolution is {stem} (3x3 is CIFAR's stem), "
            f"but {framework}'s ResNet starts with 7x7"
        )
    if resnet.in_channels != 3:
        raise ValueError(
            f"{framework} cannot hold this backbone: it takes {resnet.in_channels} channels, not RGB images"
        )


def _require_width_64(resnet: ResNetArchitecture, framework: str, reason: str) -> None:
    if resnet.width != 64:
        raise ValueError(
            f"{framework} cannot hold this backbone of width {resnet.width}: {reason.format(resnet.depth)}"
        )
