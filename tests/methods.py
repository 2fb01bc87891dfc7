"""Every method in a size that trains on the CPU in a blink, and a problem for it."""

from collections.abc import Callable
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor, nn

from ccrop.models import BYOL, MoCo, MoCoV3, Siamese, SimCLR, SimSiam, SwAV


class TwoLevels(nn.Module):
    """A backbone of two stages, strides 2 and 4, with 8 and 16 channels."""

    channels = (8, 16)

    def __init__(self) -> None:
        super().__init__()
        widths = (3, 8, 16)
        self.stages = nn.ModuleList(
            nn.Sequential(nn.Conv2d(i, o, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(o), nn.ReLU())
            for i, o in pairwise(widths)
        )

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        fine = self.stages[0](x)
        return fine, self.stages[1](fine)


METHODS: dict[str, Callable[..., Siamese]] = {
    "simsiam": partial(SimSiam, channels=32, bottleneck=8),
    "simclr": partial(SimCLR, channels=32, out_channels=16),
    "moco-v1": partial(MoCo, out_channels=16, num_layers=1, queue_size=24, momentum=0.9, temperature=0.07),
    "moco-v2": partial(MoCo, channels=32, out_channels=16, queue_size=24, momentum=0.9),
    "moco-v3": partial(MoCoV3, channels=32, out_channels=16, momentum=0.9),
    "byol": partial(BYOL, channels=32, out_channels=16, momentum=0.9),
    "swav": partial(SwAV, channels=32, out_channels=16, num_prototypes=12, queue_size=16, queue_from=1),
}


def build(name: str, **settings) -> Siamese:
    """A method by its name in the configs, always with the same weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return METHODS[name](dict(type=TwoLevels), **settings)


def two_views(num: int = 16, seed: int = 0) -> list[Tensor]:
    """``(num, 3, 16, 16)`` twice: images of colors and stripes of their own, with some noise."""
    generator = torch.Generator().manual_seed(seed)
    colors = torch.randn(num, 3, 1, 1, generator=generator)
    stripes = torch.randn(num, 3, 1, 16, generator=generator)
    return [colors + stripes + 0.5 * torch.randn(num, 3, 16, 16, generator=generator) for _ in range(2)]


def train(model: Siamese, optimizer: torch.optim.Optimizer, steps: range, total: int) -> list[float]:
    """The losses of some of ``total`` steps, four an epoch."""
    losses = []
    for step in steps:
        if step % 4 == 0:
            model.before_epoch(step // 4, total // 4)
        loss = model(two_views(seed=step))["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        model.after_step(step / total)
        losses.append(loss.item())
    return losses
