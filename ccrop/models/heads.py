"""The multi-layer perceptrons on top of a backbone: projectors and predictors."""

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


def mlp(in_channels: int, channels: int, out_channels: int) -> nn.Sequential:
    """Two layers, BN after the hidden one only; ``(N, in_channels)`` to ``(N, out_channels)``.

    The projector of BYOL (Grill et al., NeurIPS 2020, section 3.3) and of SwAV (Caron et al., NeurIPS 2020).
    """
    return nn.Sequential(
        nn.Linear(in_channels, channels, bias=False),
        nn.BatchNorm1d(channels),
        nn.ReLU(inplace=True),
        nn.Linear(channels, out_channels),
    )


def predictor(channels: int, hidden: int) -> nn.Sequential:
    """Two layers, no BN on the output; ``(N, channels)``. SimSiam's hidden layer is a bottleneck, BYOL's is wide."""
    return mlp(channels, hidden, channels)


def without_bn(in_channels: int, channels: int, out_channels: int, num_layers: int) -> nn.Sequential:
    """MoCo's head: one linear layer in v1 (He et al., CVPR 2020), two with a ReLU in v2 (Chen et al., 2020).

    Maps ``(N, in_channels)`` to ``(N, out_channels)``; ``num_layers - 1`` hidden layers of ``channels``.
    """
    layers: list[nn.Module] = []
    for _ in range(num_layers - 1):
        layers += [nn.Linear(in_channels, channels), nn.ReLU(inplace=True)]
        in_channels = channels
    return nn.Sequential(*layers, nn.Linear(in_channels, out_channels))
