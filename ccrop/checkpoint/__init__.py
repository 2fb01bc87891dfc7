"""The single entry point for weights: files of any common layout, and pretrained weights of timm and torchvision."""

from ccrop.checkpoint.layouts import Normalization
from ccrop.checkpoint.loading import Loaded, load_backbone, load_heads, require_same_tensors
from ccrop.checkpoint.starting_weights import load_start, starting_weights
from ccrop.checkpoint.weights import RANDOM, Weights, is_library, read_weights, recorded, require_finite

__all__ = [
    "RANDOM",
    "Loaded",
    "Normalization",
    "Weights",
    "is_library",
    "load_backbone",
    "load_heads",
    "load_start",
    "read_weights",
    "recorded",
    "require_finite",
    "require_same_tensors",
    "starting_weights",
]
