"""Backbones by their names, from their configs, or from a module."""

from collections.abc import Mapping
from typing import Any, TypeGuard

from mmengine.registry import MODELS
from torch import nn

from ccrop.backbones.base import Backbone, BackboneModule, unknown_name
from ccrop.backbones.module_backbone import ModuleBackbone

CLASSES = dict(timm="TimmBackbone", torchvision="TorchvisionBackbone", mmdet="ResNet")
RESNETS = [f"resnet{depth}" for depth in (10, 18, 34, 50, 101, 152)]


BackboneLike = str | Mapping[str, Any] | nn.Module


def build_backbone(backbone: BackboneLike) -> BackboneModule:
    """A backbone with untrained weights.

    Args:
        backbone: ``'timm:NAME'``, ``'torchvision:NAME'`` or ``'mmdet:resnetDEPTH'``; a config; or a module, which
            becomes a :class:`ModuleBackbone` unless it is a :class:`Backbone` itself.

    Example:
        >>> build_backbone("timm:convnext_tiny").strides
        (4, 8, 16, 32)

    Raises:
        ValueError: there is no such network, or it gives no feature maps.
    """
    if isinstance(backbone, nn.Module):
        module = backbone
    else:
        module = MODELS.build(backbone_config(backbone) if isinstance(backbone, str) else backbone)
    return module if _is_backbone(module) else ModuleBackbone(module)


def _is_backbone(module: nn.Module) -> TypeGuard[BackboneModule]:
    """Whether a module meets the contract, as a subclass of :class:`BackboneModule` or on its own."""
    return isinstance(module, Backbone)


def backbone_config(name: str, **settings: Any) -> dict[str, Any]:
    """The config of a backbone by its name.

    Args:
        name: see :func:`build_backbone`.
        settings: other arguments of its class.

    Raises:
        ValueError: the name does not have such a form, or mmdet has no such ResNet.
    """
    library, separator, network = name.partition(":")
    if library not in CLASSES or not separator:
        raise ValueError(f"a backbone must be timm:NAME, torchvision:NAME or mmdet:resnetDEPTH; got {name!r}")
    kind = f"ccrop.backbones.{CLASSES[library]}"
    if library != "mmdet":
        return dict(type=kind, name=network, **settings)
    if network not in RESNETS:
        raise ValueError(unknown_name("mmdet", network, RESNETS))
    return dict(type=kind, depth=int(network.removeprefix("resnet")), **settings)
