"""One contract for mmdet's ResNets, timm's and torchvision's networks, and any module that returns feature maps."""

from importlib import import_module
from typing import Any

from ccrop.backbones.base import Backbone, BackboneModule, Level
from ccrop.backbones.builder import BackboneLike, backbone_config, build_backbone
from ccrop.backbones.module_backbone import ModuleBackbone

__all__ = [
    "Backbone",
    "BackboneLike",
    "BackboneModule",
    "Level",
    "ModuleBackbone",
    "ResNet",
    "ResNetCIFAR",
    "TimmBackbone",
    "TorchvisionBackbone",
    "backbone_config",
    "build_backbone",
]
LIBRARIES = dict(
    ResNet="mmdet_resnet",
    ResNetCIFAR="mmdet_resnet",
    TimmBackbone="timm_backbone",
    TorchvisionBackbone="torchvision_backbone",
)


def __getattr__(name: str) -> Any:
    """The classes of one library, which is imported on first use."""
    if name in LIBRARIES:
        return getattr(import_module(f"ccrop.backbones.{LIBRARIES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
