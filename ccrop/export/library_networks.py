"""Backbones that are timm's or torchvision's own networks, under their original names."""

from pathlib import Path
from typing import Any, NamedTuple

from mmengine.config import ConfigDict
from torch import Tensor

from ccrop.checkpoint.resnet import BLOCKS

PREFIX = "network."
LIBRARIES = dict(TimmBackbone="timm", TorchvisionBackbone="torchvision")
RESNETS = {f"resnet{depth}" for depth in BLOCKS}


class Network(NamedTuple):
    """A network by its library, its name there, and other settings of its backbone."""

    library: str
    name: str
    settings: dict[str, Any]


def is_wrapped(state_dict: dict[str, Tensor]) -> bool:
    """Whether a backbone is a wrapper around another library's network."""
    return all(name.startswith(PREFIX) for name in state_dict)


def backbone_settings(checkpoint: str | Path, config: str | Path | None) -> ConfigDict:
    """The backbone in a run's config.

    Args:
        config: its path; default: the one in the checkpoint.

    Raises:
        ValueError: the checkpoint has no config.
    """
    from ccrop.config import read_config  # seconds, which the export of a ResNet does without

    return read_config(config or checkpoint).model.backbone


def network_of(checkpoint: str | Path, config: str | Path | None) -> Network:
    """The network of a run's backbone, by the run's config, see :func:`backbone_settings`.

    Raises:
        ValueError: the backbone is not a timm or torchvision network.
    """
    settings = dict(backbone_settings(checkpoint, config))
    kind = settings.pop("type")
    kind = kind if isinstance(kind, str) else kind.__name__
    library = LIBRARIES.get(kind.rpartition(".")[2])
    if library is None:
        raise ValueError(
            f"{checkpoint} has a backbone of type {kind}, which other frameworks do not know: its weights are "
            f"in the checkpoint's state_dict, under backbone.{PREFIX}; --to onnx takes any backbone"
        )
    settings.pop("out_indices", None)
    return Network(library, settings.pop("name"), settings)
