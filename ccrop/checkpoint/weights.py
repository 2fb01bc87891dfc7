"""Weights as a user specifies them: a file, ``timm:NAME`` or ``torchvision:NAME``."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from torch import Tensor

from ccrop.checkpoint.layouts import Normalization, find_backbone
from ccrop.compat.safe_checkpoint import load_checkpoint

RANDOM = "random"
LIBRARIES = ("timm", "torchvision")


@dataclass(frozen=True)
class Weights:
    """A backbone's weights.

    Attributes:
        source: as the user specified it.
        backbone: its tensors, under the names that its own library gives them; perhaps with its classifier.
        others: the other tensors of the same state dict: neck, heads, predictor, queue.
        origin: where they were found and in what layout, in words.
        normalization: of the images that they expect, None if the source does not say.
        has_boxes: whether the file also holds the boxes of a pretraining run.
    """

    source: str
    backbone: dict[str, Tensor]
    others: dict[str, Tensor]
    origin: str
    normalization: Normalization | None = None
    has_boxes: bool = False


def is_library(source: str) -> bool:
    """Whether a source is ``timm:NAME`` or ``torchvision:NAME`` rather than a file."""
    return source.partition(":")[0] in LIBRARIES


def require_finite(source: str | Path, state: Mapping[str, Any]) -> None:
    """Refuse the weights of a run that diverged: NaN spreads to every output, and training cannot repair it.

    Args:
        source: for the message.
        state: tensors by name; those of integers, and what is no tensor, pass.

    Raises:
        ValueError: a weight is NaN or infinite; names the first.
    """
    floating = [name for name, value in state.items() if isinstance(value, Tensor) and value.is_floating_point()]
    odd = [name for name in floating if not state[name].isfinite().all()]
    if odd:
        raise ValueError(
            f"{source}: {len(odd)} of {len(floating)} weights are NaN or infinite, the first is {odd[0]}: the run that "
            "wrote it has diverged; choose an earlier checkpoint, or other weights"
        )


def read_weights(source: str | Path) -> Weights:
    """Read a backbone's weights.

    Args:
        source: ``timm:NAME`` or ``torchvision:NAME`` for the library's pretrained weights; or a file: of ``torch.save``
            or safetensors, of ccrop, torchvision, timm, mmdet, mmpretrain, MoCo, SimSiam, DINO, BYOL, solo-learn,
            Lightly, VISSL or EfficientNet-Lite.

    Raises:
        FileNotFoundError: there is no such file.
        UntrustedCheckpoint: see :func:`ccrop.compat.safe_checkpoint.load_checkpoint`.
        ConnectionError: the weights of a library are neither on this machine nor can they be downloaded.
        ValueError: the library has no such weights, or the file holds no backbone, or see :func:`require_finite`.
    """
    source = str(source)
    if is_library(source):
        downloads = import_module("ccrop.checkpoint.downloads")  # timm takes seconds to import
        library, _, name = source.partition(":")
        state, normalization = getattr(downloads, f"{library}_weights")(name)
        return Weights(source, state, {}, f"pretrained weights of {library}", normalization)
    content = load_checkpoint(source)
    try:
        found = find_backbone(content)
    except ValueError as error:
        raise ValueError(f"{source} {error}") from error
    require_finite(source, found.backbone)
    origin = found.layout + (f", found under {found.where}" if found.where else "")
    return Weights(
        source, found.backbone, found.others, origin, found.normalization or recorded(content), "boxes" in content
    )


def recorded(content: Mapping[str, Any]) -> Normalization | None:
    """The normalization that ccrop wrote into a checkpoint; None for those of other programs."""
    known = content.get("normalization")
    return None if known is None else Normalization(tuple(known["mean"]), tuple(known["std"]))
