"""mmdet's detectors around another backbone: its maps, the channels of the neck, and a check of the head's strides."""

import copy
from typing import TYPE_CHECKING, Any

import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from torch import nn

from ccrop.backbones import Backbone, backbone_config
from ccrop.backbones.module_backbone import evaluated
from ccrop.backbones.replacement import described, listed

if TYPE_CHECKING:
    from mmdet.models import BaseDetector


def replace_backbone(config: Config, name: str) -> None:
    """Replace a detector's backbone with a named one, with maps of the same strides if it has them.

    Images are normalized as its published weights expect it, if that is known. The config's ``notes`` say so.

    Raises:
        ValueError: there is no such network, or none of its maps has one of the detector's strides.
    """
    before, after = backbone_of(config), described(name)
    indices = tuple(number for number, level in enumerate(after.levels) if level.stride in before.strides)
    if not indices:
        raise ValueError(
            f"{name} has maps of stride {listed(level.stride for level in after.levels)}, but this detector "
            f"uses stride {listed(before.strides)}: choose another network"
        )
    config.model.backbone = backbone_config(name, out_indices=indices)
    given = listed(after.levels[index].stride for index in indices)
    config.notes = [f"Backbone {name} gives maps of stride {given}, the config's gives {listed(before.strides)}"]
    if after.mean is not None:
        scaled = {key: [round(255 * value, 3) for value in getattr(after, key)] for key in ("mean", "std")}
        config.model.data_preprocessor.update(**scaled, bgr_to_rgb=True)
        config.notes.append(
            f"Images are normalized by mean {listed(scaled['mean'])} and std {listed(scaled['std'])}, as published "
            f"weights of {name} expect it"
        )


def backbone_of(config: Config) -> Backbone:
    """A detector's backbone without memory for its weights, to read its levels from."""
    with DefaultScope.overwrite_default_scope(config.default_scope):
        return described(copy.deepcopy(config.model.backbone))


def fit_neck(config: Config) -> None:
    """Give a detector's neck, or the first of several, the channels of the backbone's maps as its ``in_channels``."""
    neck = config.model.get("neck")
    first = neck[0] if isinstance(neck, list | tuple) else neck
    if first is not None and "in_channels" in first:
        channels = backbone_of(config).channels
        first.in_channels = channels[-1] if isinstance(first.in_channels, int) else list(channels)


def check_strides(detector: "BaseDetector") -> None:
    """Refuse a detector whose head expects maps of other strides than it gets.

    Raises:
        ValueError: names the strides of both.
    """
    for head, expected in head_strides(detector).items():
        size = getattr(detector.backbone, "image_size", None) or (4 * max(expected),) * 2
        stem = next(module for module in detector.backbone.modules() if isinstance(module, nn.Conv2d))
        blank = torch.zeros(1, stem.in_channels, *size, device=stem.weight.device)
        with evaluated(detector):
            maps = detector.extract_feat(blank)
        found = [round(size[0] / level.shape[2]) for level in maps]
        if found[: len(expected)] != list(expected):
            raise ValueError(
                f"model.{head} expects maps of stride {listed(expected)} but gets {listed(found)}: set "
                "its strides and model.neck to match the backbone, or choose a backbone that has these strides"
            )


def head_strides(detector: nn.Module) -> dict[str, list[int]]:
    """The strides that a detector's heads expect, by their place in the config."""
    heads: dict[str, Any] = {
        "rpn_head": getattr(detector, "rpn_head", None),
        "bbox_head": getattr(detector, "bbox_head", None),
        "roi_head.bbox_roi_extractor": getattr(getattr(detector, "roi_head", None), "bbox_roi_extractor", None),
    }
    found = {}
    for name, head in heads.items():
        source = getattr(head, "prior_generator", None) or head
        strides = getattr(source, "strides", None) or getattr(source, "featmap_strides", None)
        if strides:
            found[name] = [stride[0] if isinstance(stride, tuple) else stride for stride in strides]
    return found
