"""A ResNet for Ultralytics' module ``TorchVision``, which computes there what it computes here.

Ultralytics does not normalize images, RGB in [0, 1], and sets eps of every batch norm to 1e-3. Both are absorbed by the
weights: the normalization by the first convolution and its norm, eps by the norms' scales. Only at the image's border,
where the first convolution is padded with zeros, a difference remains.
"""

import torch
from torch import Tensor

from ccrop.checkpoint import Normalization
from ccrop.checkpoint.layouts import SEQUENTIAL
from ccrop.checkpoint.resnet import ResNetArchitecture
from ccrop.export.resnet_layouts import StateDict, to_torchvision

EPS = 1e-5  # of torch's batch norms
THEIR_EPS = 1e-3
PREFIX = "model.0.m."  # of the first module of a model's YAML


def to_ultralytics(resnet: ResNetArchitecture, state_dict: StateDict, normalization: Normalization) -> StateDict:
    """For a model of Ultralytics whose first module is ``TorchVision`` with a ResNet of this depth.

    Raises:
        ValueError: torchvision has no such ResNet.
    """
    weights = _with_eps(_of_unit_range(to_torchvision(resnet, state_dict), normalization))
    places = {name: place for place, name in SEQUENTIAL.items()}
    return {_renamed(name, places): tensor for name, tensor in weights.items()}


def _renamed(name: str, places: dict[str, str]) -> str:
    first, _, rest = name.partition(".")
    return f"{PREFIX}{places[first]}.{rest}"


def _of_unit_range(weights: StateDict, normalization: Normalization) -> StateDict:
    """Weights for images in [0, 1]: W (x - mean) / std = (W / std) x - sum of W mean / std, which bn1 subtracts."""
    mean, std = (torch.tensor(values).view(1, -1, 1, 1) for values in normalization)
    scaled = weights["conv1.weight"] / std
    shift = (scaled * mean).sum(dim=(1, 2, 3))
    return weights | {"conv1.weight": scaled, "bn1.running_mean": weights["bn1.running_mean"] + shift}


def _with_eps(weights: StateDict) -> StateDict:
    """Weights whose norms have another eps: their scale makes up for it."""
    scaled = dict(weights)
    for name, variance in weights.items():
        if name.endswith("running_var"):
            scale = name.replace("running_var", "weight")
            scaled[scale] = _rescaled(weights[scale], variance)
    return scaled


def _rescaled(scale: Tensor, variance: Tensor) -> Tensor:
    return scale * ((variance + THEIR_EPS) / (variance + EPS)).sqrt()
