"""The multi-layer perceptrons behind a backbone: projectors and predictors."""

from torch import nn


def projector(in_channels: int, channels: int, out_channels: int, num_layers: int = 3) -> nn.Sequential:
    """SimSiam's projector (Chen & He, CVPR 2021, section 3): BN after every layer, without affine on the last.

    Maps ``(N, in_channels)`` to ``(N, out_channels)``; ``num_layers - 1`` hidden layers of ``channels``.
    """
    layers: list[nn.Module] = []
    for width in [in_channels] + [channels] * (num_layers - 2):
        layers += [nn.Linear(width, channels, bias=False), nn.BatchNorm1d(channels), nn.ReLU(inplace=True)]
    layers += [nn.Linear(channels, out_channels, bias=False), nn.BatchNorm1d(out_channels, affine=False)]
    return nn.Sequential(*layers)


def predictor(channels: int, bottleneck: int) -> nn.Sequential:
    """SimSiam's predictor: two layers, the hidden one a bottleneck, no BN on the output; ``(N, channels)``."""
    return nn.Sequential(
        nn.Linear(channels, bottleneck, bias=False),
        nn.BatchNorm1d(bottleneck),
        nn.ReLU(inplace=True),
        nn.Linear(bottleneck, channels),
    )
