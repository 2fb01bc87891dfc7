"""Another backbone in a pretraining config, at the same strides if the network has them."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from mmengine.config import Config

from ccrop.backbones.base import Backbone
from ccrop.backbones.builder import BackboneLike, backbone_config, build_backbone


def replace_backbone(config: Config, name: str) -> None:
    """Replace a config's backbone with a named one.

    It returns maps of the same strides, and regions and the localizer keep using these; the network's last level
    stands for the last one. If the network has no map of a stride, regions do without it, and a localizer
    or a heatmap uses the nearest. Images are normalized as the network's published weights expect it, if that is known.
    The config's ``notes``, with which the log starts, report the result.

    Args:
        name: see :func:`ccrop.backbones.build_backbone`.

    Raises:
        ValueError: there is no such network, or the config's model does not take images.
    """
    model = config.model
    if model.get("data_preprocessor") is None:
        raise ValueError(f"{name} takes images, but the model of this config has no data_preprocessor for them")
    before, after = described(model.backbone), described(name)
    same = same_levels(before, after)
    indices = tuple(sorted({level for level in same if level is not None})) or (len(after.levels) - 1,)
    model.backbone = backbone_config(name, out_indices=indices)
    strides = [after.levels[level].stride for level in indices]
    notes = [f"Backbone {name} gives maps of stride {listed(strides)}, the config's gives {listed(before.strides)}"]

    # of each map of the earlier backbone, the one that stands for it
    places = [None if level is None else indices.index(level) for level in same]
    nearest = [
        nearest_place(stride, strides) if place is None else place
        for stride, place in zip(before.strides, places, strict=True)
    ]
    if (regions := model.get("regions")) is not None:
        chosen = (places[level] for level in regions.get("levels", (0, 1)))
        regions.levels = unique(place for place in chosen if place is not None) or (0,)
        notes.append(f"regions are pooled at stride {listed(strides[each] for each in regions.levels)}")
        if (heatmap := regions.get("heatmap")) is not None:
            heatmap.level = nearest[heatmap.get("level", 0)]
            notes.append(f"their heatmap is learned at stride {strides[heatmap.level]}")
    localizer = (config.default_hooks.get("localization") or {}).get("localizer", {})
    if "levels" in localizer:
        levels = localizer.levels if isinstance(localizer.levels, Sequence) else [localizer.levels]
        localizer.levels = unique(nearest[level] for level in levels)
        notes.append(f"objects are localized at stride {listed(strides[each] for each in localizer.levels)}")
    config.notes = ["; ".join(notes), normalize_as(after, name, model.data_preprocessor)]


def described(backbone: BackboneLike) -> Backbone:
    """A backbone without memory for its weights, to read its levels from."""
    with torch.device("meta"):
        return build_backbone(backbone)


def same_levels(before: Backbone, after: Backbone) -> list[int | None]:
    """For each map of one backbone the level of another of the same stride, None if there is none.

    The last level is the counterpart of the last, whatever their strides.
    """
    numbers = {level.stride: number for number, level in enumerate(after.levels)}
    if before.strides[-1] == before.levels[-1].stride:
        return [*map(numbers.get, before.strides[:-1]), len(after.levels) - 1]
    return [*map(numbers.get, before.strides)]


def nearest_place(stride: int, strides: Sequence[int]) -> int:
    """Which of some strides is nearest to another one, by their ratio."""
    return min(range(len(strides)), key=lambda place: abs(math.log(strides[place] / stride)))


def normalize_as(backbone: Backbone, name: str, preprocessor: dict[str, Any]) -> str:
    """Set mean and std of a preprocessor, in [0, 1], to those that a backbone's published weights expect.

    Returns:
        A line for the log.
    """
    if backbone.mean is None or backbone.std is None:
        return f"Images are normalized as in the config: the normalization that weights of {name} expect is unknown"
    preprocessor.update(mean=backbone.mean, std=backbone.std)
    mean, std = (", ".join(f"{value:.3f}" for value in values) for values in (backbone.mean, backbone.std))
    return f"Images are normalized by mean {mean} and std {std}, as published weights of {name} expect it"


def unique(values: Iterable[int]) -> tuple[int, ...]:
    return tuple(dict.fromkeys(values))


def listed(strides: Iterable[int]) -> str:
    return ", ".join(map(str, strides))
