"""SimCLR: equation 1 in plain Python, and the same batch on one process and on two."""

import math
from pathlib import Path

import pytest
import torch
from jobs import two_processes
from torch import distributed as dist
from torch import nn

from ccrop.backbones import ResNet
from ccrop.models import SimCLR
from ccrop.models.simclr import nt_xent


def vectors(num: int = 5, width: int = 6, seed: int = 0) -> list[torch.Tensor]:
    return list(torch.randn(2, num, width, generator=torch.Generator().manual_seed(seed)))


def by_hand(z1: list[list[float]], z2: list[list[float]], temperature: float) -> float:
    def cosine(a, b):
        return sum(x * y for x, y in zip(a, b, strict=True)) / math.sqrt(sum(x * x for x in a) * sum(y * y for y in b))

    every, num, total = [*z1, *z2], len(z1), 0.0
    for i, anchor in enumerate(every):
        pair = (i + num) % (2 * num)
        others = [math.exp(cosine(anchor, other) / temperature) for k, other in enumerate(every) if k != i]
        total -= math.log(math.exp(cosine(anchor, every[pair]) / temperature) / sum(others))
    return total / len(every)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("temperature", [0.1, 0.5, 1.0])
def test_is_equation_1(seed: int, temperature: float):
    z1, z2 = vectors(seed=seed)
    assert nt_xent(z1, z2, temperature).item() == pytest.approx(
        by_hand(z1.tolist(), z2.tolist(), temperature), rel=1e-5
    )


def test_of_known_angles():
    z = torch.eye(2)
    # each has its pair at cosine 1 and two others at 0
    assert nt_xent(z, 3 * z, 0.5).item() == pytest.approx(-math.log(math.e**2 / (math.e**2 + 2)))
    assert nt_xent(z, z.flip(0), 0.5).item() == pytest.approx(-math.log(1 / (math.e**2 + 2)))


def test_gradients_reach_both_sides():
    z1, z2 = (z.requires_grad_() for z in vectors())
    nt_xent(z1, z2).backward()
    assert z1.grad.abs().sum() > 0
    assert z2.grad.abs().sum() > 0


def test_half_precision_is_computed_in_float32():
    z1, z2 = vectors()
    assert nt_xent(z1.bfloat16(), z2.bfloat16()).dtype == torch.float32


def test_going_down_finds_the_pairs():
    z1, z2 = (z.requires_grad_() for z in vectors(num=8))
    optimizer = torch.optim.SGD([z1, z2], lr=1.0)
    first = nt_xent(z1, z2).item()
    for _ in range(100):
        optimizer.zero_grad()
        loss = nt_xent(z1, z2)
        loss.backward()
        optimizer.step()
    assert loss.item() < first / 2
    assert torch.equal((nn.functional.normalize(z1) @ nn.functional.normalize(z2).T).argmax(dim=1), torch.arange(8))


def test_model_projects_pooled_features():
    torch.manual_seed(0)
    model = SimCLR(dict(type=ResNet, depth=18, base_channels=8, stem_channels=8), channels=32, out_channels=16)
    views = [torch.randn(6, 3, 32, 32) for _ in range(2)]
    loss = model(views, mode="loss")["loss"]
    assert model.embeddings.shape == (6, 16)
    assert not model.embeddings.requires_grad
    z1, z2 = model.projector(model.pooled(torch.cat(views))).chunk(2)
    assert loss.item() == pytest.approx(nt_xent(z1, z2, 0.2).item(), rel=1e-4)
    assert [type(layer) for layer in model.projector] == [
        nn.Linear,
        nn.BatchNorm1d,
        nn.ReLU,
        nn.Linear,
        nn.BatchNorm1d,
    ]


def _half(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    parts = [z[3 * rank : 3 * rank + 3].clone().requires_grad_() for z in vectors(num=6)]
    loss = nt_xent(*parts)
    (loss / 2).backward()  # the mean over processes, as DDP takes it of gradients
    torch.save([loss.detach(), *(part.grad for part in parts)], Path(folder, f"{rank}.pt"))
    dist.destroy_process_group()


def test_two_processes_have_the_loss_and_the_gradients_of_one(tmp_path: Path):
    two_processes(_half, str(tmp_path))
    found = [torch.load(tmp_path / f"{rank}.pt") for rank in range(2)]
    z1, z2 = (z.requires_grad_() for z in vectors(num=6))
    loss = nt_xent(z1, z2)
    loss.backward()
    assert ((found[0][0] + found[1][0]) / 2).item() == pytest.approx(loss.item(), rel=1e-5)
    for position, whole in ((1, z1.grad), (2, z2.grad)):
        torch.testing.assert_close(torch.cat([part[position] for part in found]), whole)
