"""A backbone written in the form that a framework loads, atomically."""

import io
import pickle
from pathlib import Path
from typing import Any

import safetensors.torch
import torch

from ccrop.backbones.base import IMAGENET_MEAN, IMAGENET_STD
from ccrop.checkpoint import Normalization, Weights, read_weights
from ccrop.checkpoint.resnet import ResNetArchitecture
from ccrop.export.library_networks import PREFIX, RESNETS, Network, backbone_settings, is_wrapped, network_of
from ccrop.export.resnet_layouts import FRAMEWORKS, StateDict, to_timm
from ccrop.export.ultralytics import to_ultralytics
from ccrop.files import write_bytes

IMAGENET = Normalization(IMAGENET_MEAN, IMAGENET_STD)  # where a checkpoint does not say


FILES = (*FRAMEWORKS, "ultralytics")  # targets that are a state dict
TARGETS = (*FILES, "huggingface", "onnx")
OF_SWEEPS = ("pillars.", "voxels.")  # how names of LiDAR encoders' tensors begin


def export_backbone(
    checkpoint_path: str | Path,
    framework: str,
    out: str | Path,
    force: bool = False,
    config: str | Path | None = None,
) -> str:
    """Write the backbone of a ccrop checkpoint to `out`, in the form that `framework` loads.

    Args:
        checkpoint_path: a file with `state_dict`, whose backbone is under `backbone.`.
        framework: one of `TARGETS`.
        out: the file to write, or for `huggingface` the folder; it appears complete or not at all.
        force: replace `out` where it exists, unless it is a folder.
        config: of the run, for `onnx` and a backbone of timm's or torchvision's; default: the one in the
            checkpoint.

    Returns:
        What was exported, such as `ResNet-50`.

    Raises:
        ValueError: the checkpoint has no backbone of images that frameworks know, the framework cannot hold it or
            cannot load a file of this name, or the checkpoint would unpickle arbitrary objects (`UntrustedCheckpoint`).
        OSError: a file cannot be read or written, `out` exists and `force` is not set, or there is no config.
        ImportError: the framework's export needs a package that is missing.
    """
    checkpoint_path, out = Path(checkpoint_path), Path(out)
    if framework not in TARGETS:
        raise ValueError(f"unknown framework {framework!r}; choose one of {', '.join(TARGETS)}")
    _check_suffix(framework, out)
    if framework == "huggingface":
        if out.exists():
            raise FileExistsError(f"{out} exists: choose another folder, or remove it")
    else:
        _check_destination(checkpoint_path, out, force)
    weights = read_weights(checkpoint_path)
    if any(name.startswith(OF_SWEEPS) for name in weights.backbone):
        raise ValueError(
            f"{checkpoint_path} holds an encoder of sweeps, not of images: projects/lidar_bev/convert.py exports those"
        )
    if framework == "onnx":
        return _onnx(weights, checkpoint_path, out, config)
    network = network_of(checkpoint_path, config) if is_wrapped(weights.backbone) else None
    if framework == "huggingface":
        return _huggingface(checkpoint_path, weights, network, out)
    if network is None:
        resnet = _resnet(checkpoint_path, framework, weights.backbone)
        content, what = _content(framework, resnet, weights.backbone, weights), f"ResNet-{resnet.depth}"
    else:
        content, what = _of_network(framework, network, weights), f"{network.library}'s {network.name}"
    write_bytes(out, _bytes(content, out.suffix))
    return what


def _resnet(checkpoint: Path, framework: str, state_dict: StateDict) -> ResNetArchitecture:
    try:
        return ResNetArchitecture.from_state_dict(state_dict)
    except ValueError as error:
        raise ValueError(
            f"{checkpoint}: {framework} cannot hold its backbone: {error}; --to onnx takes any network"
        ) from error


def _check_suffix(framework: str, out: Path) -> None:
    """Refuse a file that its framework would mistake for another type."""
    if framework == "detectron2" and out.suffix != ".pkl":
        raise ValueError(f"detectron2 recognizes a pickle by the suffix .pkl, which {out} lacks")
    if framework != "detectron2" and out.suffix == ".pkl":
        raise ValueError(f"{framework} does not take pickles: give {out} another suffix, such as .pth")
    if framework == "mmdet" and out.suffix == ".safetensors":
        raise ValueError(f"mmdet does not load safetensors: give {out} another suffix, such as .pth")
    if (framework == "onnx") != (out.suffix == ".onnx"):
        raise ValueError(f"{out}: the suffix .onnx is reserved for --to onnx")


def _content(framework: str, resnet: ResNetArchitecture, state_dict: StateDict, weights: Weights) -> dict[str, Any]:
    """A ResNet's state dict as a framework of `FILES` has it."""
    if framework == "ultralytics":
        return to_ultralytics(resnet, state_dict, weights.normalization or IMAGENET)
    return FRAMEWORKS[framework](resnet, state_dict)


def _of_network(framework: str, network: Network, weights: Weights) -> dict[str, Any]:
    """The state dict of a network of another library: for that library, or for any if it is a plain ResNet."""
    state_dict = {name.removeprefix(PREFIX): tensor for name, tensor in weights.backbone.items()}
    if framework == network.library:
        return state_dict
    if network.name not in RESNETS:
        library, name = network.library, network.name
        others = "onnx" if library == "torchvision" else "huggingface or onnx"
        raise ValueError(f"{framework} cannot hold {library}'s {name}: export it to {library}, {others}")
    return _content(framework, ResNetArchitecture.from_state_dict(state_dict), state_dict, weights)


def _huggingface(checkpoint: Path, weights: Weights, network: Network | None, out: Path) -> str:
    """Write a folder of a network that timm has."""
    from ccrop.export.huggingface import write_huggingface  # timm takes seconds to import

    state_dict = {name.removeprefix(PREFIX): tensor for name, tensor in weights.backbone.items()}
    if network is not None and network.library == "timm":
        name, settings = network.name, network.settings
    elif network is None or network.name in RESNETS:
        resnet = _resnet(checkpoint, "huggingface", state_dict)
        name, settings, state_dict = f"resnet{resnet.depth}", {}, to_timm(resnet, state_dict)
    else:
        raise ValueError(f"huggingface holds timm's networks, not torchvision's {network.name}: export it to onnx")
    write_huggingface(name, settings, state_dict, weights.normalization, out)
    return f"timm's {name}"


def _onnx(weights: Weights, checkpoint: Path, out: Path, config: str | Path | None) -> str:
    """Write the graph of any backbone that can be built from its run's config."""
    from ccrop.backbones import build_backbone
    from ccrop.export.onnx_graph import write_onnx

    settings = backbone_settings(checkpoint, config)
    backbone = build_backbone(settings)
    try:
        backbone.load_state_dict(weights.backbone)
    except RuntimeError as error:
        raise ValueError(
            f"{checkpoint} is not a checkpoint of a run with its config: pass the config of its run with --config"
        ) from error
    difference = write_onnx(backbone.eval(), weights.normalization, out)
    name = f"{type(backbone).__name__} {settings.get('name', settings.get('depth', ''))}".strip()
    return f"{name}, within {difference:.0e} of the network in ONNX Runtime,"


def _check_destination(checkpoint_path: Path, out: Path, force: bool) -> None:
    if out.is_dir():
        raise IsADirectoryError(f"{out} is a directory; pass a file")
    if not out.parent.is_dir():
        raise NotADirectoryError(f"{out.parent} is not a directory")
    if out.exists() and checkpoint_path.exists() and out.samefile(checkpoint_path):
        raise ValueError(f"{out} is the checkpoint itself")
    if out.exists() and not force:
        raise FileExistsError(f"{out} exists; --force replaces it")


def _bytes(content: dict[str, Any], suffix: str) -> bytes:
    """A file's content: safetensors or a pickle where its suffix says so, else as torch.save writes it."""
    if suffix == ".safetensors":
        return safetensors.torch.save({name: tensor.contiguous() for name, tensor in content.items()})
    buffer = io.BytesIO()
    pickle.dump(content, buffer) if suffix == ".pkl" else torch.save(content, buffer)
    return buffer.getvalue()
