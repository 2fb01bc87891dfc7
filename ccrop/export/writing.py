"""A backbone written to a file in the form that a framework loads: complete, or not at all."""

import io
import pickle
from pathlib import Path
from typing import Any

import safetensors.torch
import torch

from ccrop.checkpoint import read_weights
from ccrop.checkpoint.resnet import ResNet
from ccrop.export.frameworks import FRAMEWORKS
from ccrop.export.libraries import is_wrapped, network_of, to_framework
from ccrop.files import write_bytes


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
        framework: a key of `FRAMEWORKS`.
        out: the file to write; it appears complete or not at all.
        force: replace `out` where it exists.
        config: of the run, for a backbone of timm's or torchvision's; by default the one in the checkpoint.

    Returns:
        What was exported, such as `ResNet-50`.

    Raises:
        ValueError: the checkpoint has no backbone that frameworks know, the framework cannot hold it or cannot load
            a file of this name, or the checkpoint would unpickle arbitrary objects (`UntrustedCheckpoint`).
        OSError: a file cannot be read or written, `out` exists and `force` is not set, or there is no config.
    """
    checkpoint_path, out = Path(checkpoint_path), Path(out)
    if framework not in FRAMEWORKS:
        raise ValueError(f"unknown framework {framework!r}; known are {', '.join(FRAMEWORKS)}")
    if framework == "detectron2" and out.suffix != ".pkl":
        raise ValueError(f"detectron2 takes a file for a pickle by its ending .pkl, which {out} lacks")
    if framework != "detectron2" and out.suffix == ".pkl":
        raise ValueError(f"{framework} takes no pickle: give {out} another ending, such as .pth")
    if framework == "mmdet" and out.suffix == ".safetensors":
        raise ValueError(f"mmdet does not load safetensors: give {out} another ending, such as .pth")
    _check_destination(checkpoint_path, out, force)
    state_dict = read_weights(checkpoint_path).backbone
    if is_wrapped(state_dict):
        network = network_of(checkpoint_path, config)
        content, what = to_framework(network, framework, state_dict), f"{network.library}'s {network.name}"
    else:
        resnet = ResNet.from_state_dict(state_dict)
        content, what = FRAMEWORKS[framework](resnet, state_dict), f"ResNet-{resnet.depth}"
    write_bytes(out, _bytes(content, out.suffix))
    return what


def _check_destination(checkpoint_path: Path, out: Path, force: bool) -> None:
    if out.is_dir():
        raise IsADirectoryError(f"{out} is a directory; name a file")
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
