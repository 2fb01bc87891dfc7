"""Every method learns from sweeps, whose views are lists of points and no tensors."""

import methods
import numpy as np
import pytest
import torch
from torch import Tensor

from ccrop.models import moco
from ccrop.models.siamese import average
from ccrop.models.simclr import nt_xent
from ccrop.models.swav import swav_loss
from ccrop.projects.lidar_bev.grid import Grid
from ccrop.projects.lidar_bev.pretraining import PillarBackbone

GRID = dict(type=Grid, low=(-8, -8, -3), high=(8, 8, 1), cell=0.5)


def views(seed: int = 0) -> list[list[Tensor]]:
    """Two views of five sweeps, each with its own number of points."""
    rng = np.random.default_rng(seed)
    return [
        [torch.from_numpy(rng.uniform(-3, 1, (200 + 50 * number, 4)).astype(np.float32)) for number in range(5)]
        for _ in range(2)
    ]


def build(name: str):
    torch.manual_seed(0)
    return methods.METHODS[name](dict(type=PillarBackbone, grid=GRID, size="small"))


@pytest.mark.parametrize("name", methods.METHODS)
def test_a_step_trains_the_encoder(name: str):
    model = build(name).train()
    losses = model(views=views(), mode="loss")
    model.parse_losses(losses)[0].backward()
    assert losses["loss"].isfinite()
    assert model.backbone.pillars.linear.weight.grad.abs().sum() > 0
    assert len(model.embeddings) == 5


@pytest.mark.parametrize("name", ["simclr", "swav"])
def test_both_views_pass_the_encoder_as_one_batch(name: str):
    """So that BN sees them together."""
    first, second = views()
    found = build(name).train()(views=[first, second], mode="loss")["loss"]
    model = build(name).train()
    z = model.projector(average(model.backbone(first + second)))
    if name == "simclr":
        expected = nt_xent(*z.chunk(2), model.temperature)
    else:
        z = torch.nn.functional.normalize(z, dim=1).chunk(2)
        prototypes = torch.nn.functional.normalize(model.prototypes.weight, dim=1)
        scores = [each @ prototypes.T for each in z]
        codes = [model._codes(number, scores[number], prototypes) for number in range(2)]
        expected = swav_loss(scores, codes, model.temperature)
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)


def test_shuffling_sweeps_over_processes_is_refused_in_a_line(monkeypatch: pytest.MonkeyPatch):
    model = build("moco-v2").train()
    monkeypatch.setattr(moco, "get_world_size", lambda: 2)
    with pytest.raises(ValueError, match=r"^MoCo shuffles images over the processes, which it cannot do with sweeps"):
        model(views=views(), mode="loss")
