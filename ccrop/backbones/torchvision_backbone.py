"""torchvision's classifiers as backbones: their graph is traced, and ends at the requested maps."""

from collections.abc import Callable, Sequence

import torch
import torchvision
from mmengine.registry import MODELS
from torch import Tensor, fx, nn
from torch.fx.passes.shape_prop import ShapeProp
from torchvision.ops import StochasticDepth

from ccrop.backbones.base import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    BackboneModule,
    Level,
    checked_indices,
    unknown_name,
)

PROBE = 224  # px; every stride divides it
STRIDES = (4, 8, 16, 32)
TRANSFORMERS = ("vit_", "swin_")


@MODELS.register_module()
class TorchvisionBackbone(BackboneModule):
    """The last map of each stride from 4 to 32 of a classifier of torchvision's, with untrained weights.

    Args:
        name: as ``torchvision.models.get_model`` knows it.
        out_indices: which of these maps a forward pass gives, finest first; all by default.
        in_channels: of the images.

    Raises:
        ValueError: there is no such network or level, or the network gives no maps.
    """

    def __init__(self, name: str, out_indices: Sequence[int] | None = None, in_channels: int = 3) -> None:
        super().__init__()
        known = torchvision.models.list_models(torchvision.models)
        if name not in known:
            raise ValueError(unknown_name("torchvision", name, known))
        if name.startswith(TRANSFORMERS):
            raise ValueError(f"torchvision's {name} works on tokens and has no feature maps: use timm's")
        network = torchvision.models.get_model(name, weights=None)
        self.in_channels = in_channels
        if in_channels == len(IMAGENET_MEAN):
            self.mean, self.std = IMAGENET_MEAN, IMAGENET_STD
        else:
            _take_channels(network, in_channels)
        self.network, self._maps, self.levels = _traced(network, name, in_channels)
        self.out_indices = checked_indices(out_indices, len(self.levels), f"torchvision:{name}")

    @property
    def out_indices(self) -> tuple[int, ...]:
        return self._out_indices

    @out_indices.setter
    def out_indices(self, indices: Sequence[int]) -> None:
        self._out_indices = tuple(indices)
        self._forward = _function(self.network, [self._maps[index] for index in self._out_indices])

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Maps ``(N, C, h, w)`` of images ``(N, in_channels, H, W)``, finest first."""
        return self._forward(self.network, images)


class _Tracer(fx.Tracer):
    """Traces without entering modules that act differently in training and evaluation."""

    def is_leaf_module(self, module: nn.Module, name: str) -> bool:
        return isinstance(module, StochasticDepth) or super().is_leaf_module(module, name)


def _traced(
    network: nn.Module, name: str, in_channels: int
) -> tuple[fx.GraphModule, tuple[str, ...], tuple[Level, ...]]:
    """The network up to its last maps, the names of their nodes in its graph, and their channels and strides."""
    try:
        traced = fx.GraphModule(network, _Tracer().trace(network.eval()))
        with torch.no_grad():
            ShapeProp(traced).propagate(torch.zeros(1, in_channels, PROBE, PROBE))
    except (AssertionError, RuntimeError, fx.proxy.TraceError) as error:
        raise ValueError(f"the feature maps of torchvision:{name} cannot be traced: use timm's networks") from error
    last: dict[int, fx.Node] = {}
    for node in traced.graph.nodes:
        shape: Sequence[int] = getattr(node.meta.get("tensor_meta"), "shape", ())
        if len(shape) == 4 and shape[2] == shape[3] and PROBE % shape[2] == 0:
            last[PROBE // shape[2]] = node
    last = {stride: last[stride] for stride in STRIDES if stride in last}
    if STRIDES[-1] not in last:
        raise ValueError(f"torchvision:{name} has no feature map of stride {STRIDES[-1]}: use timm's networks")
    levels = tuple(Level(node.meta["tensor_meta"].shape[1], stride) for stride, node in last.items())
    names = tuple(node.name for node in last.values())
    _end_at(traced, names)
    traced.delete_all_unused_submodules()
    return traced.train(), names, levels


def _end_at(traced: fx.GraphModule, names: Sequence[str]) -> None:
    """Make a traced network return the values of some of its nodes, and compute nothing else."""
    nodes = {node.name: node for node in traced.graph.nodes}
    *_, output = nodes.values()
    output.args = (tuple(nodes[name] for name in names),)
    traced.graph.eliminate_dead_code()
    traced.recompile()


def _function(network: fx.GraphModule, names: Sequence[str]) -> Callable[..., tuple[Tensor, ...]]:
    """Computes some of a network's maps: called with the network, or a copy of it, and images."""
    graph = fx.Graph()
    graph.output(graph.graph_copy(network.graph, {}))
    part = fx.GraphModule(network, graph)
    _end_at(part, names)
    return type(part).forward


def _take_channels(network: nn.Module, in_channels: int) -> None:
    """Replace a network's first convolution by one with ``in_channels``."""
    name, first = next((name, each) for name, each in network.named_modules() if isinstance(each, nn.Conv2d))
    parent, _, child = name.rpartition(".")
    geometry = (first.kernel_size, first.stride, first.padding)
    # torch declares a convolution's attributes with wider types than its arguments
    convolution = nn.Conv2d(in_channels, first.out_channels, *geometry, bias=first.bias is not None)  # type: ignore[arg-type]
    setattr(network.get_submodule(parent), child, convolution)
