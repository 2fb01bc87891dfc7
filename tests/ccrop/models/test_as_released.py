"""Configs against ContrastiveCrop's released recipes (xyupeng/ContrastiveCrop, commit 408f143), in plain torch.

Networks are narrow and in double precision. A run of five steps stands for the released one: a step is a fifth of its
epochs, so the learning rate changes at each.
"""

import copy
import math
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
import torchvision
from mmengine.config import Config
from mmengine.optim import OptimWrapper, build_optim_wrapper
from mmengine.registry import HOOKS, MODELS, TASK_UTILS
from torch import Tensor, nn

from ccrop.backbones import ResNet, ResNetCIFAR
from ccrop.config import read_config
from ccrop.models import Siamese
from ccrop.schedule import fit_schedule

CONFIGS = Path(__file__).parents[3] / "configs"
STEPS, BATCH = 5, 32
CIFAR = ("simsiam", "simclr", "moco-v2", "byol")
RELEASED = [  # every config that the released code has
    *(f"{method}_{crop}_cifar{classes}" for method in CIFAR for crop in ("rcrop", "single") for classes in (10, 100)),
    *(f"moco-v2_simccrop_cifar{classes}" for classes in (10, 100)),
    *(f"{method}_{crop}_{data}" for method in ("moco-v1", "moco-v2") for crop in ("rcrop", "single")
      for data in ("imagenet", "imagenet200")),
]  # fmt: skip
NORMALIZATION = {
    "cifar10": ((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)),
    "cifar100": ((0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761)),
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
}


def released(name: str) -> Config:
    """A config with a run of :data:`STEPS` epochs."""
    return read_config(CONFIGS / f"{name}.py", {"train_cfg.max_epochs": STEPS})


def built(name: str, **settings: float) -> tuple[Siamese, OptimWrapper, list]:
    """A config's method, its optimizer at the config's batch size, as the runner scales it, and its schedule.

    Args:
        name: of the config.
        settings: of the model, over the config's.
    """
    config = released(name)
    config.model.update(settings)
    config.model.backbone.update(depth=18, base_channels=4, stem_channels=4)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = MODELS.build(config.model)
        model.init_weights()
    config.optim_wrapper.optimizer.lr *= config.train_dataloader.batch_size / config.auto_scale_lr.base_batch_size
    wrapper = build_optim_wrapper(model.double(), config.optim_wrapper)
    schedules = [each.pop("type")(wrapper, **each) for each in fit_schedule(config.param_scheduler, STEPS)]
    return model, wrapper, schedules


def batches() -> Tensor:
    return torch.randn(STEPS, 2, BATCH, 3, 16, 16, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def trained(model: Siamese, wrapper: OptimWrapper, schedules: list) -> Siamese:
    for number, views in enumerate(batches()):
        wrapper.update_params(model(list(views), mode="loss")["loss"])
        model.after_step(number / STEPS)
        for schedule in schedules:
            schedule.step()
    return model


def cosine(step: int) -> float:
    """The learning rate on CIFAR: from 0.5 to a tenth of it."""
    return 0.05 + 0.45 * (1 + math.cos(math.pi * step / STEPS)) / 2


def descend(loss: Callable[[Tensor], Tensor], parameters: Iterable, rate: Callable[[int], float] = cosine) -> None:
    """SGD over all batches; a group with a ``constant`` learning rate keeps it."""
    optimizer = torch.optim.SGD(parameters, lr=0.5, momentum=0.9, weight_decay=1e-4)
    for step, views in enumerate(batches()):
        for group in optimizer.param_groups:
            group["lr"] = 0.5 if group.get("constant") else rate(step)
        optimizer.zero_grad()
        loss(views).backward()
        optimizer.step()


def assert_same_weights(found: nn.Module, expected: nn.Module) -> None:
    assert found.state_dict().keys() == expected.state_dict().keys()
    for name, value in found.state_dict().items():
        torch.testing.assert_close(value, expected.state_dict()[name], rtol=0, atol=1e-12, msg=name)


def head(in_channels: int, channels: int, out_channels: int, *norm: nn.Module) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(in_channels, channels, bias=not norm), *norm, nn.ReLU(), nn.Linear(channels, out_channels)
    ).double()


def pooled(backbone: nn.Module, images: Tensor) -> Tensor:
    return backbone(images)[-1].mean(dim=(2, 3))


@pytest.mark.parametrize("classes", [10, 100])
def test_simsiam(classes: int):
    """Three layers of 512, BN after each, the last without affine; a bottleneck of 128 at a constant learning rate."""
    model, *optimizer = built(f"simsiam_single_cifar{classes}")
    backbone, widths = copy.deepcopy(model.backbone), (32, 512, 512, 512)
    layers: list[nn.Module] = []
    for number in range(3):
        layers += [nn.Linear(widths[number], 512, bias=False), nn.BatchNorm1d(512, affine=number < 2), nn.ReLU()]
    projector, predictor = nn.Sequential(*layers[:-1]).double(), head(512, 128, 512, nn.BatchNorm1d(128))
    projector.load_state_dict(model.projector.state_dict())
    predictor.load_state_dict(model.predictor.state_dict())

    def loss(views: Tensor) -> Tensor:
        z1, z2 = (projector(pooled(backbone, view)) for view in views)
        p1, p2 = predictor(z1), predictor(z2)
        return -0.5 * (F.cosine_similarity(p1, z2.detach()).mean() + F.cosine_similarity(p2, z1.detach()).mean())

    rest = [*backbone.parameters(), *projector.parameters()]
    descend(loss, [dict(params=rest), dict(params=predictor.parameters(), constant=True)])
    trained(model, *optimizer)
    assert_same_weights(model.backbone, backbone)
    assert_same_weights(model.projector, projector)
    assert_same_weights(model.predictor, predictor)


@pytest.mark.parametrize("classes", [10, 100])
def test_simclr(classes: int):
    """A head without BN, both views in one batch, and a loss that is scaled by T / 0.07."""
    model, *optimizer = built(f"simclr_single_cifar{classes}")
    backbone = copy.deepcopy(model.backbone)
    projector = head(32, 512, 128)
    projector.load_state_dict(model.projector.state_dict())
    itself = torch.eye(2 * BATCH, dtype=torch.bool)
    pair = torch.arange(2 * BATCH).roll(BATCH)

    def loss(views: Tensor) -> Tensor:
        z = F.normalize(projector(pooled(backbone, views.flatten(0, 1))), dim=1)
        similarity = (z @ z.T / 0.5).exp()
        among = similarity.masked_fill(itself, 0).sum(dim=1)
        return -(0.5 / 0.07) * (similarity[torch.arange(2 * BATCH), pair] / among).log().mean()

    descend(loss, [*backbone.parameters(), *projector.parameters()])
    trained(model, *optimizer)
    assert_same_weights(model.backbone, backbone)
    assert_same_weights(model.projector, projector)


@pytest.mark.parametrize("classes", [10, 100])
def test_byol(classes: int):
    """A momentum of 0.996 before each step, from a target of its own; heads of 512 and 128; -2 x cosine both ways."""
    model, *optimizer = built(f"byol_single_cifar{classes}")
    backbone, target_backbone = copy.deepcopy(model.backbone), copy.deepcopy(model.target["backbone"])
    projector, target_head = (head(32, 512, 128, nn.BatchNorm1d(512)) for _ in range(2))
    predictor = head(128, 512, 128, nn.BatchNorm1d(512))
    projector.load_state_dict(model.projector.state_dict())
    target_head.load_state_dict(model.target["projector"].state_dict())
    predictor.load_state_dict(model.predictor.state_dict())
    online = [*backbone.parameters(), *projector.parameters()]
    target = [*target_backbone.parameters(), *target_head.parameters()]
    with torch.no_grad():  # back to the weights before the first of the released code's updates
        for own, other in zip(target, online, strict=True):
            own.copy_((own - 0.004 * other) / 0.996)

    def loss(views: Tensor) -> Tensor:
        with torch.no_grad():
            for own, other in zip(target, online, strict=True):
                own.copy_(own * 0.996 + other * 0.004)
            z1, z2 = (target_head(pooled(target_backbone, view)) for view in views)
        p1, p2 = (predictor(projector(pooled(backbone, view))) for view in views)
        return -2 * (F.cosine_similarity(p1, z2).mean() + F.cosine_similarity(p2, z1).mean())

    descend(loss, [*online, *predictor.parameters()])
    trained(model, *optimizer)
    assert_same_weights(model.backbone, backbone)
    assert_same_weights(model.projector, projector)
    assert_same_weights(model.predictor, predictor)


def moco_v1_steps(step: int) -> float:
    """A tenth after three and after four fifths, as in its paper; the released configs have 0 after three."""
    return 0.03 * (1, 1, 1, 0.1, 0.01)[step]


def cosine_to_zero(step: int) -> float:
    return 0.03 * (1 + math.cos(math.pi * step / STEPS)) / 2


@pytest.mark.parametrize(
    ("name", "widths", "temperature", "rate"),
    [
        ("moco-v2_single_cifar10", (32, 512, 128), 0.2, cosine),
        ("moco-v2_simccrop_cifar100", (32, 512, 128), 0.2, cosine),
        ("moco-v2_single_imagenet", (32, 2048, 128), 0.2, cosine_to_zero),
        ("moco-v1_single_imagenet", (32, 128), 0.07, moco_v1_steps),
    ],
)
def test_moco(name: str, widths: tuple[int, ...], temperature: float, rate: Callable[[int], float]):
    """A head without BN, 65,536 keys in the order in which they came, and a momentum of 0.999 before each step."""
    model, *optimizer = built(name)
    backbone, target_backbone = copy.deepcopy(model.backbone), copy.deepcopy(model.backbone)
    projector, target_head = (
        head(*widths) if len(widths) == 3 else nn.Sequential(nn.Linear(*widths)).double() for _ in range(2)
    )
    projector.load_state_dict(model.projector.state_dict())
    target_head.load_state_dict(model.projector.state_dict())
    online = [*backbone.parameters(), *projector.parameters()]
    target = [*target_backbone.parameters(), *target_head.parameters()]
    queue, pushed = model.queue.vectors.clone(), 0
    assert queue.shape == (65536, 128)

    def loss(views: Tensor) -> Tensor:
        nonlocal queue, pushed
        query, key = views
        with torch.no_grad():
            for own, other in zip(target, online, strict=True):
                own.copy_(own * 0.999 + other * 0.001)
            k = F.normalize(target_head(pooled(target_backbone, key)), dim=1)
        q = F.normalize(projector(pooled(backbone, query)), dim=1)
        logits = torch.cat([(q * k).sum(dim=1, keepdim=True), q @ queue.T], dim=1) / temperature
        queue, pushed = torch.cat([queue[:pushed], k, queue[pushed + BATCH :]]), pushed + BATCH
        return (logits.logsumexp(dim=1) - logits[:, 0]).mean()

    descend(loss, online, rate)
    trained(model, *optimizer)
    assert_same_weights(model.backbone, backbone)
    assert_same_weights(model.projector, projector)
    torch.testing.assert_close(model.queue.vectors, queue, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", RELEASED)
def test_only_simsiam_starts_with_residual_branches_of_zero(name: str):
    model, *_ = built(name)
    last = [module.bn2.weight for module in model.modules() if hasattr(module, "bn2")]
    assert len(last) == (16 if hasattr(model, "target") else 8)
    assert all((weight == (0 if name.startswith("simsiam") else 1)).all() for weight in last)


def test_byol_starts_from_a_target_of_its_own():
    """Random weights of the same distribution, moved by the momentum once; those of a file are copied."""
    model, *_ = built("byol_rcrop_cifar10")
    online = dict(model.named_parameters())
    for name, weight in model.target.named_parameters():
        apart = (weight - 0.004 * online[name]) / 0.996
        if "bn" in name or "downsample.1" in name:
            torch.testing.assert_close(apart, online[name])  # ones and zeros
        elif weight.numel() > 1000:
            spread = torch.stack([apart.flatten(), online[name].flatten()])
            assert spread.std(dim=1).div(spread[1].std()).sub(1).abs().max() < 0.1, name
            assert spread.corrcoef()[0, 1].abs() < 5 / weight.numel() ** 0.5, name
    moved, *_ = built("byol_rcrop_cifar10", momentum=0.0)
    model.weights_changed()
    for each in (moved, model):
        assert_same_weights(each.target["backbone"], each.backbone)
        assert_same_weights(each.target["projector"], each.projector)


@pytest.mark.parametrize("small", [False, True], ids=["ResNet-50", "ResNet-18 for 32 px"])
def test_the_encoder_is_a_resnet_with_the_released_stem(small: bool):
    """On CIFAR, 3x3 of stride 1 without max-pooling; the rest is torchvision's."""
    plain = (torchvision.models.resnet18 if small else torchvision.models.resnet50)().double()
    if small:
        plain.conv1, plain.maxpool = nn.Conv2d(3, 64, 3, padding=1, bias=False).double(), nn.Identity()
    plain.fc = nn.Identity()
    backbone = (ResNetCIFAR(18) if small else ResNet(50)).double()
    backbone.load_state_dict(plain.state_dict())
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.testing.assert_close(pooled(backbone, images), plain(images), rtol=0, atol=1e-12)
    assert_same_weights(backbone, plain)  # running statistics, too
    config = released("simclr_single_cifar10" if small else "moco-v2_single_imagenet")
    settings = dict(config.model.backbone)
    assert settings.pop("zero_init_residual") is False
    assert settings == dict(type=type(backbone), depth=18 if small else 50)


@pytest.mark.parametrize("name", RELEASED)
def test_views_batches_and_boxes(name: str):
    config = read_config(CONFIGS / f"{name}.py")
    method, crop, data = name.split("_")
    small = data.startswith("cifar")
    batch, epochs, side = (512, 500, 32) if small else (256, 100, 224)
    assert (config.train_dataloader.batch_size, config.train_cfg.max_epochs) == (batch, epochs)
    assert config.train_dataloader.drop_last
    assert config.sync_bn == (None if method.startswith("moco") else "torch")

    photometric = MODELS.build(config.model.data_preprocessor)
    mean, std = NORMALIZATION["imagenet" if not small else data]
    torch.testing.assert_close(photometric.mean.flatten(), torch.tensor(mean))
    torch.testing.assert_close(photometric.std.flatten(), torch.tensor(std))
    assert (photometric.flip_prob, photometric.jitter_prob, photometric.gray_prob) == (0.5, 0.8, 0.2)
    assert photometric.jitter == (0.4, 0.4, 0.4, 0.1)
    assert photometric.blur_prob == (0 if small else 0.5)
    assert photometric.blur_sigma == (0.1, 2.0)

    (step,) = config.train_dataloader.dataset.pipeline
    settings = dict(step.crop)
    views = settings.pop("type")(**settings)
    assert (step.size, views.scale, views.ratio) == (side, (0.2, 1.0), (3 / 4, 4 / 3))
    if crop == "rcrop":
        assert "localization" not in config.default_hooks
        return
    assert views.alpha == (0.1 if small else 0.6)
    localization = HOOKS.build(config.default_hooks.localization)
    if crop == "single":
        assert (localization.localizer.threshold, localization.image_size) == (0.1, (side, side))
        assert not localization.keep_ratio
        assert list(localization.schedule(epochs)) == [epochs * fifth // 5 for fifth in (1, 2, 3, 4)]
    else:
        localizer = TASK_UTILS.build(config.default_hooks.localization.localizer)
        assert localizer.box == (0.25, 0.25, 0.75, 0.75)
        assert localization.schedule(epochs).start == 0
