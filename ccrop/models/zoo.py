"""Backbones of timm and torchvision, so that their weights can be measured beside ours."""

from collections.abc import Sequence

import timm
import torch
import torchvision
from torch import Tensor, fx, nn
from torch.fx.passes.shape_prop import ShapeProp

from ccrop.models.preprocessor import IMAGENET_MEAN, IMAGENET_STD

STRIDES = (4, 8, 16, 32)
PROBE = 224  # px; every stride divides it
# a network, and mean and std of its images
Network = tuple[nn.Module, tuple[Sequence[float], Sequence[float]]]


class ZooBackbone(nn.Module):
    """The feature maps of a classifier of timm's or torchvision's, finest first, without its classifier.

    Args:
        name: ``'timm:NAME'`` or ``'torchvision:NAME'``, as ``timm.create_model`` and ``torchvision.models.get_model``
            know it.

    Attributes:
        out_indices: which of the levels of strides 4, 8, 16 and 32 a forward pass gives, as far as the network has
            them; all by default.
        mean, std: RGB, in [0, 1], of the normalisation that the weights expect.

    Raises:
        ValueError: there is no such network, or it has no maps ``(N, C, H, W)``.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        library, _, architecture = name.partition(":")
        if library not in LIBRARIES:
            raise ValueError(f"a backbone of a zoo is named timm:NAME or torchvision:NAME, got {name!r}")
        network, normalisation = LIBRARIES[library](architecture)
        self.maps = MAPS[library](network)
        self.out_indices = tuple(range(len(STRIDES)))
        self.mean, self.std = normalisation

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Levels ``out_indices`` of images ``(N, 3, H, W)``, finest first, ``(N, C, h, w)`` each."""
        found = self.maps(images)
        return tuple(found[STRIDES[index]] for index in self.out_indices if STRIDES[index] in found)


class _TimmMaps(nn.Module):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        strides = [info["reduction"] for info in network.feature_info]
        self.last = {stride: place for place, stride in enumerate(strides) if stride in STRIDES}

    def forward(self, images: Tensor) -> dict[int, Tensor]:
        places = list(self.last.values())
        found = self.network.forward_intermediates(images, indices=places, intermediates_only=True)
        return dict(zip(self.last, found, strict=True))


def _torchvision_maps(network: nn.Module) -> fx.GraphModule:
    """The network, traced, with the last maps ``(N, C, H, W)`` of each stride as its output."""
    try:
        traced = fx.symbolic_trace(network.eval())
        ShapeProp(traced).propagate(torch.zeros(1, 3, PROBE, PROBE))
    except (AssertionError, RuntimeError, fx.proxy.TraceError) as error:
        raise ValueError(f"the feature maps of a {type(network).__name__} cannot be traced: use timm's") from error
    last = {}
    for node in traced.graph.nodes:
        shape = getattr(node.meta.get("tensor_meta"), "shape", ())
        if len(shape) == 4 and shape[2] == shape[3] and PROBE // shape[2] in STRIDES and PROBE % shape[2] == 0:
            last[PROBE // shape[2]] = node
        if node.op == "output":
            node.args = (dict(sorted(last.items())),)
    if STRIDES[-1] not in last:
        raise ValueError(f"{type(network).__name__} has no feature map of stride {STRIDES[-1]}")
    traced.graph.eliminate_dead_code()
    traced.delete_all_unused_submodules()
    traced.recompile()
    return traced


def _timm(name: str) -> Network:
    if not timm.is_model(name):
        raise ValueError(f"timm has no model {name!r}; timm.list_models() lists them")
    settings = dict(dynamic_img_size=True) if name.startswith(("vit_", "deit_")) else {}
    network = timm.create_model(name, **settings)
    known = network.pretrained_cfg
    network.reset_classifier(0)
    return network, (known["mean"], known["std"])


def _torchvision(name: str) -> Network:
    if name not in torchvision.models.list_models(torchvision.models):
        raise ValueError(f"torchvision has no classifier {name!r}; torchvision.models.list_models() lists them")
    if name.startswith("vit_"):
        raise ValueError(f"torchvision's {name} gives tokens and no maps: use timm's")
    return torchvision.models.get_model(name, weights=None), (IMAGENET_MEAN, IMAGENET_STD)


LIBRARIES = dict(timm=_timm, torchvision=_torchvision)
MAPS = dict(timm=_TimmMaps, torchvision=_torchvision_maps)

