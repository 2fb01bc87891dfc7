"""Backbones that are timm's or torchvision's own networks, under the names that those have."""

from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from ccrop.checkpoint.resnet import BLOCKS, ResNet
from ccrop.export.frameworks import FRAMEWORKS, StateDict

PREFIX = "network."
LIBRARIES = dict(TimmBackbone="timm", TorchvisionBackbone="torchvision")
RESNETS = {f"resnet{depth}" for depth in BLOCKS}


class Network(NamedTuple):
    """A network by its library and its name there."""

    library: str
    name: str


def is_wrapped(state_dict: dict[str, Tensor]) -> bool:
    """Whether a backbone is a wrapper around another library's network."""
    return all(name.startswith(PREFIX) for name in state_dict)


def network_of(checkpoint: str | Path, config: str | Path | None) -> Network:
    """The network of a run's backbone, by the run's config.

    Args:
        config: by default the one in the checkpoint.

    Raises:
        ValueError: the checkpoint has no config, or the backbone is no network of timm's or torchvision's.
    """
    from ccrop.config import read_config  # seconds, which the export of a ResNet does without

    settings = read_config(config or checkpoint).model.backbone
    kind = settings.type if isinstance(settings.type, str) else settings.type.__name__
    library = LIBRARIES.get(kind.rpartition(".")[2])
    if library is None:
        raise ValueError(
            f"{checkpoint} has a backbone of type {kind}, which no framework knows: its weights are in the state_dict "
            f"of the checkpoint, below backbone.{PREFIX}"
        )
    return Network(library, settings.name)


def to_framework(network: Network, framework: str, state_dict: StateDict) -> dict:
    """The content of a file for a framework: the network's own library, or any of them if it is a plain ResNet.

    Raises:
        ValueError: the framework has no such network.
    """
    library, name = network
    weights = {key.removeprefix(PREFIX): tensor for key, tensor in state_dict.items()}
    if framework == library:
        return weights
    if name in RESNETS:
        return FRAMEWORKS[framework](ResNet.from_state_dict(weights), weights)
    raise ValueError(f"{framework} cannot hold {library}'s {name}: export it to {library}")
