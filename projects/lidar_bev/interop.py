"""Encoder weights by OpenPCDet's and mmdetection3d's names: PointPillars' and SECOND's layers up to the BEV map.

``pillars.`` and ``backbone.`` of a :class:`.PillarEncoder` are PointPillars' VFE, 2D backbone and neck; ``voxels.`` of
a :class:`.SparseEncoder` are SECOND's middle encoder. All agree in order, kernels, norms and the map's rows and
columns. The point features differ in two ways: there, each point also has its height above the pillar's center, which
is z up to a constant, so that imported weights lose nothing and exported ones have zeros for it; and mmdetection3d's
``legacy=True`` replaces x, y, z by the offsets from the pillar's center.
"""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

PREFIX = "backbone."  # of the encoder in ccrop's checkpoints
StateDict = dict[str, Tensor]
STAGES = (
    *((0, "input", 0), (1, 1, 0), (2, 2, 0), (3, 2, 1), (4, 2, 2), (5, 3, 0), (6, 3, 1), (7, 3, 2)),
    *((8, 4, 0), (9, 4, 1), (10, 4, 2)),
)
KERNELS = ((3, 3, 3), (3, 1, 1))
LINEAR, MEAN = "pillars.linear.weight", "pillars.norm.running_mean"


class Framework(NamedTuple):
    """How a framework names an encoder's layers.

    Attributes:
        state: the key of the tensors in its checkpoints.
        prefixes: of names here and there.
        shift: how much larger its layer numbers in a 2D stage are; -1 if it has no padding layer.
    """

    state: str
    prefixes: tuple[tuple[str, str], ...]
    shift: int


def _openpcdet(level: int | str, block: int) -> str:
    return "backbone_3d.conv_input." if level == "input" else f"backbone_3d.conv{level}.{block}."


def _mmdet3d(level: int | str, block: int) -> str:
    layer = "conv_input." if level == "input" else f"encoder_layers.encoder_layer{level}.{block}."
    return f"middle_encoder.{layer}"


FRAMEWORKS = {
    "openpcdet": Framework(
        "model_state",
        (
            ("pillars.", "vfe.pfn_layers.0."),
            ("backbone.", "backbone_2d."),
            *((f"voxels.stages.{number}.", _openpcdet(level, block)) for number, level, block in STAGES),
            ("voxels.flat.", "backbone_3d.conv_out."),
        ),
        0,
    ),
    "mmdet3d": Framework(
        "state_dict",
        (
            ("pillars.", "voxel_encoder.pfn_layers.0."),
            ("backbone.blocks.", "backbone.blocks."),
            ("backbone.deblocks.", "neck.deblocks."),
            *((f"voxels.stages.{number}.", _mmdet3d(level, block)) for number, level, block in STAGES),
            ("voxels.flat.", "middle_encoder.conv_out."),
        ),
        -1,
    ),
}


class Report(NamedTuple):
    """What went where.

    Attributes:
        moved: names of the tensors that were converted, before and after.
        left: names of tensors without a counterpart.
        shapes: names and shapes of tensors whose counterpart has another shape, or is missing in the checkpoint to
            fill.
        kept: names in the filled checkpoint's backbone that keep their own values.
    """

    moved: list[tuple[str, str]]
    left: list[str]
    shapes: list[str]
    kept: list[str]

    def __str__(self) -> str:
        lines = [f"{len(self.moved)} tensors:", *(f"  {source} -> {target}" for source, target in self.moved)]
        for title, names in (
            ("not used", self.left),
            ("not loaded, because shapes differ", self.shapes),
            ("kept unchanged", self.kept),
        ):
            lines += [f"{len(names)} {title}:", *(f"  {name}" for name in names)] if names else []
        return "\n".join(lines)


def export_encoder(
    checkpoint: Mapping[str, Any],
    framework: str,
    into: Mapping[str, Any] | None = None,
    conv_for_no_stride: bool = False,
) -> tuple[dict[str, StateDict], Report]:
    """A ccrop checkpoint's encoder as a checkpoint of another framework; mmdetection3d needs ``legacy=False``.

    Args:
        checkpoint: with the encoder under ``backbone.``.
        framework: a key of ``FRAMEWORKS``.
        into: a checkpoint of that framework, whose tensors stay where none of the same shape replaces them.
        conv_for_no_stride: maps that keep their size go through a convolution in the framework's neck, which its
            option of this name asks for, and not through a transposed one.

    Raises:
        ValueError: nothing in the checkpoint is of such an encoder.
    """
    layout = FRAMEWORKS[framework]
    state = checkpoint.get("state_dict", checkpoint)
    own = {name.removeprefix(PREFIX): tensor for name, tensor in state.items() if name.startswith(PREFIX)}
    names = {name: _renamed(name, layout, outwards=True) for name in own}
    if LINEAR in own:
        own[LINEAR] = _with_height(own[LINEAR])
    if conv_for_no_stride:
        own = _transposed(own, names)
    target = dict(into[layout.state]) if into is not None else None
    filled, report = _filled(own, names, target, _places(layout))
    return {layout.state: filled}, report


def import_encoder(
    checkpoint: Mapping[str, Any],
    framework: str,
    into: Mapping[str, Any] | None = None,
    z_middle: float = -1.0,
    legacy: bool = False,
    conv_for_no_stride: bool = False,
) -> tuple[dict[str, StateDict], Report]:
    """Another framework's encoder as a ccrop checkpoint, for ``tools/finetune.py --init``.

    Args:
        checkpoint: of that framework.
        framework: a key of ``FRAMEWORKS``.
        into: a ccrop checkpoint, whose tensors stay where none of the same shape replaces them.
        z_middle: z of the pillars' centers in meters, the middle of the framework's point cloud range.
        legacy: mmdetection3d's pillars were trained with ``legacy=True``, its default.
        conv_for_no_stride: maps that keep their size go through a convolution in the framework's neck, which its
            option of this name asks for, and not through a transposed one.

    Raises:
        ValueError: nothing in the checkpoint is of such an encoder.
    """
    layout = FRAMEWORKS[framework]
    state = checkpoint.get(layout.state, checkpoint)
    state = {name: tensor for name, tensor in state.items() if isinstance(tensor, Tensor)}
    names = {name: _renamed(name.removeprefix("pts_"), layout, outwards=False) for name in state}
    weight, mean = (next((name for name in names if names[name] == own), None) for own in (LINEAR, MEAN))
    if weight and mean:
        state[weight], state[mean] = _without_height(state[weight], state[mean], z_middle, legacy)
    if conv_for_no_stride:
        state = _transposed(state, names)
    names = {name: own and PREFIX + own for name, own in names.items()}
    state = {name: _spconv2(tensor) for name, tensor in state.items()}
    target = dict(into.get("state_dict", into)) if into is not None else None
    filled, report = _filled(state, names, target, (PREFIX,))
    return {"state_dict": filled}, report


def _renamed(name: str, layout: Framework, outwards: bool) -> str | None:
    """The other side's name, None if it has no such layer."""
    shift = layout.shift if outwards else -layout.shift
    for here, there in layout.prefixes:
        source, target = (here, there) if outwards else (there, here)
        if name.startswith(source):
            # stages alone have padding before them, not "deblocks"
            name = re.sub(r"(?<![a-z])(blocks\.\d+\.)(\d+)", lambda found: f"{found[1]}{int(found[2]) + shift}", name)
            return target + name.removeprefix(source)
    return None


def _places(layout: Framework) -> tuple[str, ...]:
    return tuple(there for _, there in layout.prefixes)


def _filled(
    source: StateDict, names: Mapping[str, str | None], target: StateDict | None, places: tuple[str, ...]
) -> tuple[StateDict, Report]:
    """The target with what fits of the source.

    Args:
        names: of the source's tensors in the target.
        target: None for all that the source has.
        places: prefixes of the encoder's names in the target.
    """
    moved, shapes = [], []
    filled = {} if target is None else target
    for name, tensor in source.items():
        place = names[name]
        if place is None:
            continue
        if target is not None and (place not in target or target[place].shape != tensor.shape):
            there = tuple(target[place].shape) if place in target else "no such tensor"
            shapes.append(f"{name} {tuple(tensor.shape)} -> {place} {there}")
            continue
        filled[place] = tensor
        moved.append((name, place))
    if not moved:
        raise ValueError(
            "no tensor of the checkpoint fits: check that it holds a PointPillars or SECOND "
            "encoder of the given framework" + "".join(f"\n  {line}" for line in shapes)
        )
    taken = {place for _, place in moved}
    kept = [name for name in filled if name.startswith(places) and name not in taken]
    return filled, Report(moved, [name for name in source if names[name] is None], shapes, kept)


def _with_height(weight: Tensor) -> Tensor:
    """``(C, columns + 5)`` as ``(C, columns + 6)``: the height above the pillar's center gets zero weights."""
    return torch.cat([weight, torch.zeros_like(weight[:, :1])], dim=1)


def _without_height(weight: Tensor, mean: Tensor, z_middle: float, legacy: bool) -> tuple[Tensor, Tensor]:
    """``(C, columns + 6)`` and the running mean ``(C,)`` as ``(C, columns + 5)`` and the mean that suits it.

    w (z - z_middle) is w z up to a constant, which the normalization removes.
    """
    weight, of_height = weight[:, :-1].clone(), weight[:, -1].clone()
    if legacy:  # x, y, z are offsets from the center there
        weight[:, -2:] += weight[:, :2]
        weight[:, :2] = 0
        constant = of_height + weight[:, 2]
    else:
        constant = of_height
    weight[:, 2] += of_height
    return weight, mean + constant * z_middle


def _transposed(state: StateDict, names: Mapping[str, str | None]) -> StateDict:
    """The tensors with the neck's 1x1 kernels transposed from (in, out) to (out, in), or back."""
    return {
        name: tensor.transpose(0, 1).contiguous()
        if names[name] and "deblocks." in name and tensor.shape[2:] == (1, 1)
        else tensor
        for name, tensor in state.items()
    }


def _spconv2(weight: Tensor) -> Tensor:
    """A 3D convolution's weight as spconv 2 has it, (out, kernel, in); spconv 1 had (kernel, in, out)."""
    old = weight.ndim == 5 and tuple(weight.shape[:3]) in KERNELS and tuple(weight.shape[1:4]) not in KERNELS
    return weight.permute(4, 0, 1, 2, 3).contiguous() if old else weight
