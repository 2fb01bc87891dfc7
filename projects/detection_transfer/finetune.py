"""Fine-tune a detector on labelled images, and measure it on the val split."""

import copy
import json
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.registry import MODELS, DefaultScope
from torch.utils.flop_counter import FlopCounterMode

from ccrop.compat.checkpoint import install_safe_checkpoints
from ccrop.datasets import MissingData
from ccrop.runner import BriefRunner, dicts_of
from projects.detection_transfer.backbone import RANDOM, backbone_weights
from projects.detection_transfer.data import settle_coco, use_labels

LR_FACTORS = (0.5, 1.0, 2.0)  # of the config's learning rate
HELD_OUT = 0.2  # of the labelled images, to choose a learning rate by


def load_config(path: str | Path, data_root: str | Path | None = None, options: dict[str, Any] | None = None) -> Config:
    """Read a detector's config and settle its data.

    Args:
        path: a file of ``projects/detection_transfer/configs/``, or any other of mmdet's kind.
        data_root: of the data set; by default the config's ``default_data_root``.
        options: dotted keys and values over those of the config.

    Raises:
        FileNotFoundError, MissingData: the config or the data are not there.
        ValueError: see :mod:`projects.detection_transfer.data`.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"config {path} does not exist")
    config = Config.fromfile(path)
    config.merge_from_dict(options or {})
    root = Path(data_root or config.default_data_root)
    if not root.is_dir():
        raise MissingData(f"the data root {root} does not exist: name one by --data-root")
    if config.train_dataloader.dataset.type == "CocoDataset":
        settle_coco(config, root)
    else:
        for settings in dicts_of(config):
            if "data_root" in settings:
                settings["data_root"] = str(root)
    for loader in (config.train_dataloader, config.test_dataloader):
        loader.persistent_workers = loader.num_workers > 0
    if not torch.cuda.is_available():
        without_sync_bn(config)
    config.headline = f"{Path(path).stem} on {root}"
    config.experiment = Path(path).stem
    return config


def set_iterations(config: Config, iterations: int) -> None:
    """Train for so many iterations, and stretch the learning rate's schedule by as much."""
    factor = iterations / config.train_cfg.max_iters
    config.train_cfg.update(max_iters=iterations, val_interval=iterations + 1)
    for scheduler in config.param_scheduler:
        scheduler.begin = round(factor * scheduler.begin)
        if "end" in scheduler:
            scheduler.end = max(round(factor * scheduler.end), scheduler.begin + 1)
        if "milestones" in scheduler:
            scheduler.milestones = [round(factor * milestone) for milestone in scheduler.milestones]


def finetune(
    config: Config,
    init: str,
    work_dir: str | Path,
    labels: float = 1.0,
    seed: int = 0,
    held_out: float = 0.0,
) -> dict[str, float]:
    """Train and test a detector.

    Args:
        config: of :func:`load_config`; it stays as it is.
        init: ``'random'``, or a file with a backbone, see :func:`projects.detection_transfer.backbone.load_backbone`.
        work_dir: takes the log, the last checkpoint and ``figures.json``.
        labels: share of the labelled images, see :func:`projects.detection_transfer.data.labelled_share`.
        seed: draws the images, the weights and the batches.
        held_out: part of these images that is tested on in place of the val split.

    Returns:
        The figures of :class:`projects.detection_transfer.metric.SmallObjectMetric`, in [0, 1].
    """
    install_safe_checkpoints()
    if init != RANDOM:
        backbone_weights(init)  # a wrong file stops here, before the data are read
    config = copy.deepcopy(config)
    config.custom_hooks = [*config.get("custom_hooks", []), dict(type="BackboneInitHook", init=str(init))]
    used = use_labels(config, labels, seed, held_out)
    config.work_dir = str(work_dir)
    config.randomness.seed = seed
    config.headline += f", backbone {init}, trained on {'{} of {}'.format(*used) if used else 'all'} labelled images"
    torch.manual_seed(seed)
    runner = BriefRunner.from_cfg(config)
    backbone = runner.model.backbone
    bn = "as they are" if backbone.norm_eval else "trained"
    runner.logger.info(f"{max(backbone.frozen_stages, 0)} stages of the backbone frozen, its BN statistics {bn}")
    runner.train()
    figures = {name: float(value) for name, value in runner.test().items()}
    Path(work_dir, "figures.json").write_text(json.dumps(figures, indent=1))
    return figures


def set_learning_rate(config: Config, lr: float, backbone: float = 1.0) -> None:
    """Train with a rate, and the backbone with a multiple of it.

    A pretrained backbone and a new head ask for different rates: what is right for the head may overwrite the backbone.
    """
    config.merge_from_dict(
        {"optim_wrapper.optimizer.lr": lr, "optim_wrapper.paramwise_cfg.custom_keys.backbone.lr_mult": backbone}
    )


def search_learning_rate(
    config: Config,
    init: str,
    work_dir: str | Path,
    factors: Sequence[float] = LR_FACTORS,
    backbone_factors: Sequence[float] = (1.0,),
    labels: float = 1.0,
    seed: int = 0,
) -> tuple[float, float]:
    """The learning rate with the best AP_S on held-out labelled images, and the backbone's multiple of it.

    One rate for all favours one initialisation, so each gets its own; the val split is not looked at.

    Args:
        config: stays as it is.
        factors: of the config's learning rate.
        backbone_factors: of each of these rates, for the backbone alone.
    """
    base = config.optim_wrapper.optimizer.lr
    found = {}
    for rate, backbone in product([base * factor for factor in factors], backbone_factors):
        own = copy.deepcopy(config)
        set_learning_rate(own, rate, backbone)
        figures = finetune(own, init, Path(work_dir, f"lr_{rate:g}_{backbone:g}"), labels, seed, HELD_OUT)
        small = figures["AP_S"]
        found[rate, backbone] = small if small == small else figures["AP"]
    best = max(found, key=found.get)
    listed = ", ".join(f"{rate:g} x {backbone:g}: {figure:.2%}" for (rate, backbone), figure in found.items())
    MMLogger.get_current_instance().info(
        f"AP_S on held-out images by learning rate x the backbone's part: {listed}; taking {best[0]:g} x {best[1]:g}"
    )
    return best


def step_tflop(config: Config) -> float:
    """10^12 floating-point operations of one training step, forward and backward."""
    with DefaultScope.overwrite_default_scope(config.default_scope):
        model = MODELS.build(copy.deepcopy(config.model))
        loader = BriefRunner.build_dataloader(
            copy.deepcopy(config.train_dataloader) | dict(num_workers=0, persistent_workers=False)
        )
        batch = model.data_preprocessor(next(iter(loader)), training=True)
        with FlopCounterMode(display=False) as counter:
            model.parse_losses(model(**batch, mode="loss"))[0].backward()
    return counter.get_total_flops() / 1e12


def without_sync_bn(config: Config) -> None:
    """Plain BN in place of SyncBN, which needs a GPU."""
    for settings in dicts_of(config):
        if settings.get("type") == "SyncBN":
            settings["type"] = "BN"
