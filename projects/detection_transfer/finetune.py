"""Fine-tune a detector on labelled images, and measure it on the val split."""

import copy
import json
from functools import partial
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.model import is_model_wrapper
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from ccrop.datasets import MissingData
from ccrop.runner import dicts_of, read_config
from ccrop.transfer import RANDOM, Transfer, build_runner
from projects.detection_transfer.backbone import BackboneInitHook, backbone_weights
from projects.detection_transfer.clusters import use_clusters
from projects.detection_transfer.data import settle_coco, use_labels
from projects.detection_transfer.fitting import check_strides, fit_neck, replace_backbone


def load_config(
    path: str | Path,
    data_root: str | Path | None = None,
    options: dict[str, Any] | None = None,
    backbone: str | None = None,
) -> Config:
    """Read a detector's config and settle its data, and its neck's channels where the backbone is another one.

    Args:
        path: a file of ``projects/detection_transfer/configs/``, or any other of mmdet's kind.
        data_root: of the data set; by default the config's ``default_data_root``.
        options: dotted keys and values over those of the config.
        backbone: takes the place of the config's, see :func:`projects.detection_transfer.fitting.replace_backbone`.

    Raises:
        MissingData: the data are not there.
        FileNotFoundError, UnknownOption: see :func:`ccrop.runner.read_config`.
        ValueError: see :mod:`projects.detection_transfer.data`, or :mod:`projects.detection_transfer.fitting`.
    """
    config = read_config(path, options, None if backbone is None else partial(replace_backbone, name=backbone))
    if backbone is not None or any(option.startswith("model.backbone") for option in options or {}):
        fit_neck(config)
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
        labels: share of the labelled images, see :func:`ccrop.transfer.drawn_share`.
        seed: draws the images, the weights and the batches.
        held_out: part of these images that is tested on in place of the val split.

    Returns:
        The figures of :class:`projects.detection_transfer.metric.SmallObjectMetric`, in [0, 1].
    """
    if init != RANDOM:
        backbone_weights(init)  # a wrong file stops here, before the data are read
    config = copy.deepcopy(config)
    used = use_labels(config, labels, seed, held_out)
    trained_on = f"{'{} of {}'.format(*used) if used else 'all'} labelled images"
    runner = build_runner(config, init, work_dir, seed, BackboneInitHook, trained_on)
    detector = runner.model.module if is_model_wrapper(runner.model) else runner.model
    check_strides(detector)
    runner.logger.info(trained_parts(detector.backbone))
    runner.train()
    figures = {name: float(value) for name, value in runner.test().items()}
    Path(work_dir, "figures.json").write_text(json.dumps(figures, indent=1))
    return figures


def trained_parts(backbone: nn.Module) -> str:
    """What of a backbone is trained, for the log; only mmdet's own can be frozen by its config."""
    line = f"{max(getattr(backbone, 'frozen_stages', 0), 0)} stages of the backbone frozen"
    if not any(isinstance(module, _BatchNorm) for module in backbone.modules()):
        return line
    return f"{line}, its BN statistics {'as they are' if getattr(backbone, 'norm_eval', False) else 'trained'}"


def without_sync_bn(config: Config) -> None:
    """Plain BN in place of SyncBN, which needs a GPU."""
    for settings in dicts_of(config):
        if settings.get("type") == "SyncBN":
            settings["type"] = "BN"


TRANSFER = Transfer(
    load_config=load_config,
    finetune=finetune,
    use_clusters=use_clusters,
    goal="AP_S",
    fallback="AP",
    figures=("AP_S", "AP_tiny", "AP_16-32", "AP", "AP50", "AP75", "AP_M", "AP_L", "AR_S"),
    shown=("AP_S", "AP_tiny", "AP_16-32", "AP", "AP50", "AR_S"),
    references=(RANDOM, "rcrop"),
)
