"""A training step of SimSiam on a ResNet-18."""

from collections.abc import Iterator
from contextlib import nullcontext

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ccrop.backbones import ResNet
from ccrop.mixed_precision import has_bf16
from ccrop.models import SimSiam, ViewPreprocessor
from ccrop.tools.benchmarks.timing import Call, Comparison

BATCH, SIDE, WIDTH = 16, 128, 512


def comparisons() -> Iterator[Comparison]:
    generator = torch.Generator().manual_seed(0)
    views = [torch.randint(256, (BATCH, SIDE, SIDE, 3), dtype=torch.uint8, generator=generator) for _ in range(2)]
    plain = [(view.permute(0, 3, 1, 2) / 255).contiguous() for view in views]
    yield Comparison(
        f"SimSiam step, ResNet-18, {SIDE} px",
        our_step(views),
        {"bare torch, float32, channels first": bare_step(plain)},
        "ms per image",
        BATCH,
    )


def our_step(views: list[Tensor]) -> Call:
    """With normalization and in the precision of ``--amp``: bf16 if the processor supports it."""
    model = SimSiam(
        dict(type=ResNet, depth=18, out_indices=(3,)),
        channels=WIDTH,
        bottleneck=WIDTH // 4,
        data_preprocessor=dict(type=ViewPreprocessor),
    )
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-4)

    def step() -> None:
        batch = model.data_preprocessor(dict(views=views, index=torch.arange(BATCH)))
        with torch.autocast("cpu", torch.bfloat16) if has_bf16() else nullcontext():
            loss = model(**batch, mode="loss")["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def bare_step(views: list[Tensor]) -> Call:
    """The same network and loss in a few lines of torch."""
    from torchvision.models import resnet18

    backbone = resnet18()
    backbone.fc = nn.Identity()

    def linear(before: int, after: int) -> list[nn.Module]:
        return [nn.Linear(before, after, bias=False), nn.BatchNorm1d(after)]

    projector = nn.Sequential(*linear(512, WIDTH), nn.ReLU(), *linear(WIDTH, WIDTH), nn.ReLU(), *linear(WIDTH, WIDTH))
    predictor = nn.Sequential(*linear(WIDTH, WIDTH // 4), nn.ReLU(), nn.Linear(WIDTH // 4, WIDTH))
    network = nn.ModuleList([backbone, projector, predictor])
    optimizer = torch.optim.SGD(network.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-4)

    def step() -> None:
        z1, z2 = (projector(backbone(view)) for view in views)
        p1, p2 = predictor(z1), predictor(z2)
        loss = -(F.cosine_similarity(p1, z2.detach()).mean() + F.cosine_similarity(p2, z1.detach()).mean()) / 2
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step
