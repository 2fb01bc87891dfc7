"""Which weights of a backbone do not contribute to its maps."""

import torch

from ccrop.backbones.base import BackboneModule
from ccrop.backbones.module_backbone import evaluated


def unused_weights(backbone: BackboneModule) -> list[str]:
    """Names of the weights that none of a backbone's maps depends on, as a pass over a blank image shows.

    They belong to stages after the last level, or to layers between the last map and the classifier.
    """
    names, weights = zip(*backbone.named_parameters(), strict=True)
    size = backbone.image_size or [2 * max(level.stride for level in backbone.levels)] * 2
    blank = torch.zeros(1, backbone.in_channels, *size, device=weights[0].device)
    with evaluated(backbone), torch.enable_grad():
        total = torch.stack([each.float().sum() for each in backbone(blank)]).sum()
        gradients = torch.autograd.grad(total, weights, allow_unused=True)
    return [name for name, gradient in zip(names, gradients, strict=True) if gradient is None]
