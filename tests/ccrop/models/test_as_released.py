"""Training steps of the CIFAR configs against ContrastiveCrop's released recipes, written down in plain torch."""

import copy
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from mmengine.registry import MODELS
from torch import Tensor, nn

from ccrop.config import read_config
from ccrop.models import Siamese

CONFIGS = Path(__file__).parents[3] / "configs"
STEPS, BATCH = 3, 6


def built(method: str) -> tuple[Siamese, torch.optim.Optimizer]:
    """A config's method and optimizer at batch 512, in double precision, with narrow networks."""
    config = read_config(CONFIGS / f"{method}_single_cifar10.py")
    config.model.backbone.update(base_channels=4, stem_channels=4)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = MODELS.build(config.model).double()
    settings = copy.deepcopy(config.optim_wrapper.optimizer)
    lr = settings.pop("lr") * 512 / config.auto_scale_lr.base_batch_size
    return model, settings.pop("type")(model.parameters(), lr=lr, **settings)


def batches() -> Tensor:
    return torch.randn(STEPS, 2, BATCH, 3, 16, 16, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def trained(model: Siamese, optimizer: torch.optim.Optimizer) -> Siamese:
    for number, views in enumerate(batches()):
        optimizer.zero_grad()
        model(list(views), mode="loss")["loss"].backward()
        optimizer.step()
        model.after_step(number / STEPS)
    return model


def assert_same_weights(found: nn.Module, expected: nn.Module) -> None:
    for name, value in found.state_dict().items():
        torch.testing.assert_close(value, expected.state_dict()[name], rtol=0, atol=1e-12, msg=name)


def head(in_channels: int, channels: int, out_channels: int, *norm: nn.Module) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(in_channels, channels, bias=not norm), *norm, nn.ReLU(), nn.Linear(channels, out_channels)
    ).double()


def test_simclr():
    """A head without BN, both views in one batch, and a loss that is scaled by T / 0.07, at a learning rate of 0.5."""
    model, optimizer = built("simclr")
    backbone = copy.deepcopy(model.backbone)
    projector = head(32, 512, 128)
    projector.load_state_dict(model.projector.state_dict())
    plain = torch.optim.SGD([*backbone.parameters(), *projector.parameters()], lr=0.5, momentum=0.9, weight_decay=1e-4)
    itself = torch.eye(2 * BATCH, dtype=torch.bool)
    pair = torch.arange(2 * BATCH).roll(BATCH)
    for views in batches():
        z = F.normalize(projector(backbone(views.flatten(0, 1))[-1].mean(dim=(2, 3))), dim=1)
        similarity = (z @ z.T / 0.5).exp()
        among = similarity.masked_fill(itself, 0).sum(dim=1)
        loss = -(0.5 / 0.07) * (similarity[torch.arange(2 * BATCH), pair] / among).log().mean()
        plain.zero_grad()
        loss.backward()
        plain.step()
    trained(model, optimizer)
    assert_same_weights(model.backbone, backbone)
    assert_same_weights(model.projector, projector)


def test_byol():
    """A momentum of 0.996 throughout, heads of 512 and 128, and -2 x cosine for each direction."""
    model, optimizer = built("byol")
    backbone, projector, predictor = (
        copy.deepcopy(part) for part in (model.backbone, model.projector, model.predictor)
    )
    target = nn.Sequential(copy.deepcopy(backbone), head(32, 512, 128, nn.BatchNorm1d(512)))
    target[1].load_state_dict(projector.state_dict())
    online = [*backbone.parameters(), *projector.parameters()]
    plain = torch.optim.SGD([*online, *predictor.parameters()], lr=0.5, momentum=0.9, weight_decay=1e-4)
    for step, views in enumerate(batches()):
        with torch.no_grad():
            for own, other in zip(target.parameters(), online, strict=True):
                own.copy_(own * 0.996 + other * 0.004 if step else other)
            z1, z2 = (target[1](target[0](view)[-1].mean(dim=(2, 3))) for view in views)
        p1, p2 = (predictor(projector(backbone(view)[-1].mean(dim=(2, 3)))) for view in views)
        loss = -2 * (F.cosine_similarity(p1, z2).mean() + F.cosine_similarity(p2, z1).mean())
        plain.zero_grad()
        loss.backward()
        plain.step()
    trained(model, optimizer)
    assert_same_weights(model.backbone, backbone)
    assert_same_weights(model.projector, projector)
    assert_same_weights(model.predictor, predictor)


def test_moco():
    """A head of two layers without BN, 65,536 keys in the order in which they came, and a momentum of 0.999."""
    model, optimizer = built("moco-v2")
    backbone, projector = (copy.deepcopy(part) for part in (model.backbone, model.projector))
    target, target_head = copy.deepcopy(backbone), copy.deepcopy(projector)
    queue = model.queue.vectors.clone()
    assert queue.shape == (65536, 128)
    online = [*backbone.parameters(), *projector.parameters()]
    plain = torch.optim.SGD(online, lr=0.5, momentum=0.9, weight_decay=1e-4)
    for step, (query, key) in enumerate(batches()):
        with torch.no_grad():
            for own, other in zip([*target.parameters(), *target_head.parameters()], online, strict=True):
                own.mul_(0.999).add_(0.001 * other)
            k = F.normalize(target_head(target(key)[-1].mean(dim=(2, 3))), dim=1)
        q = F.normalize(projector(backbone(query)[-1].mean(dim=(2, 3))), dim=1)
        logits = torch.cat([(q * k).sum(dim=1, keepdim=True), q @ queue.T], dim=1) / 0.2
        loss = (logits.exp().sum(dim=1).log() - logits[:, 0]).mean()
        plain.zero_grad()
        loss.backward()
        plain.step()
        queue[BATCH * step : BATCH * (step + 1)] = k
    trained(model, optimizer)
    assert [type(layer) for layer in projector] == [nn.Linear, nn.ReLU, nn.Linear]
    assert_same_weights(model.backbone, backbone)
    assert_same_weights(model.projector, projector)
    torch.testing.assert_close(model.queue.vectors, queue, rtol=0, atol=1e-12)


@pytest.mark.parametrize("method", ["simsiam", "simclr", "moco-v2", "byol"])
def test_only_simsiam_starts_with_residual_branches_of_zero(method: str):
    model, _ = built(method)
    last = [module.bn2.weight for module in model.backbone.modules() if hasattr(module, "bn2")]
    model.init_weights()
    assert len(last) == 8
    assert all((weight == (0 if method == "simsiam" else 1)).all() for weight in last)


@pytest.mark.parametrize(("classes", "mean", "std"), [(10, 0.4914, 0.2023), (100, 0.5071, 0.2675)])
def test_each_set_has_its_own_normalization(classes: int, mean: float, std: float):
    preprocessor = read_config(CONFIGS / f"simsiam_single_cifar{classes}.py").model.data_preprocessor
    assert (preprocessor.mean[0], preprocessor.std[0]) == (mean, std)
