"""Fine-tune a detector on labeled images, and measure it on the val split."""

import copy
from functools import partial
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.model import is_model_wrapper
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from ccrop.available_cores import fitting_workers
from ccrop.checkpoint import RANDOM, Normalization
from ccrop.compat.mmdet_positions import keep_positions
from ccrop.config import dicts_of, per_channel, read_config
from ccrop.datasets import MissingData
from ccrop.projects.detection_transfer.data import (
    PREDICTION,
    keep_annotations,
    settle_coco,
    settle_unlabeled,
    use_labels,
)
from ccrop.projects.detection_transfer.images import settle_images
from ccrop.projects.detection_transfer.paired_bootstrap import FILE, image_interval
from ccrop.projects.detection_transfer.pseudo_boxes import use_pseudo_boxes
from ccrop.projects.detection_transfer.randomness import SeededTransformsHook
from ccrop.projects.detection_transfer.replaced_backbone import check_strides, fit_neck, replace_backbone
from ccrop.projects.detection_transfer.self_training import learn_from_teacher, tested_on
from ccrop.projects.detection_transfer.unreadable import UnreadableExamplesHook, leave_out_unreadable
from ccrop.transfer import IMAGENET, Transfer, build_runner, start_of, train_and_test
from ccrop.transfer.self_training import check_self_training

SHOWN = ("AP_S_counted", "AP50_S_counted", "AP_S", "AP_tiny_counted", "AP_16-32_counted", "AP", "AP50")


def load_config(
    path: str | Path,
    data_root: str | Path | None = None,
    options: dict[str, Any] | None = None,
    backbone: str | None = None,
    labeled: bool = True,
) -> Config:
    """Read a detector's config and determine its data, and its neck's channels if the backbone is replaced.

    Args:
        path: a file of ``projects/detection_transfer/configs/``, or any other of mmdet's kind.
        data_root: root of the data set; default: the config's ``default_data_root``.
        options: dotted keys and values over those of the config.
        backbone: replaces the config's, see :func:`.replaced_backbone.replace_backbone`.
        labeled: the set's annotations are needed; otherwise something else replaces the train split's, and
            a set without those of the val split is not tested on.

    Raises:
        MissingData: the data does not exist.
        FileNotFoundError, UnknownOption: see :func:`ccrop.config.read_config`.
        InvalidAnnotations: see :mod:`ccrop.projects.detection_transfer.data`.
        ValueError: see :mod:`ccrop.projects.detection_transfer.replaced_backbone`.
    """
    keep_positions()
    config = read_config(path, options, None if backbone is None else partial(replace_backbone, name=backbone))
    if backbone is not None or any(option.startswith("model.backbone") for option in options or {}):
        fit_neck(config)
    root = Path(data_root or config.default_data_root)
    if not root.is_dir():
        raise MissingData(f"the data root {root} does not exist: pass one with --data-root")
    if config.train_dataloader.dataset.type == "CocoDataset":
        (settle_coco if labeled else settle_unlabeled)(config, root)
    else:
        for settings in dicts_of(config):
            if "data_root" in settings:
                settings["data_root"] = str(root)
    settle_images(config)
    for loader in (config.train_dataloader, config.test_dataloader):
        loader.num_workers = fitting_workers(loader.num_workers)
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
    resume: str | None = None,
    val_interval: int | None = None,
    allow_changes: bool | None = None,
) -> dict[str, float]:
    """Train and test a detector.

    Args:
        config: of :func:`load_config`; it is not modified. Its ``self_training`` may name a teacher, see
            :mod:`.self_training`.
        init: ``'random'``, or a source as in :func:`ccrop.checkpoint.read_weights`; the neck and heads of a detector's
            checkpoint are loaded, too, if they fit.
        work_dir: takes the log, the last checkpoint, ``metrics.json``, annotation files that had to be repaired and, of
            the val split, ``detections.npz``, see :class:`.SmallObjectMetric`.
        labels: fraction of the labeled images, see :func:`ccrop.transfer.drawn_fraction`.
        seed: draws the images, the weights and the batches.
        held_out: part of these images that is tested on instead of the val split.
        resume: resume from this checkpoint, or from the newest of the work_dir where it is ``'auto'`` and there is one,
            with its model, optimizer, schedule and iteration. Single images also come in the order of an uninterrupted
            run; if batches are grouped by aspect ratio, the order is redrawn. Tiles are those of an uninterrupted
            run, too, if no workers load them. Other random transforms, the pieces that were collected to be pasted
            and a detector's sampling start over: the resumed run is then equivalent, but not identical.
        val_interval: also test after every this many iterations, and log the metrics; this counts toward the
            core-seconds.
        allow_changes: see :class:`ccrop.transfer.starting_point.Start`.

    Returns:
        The metrics of :class:`.coco_metric.SmallObjectMetric`, in [0, 1], and the training's
        core-seconds.

    Raises:
        ValueError: the checkpoint was trained with other settings, which may not change; the message lists them. Or
            there is nothing to validate on, or more than 1 % of the images are unreadable (``TooManyUnreadable``), or
            see :func:`.self_training.learn_from_teacher`.
    """
    config = copy.deepcopy(config)
    keep_annotations(config, work_dir)
    start = start_of(config, init, work_dir, resume, allow_changes)  # a wrong file stops here, before the data is read
    normalization = expect_in_levels(config, start.normalization)
    settings = config.get("self_training")
    if settings is not None:
        check_self_training(settings)
    taught = settings is not None and settings.teacher is not None
    tested = tested_on(config) if taught and config.train_dataloader.dataset.type == "CocoDataset" else ()
    used = use_labels(config, labels, seed, held_out)
    tests = config.test_evaluator is not None
    if not tests:
        config[PREDICTION] = config.test_dataloader
        config.test_dataloader = config.test_cfg = None
    else:
        leave_out_unreadable(config)
        if config.test_evaluator.type == "SmallObjectMetric" and not held_out:
            config.test_evaluator.keep = str(Path(work_dir, FILE))
    trained_on = f"{'{} of {}'.format(*used) if used else 'all'} labeled images"
    if taught:
        trained_on += learn_from_teacher(config, work_dir, held_out > 0, start, tested)
    runner = build_runner(config, start, normalization, work_dir, seed, trained_on)
    detector = runner.model.module if is_model_wrapper(runner.model) else runner.model
    check_strides(detector)
    runner.register_hook(UnreadableExamplesHook())
    runner.register_hook(SeededTransformsHook())
    runner.logger.info(trained_parts(detector.backbone))
    test = runner.test_loop.run if tests else None
    return train_and_test(runner, test, lambda metrics: line(metrics, ""), val_interval)


def expect_in_levels(config: Config, normalization: Normalization | None) -> Normalization:
    """:func:`ccrop.runner.expect` for mmdet's preprocessors, which take levels of 0 to 255, perhaps as BGR."""
    preprocessor, rgb = config.model.data_preprocessor, config.get("channels", 3) == 3
    if normalization is not None:
        for name, values in per_channel(normalization, 3 if rgb else 1)._asdict().items():  # one value for all channels
            preprocessor[name] = [255 * value for value in values]
        preprocessor.bgr_to_rgb = rgb
    order = 1 if preprocessor.get("bgr_to_rgb") else -1
    return Normalization(
        *(tuple(value / 255 for value in preprocessor[name][::order]) for name in Normalization._fields)
    )


def trained_parts(backbone: nn.Module) -> str:
    """Which parts of a backbone are trained, for the log; only mmdet's own can be frozen by its config."""
    line = f"{max(getattr(backbone, 'frozen_stages', 0), 0)} stages of the backbone frozen"
    if not any(isinstance(module, _BatchNorm) for module in backbone.modules()):
        return line
    return f"{line}, its BN statistics {'frozen' if getattr(backbone, 'norm_eval', False) else 'trained'}"


def without_sync_bn(config: Config) -> None:
    """Plain BN instead of SyncBN, which needs a GPU."""
    for settings in dicts_of(config):
        if settings.get("type") == "SyncBN":
            settings["type"] = "BN"


def line(metrics: dict[str, float], _: str) -> str:
    """The metrics of :data:`SHOWN` that some object counts for, in percent; those of another evaluator unchanged."""
    shown = {name: metrics[name] for name in SHOWN if name in metrics} or metrics
    return "  ".join(f"{name} {value:.2%}" for name, value in shown.items() if value == value)


TRANSFER = Transfer(
    load_config=load_config,
    finetune=finetune,
    use_pseudo_boxes=use_pseudo_boxes,
    goal="AP_S_counted",
    fallbacks=("AP_S", "AP"),
    metrics=(*SHOWN, "AP50_S", "AP_tiny", "AP_16-32", "AP75", "AP_M", "AP_L", "AR_S"),
    shown=SHOWN,
    references=(RANDOM, IMAGENET),
    line=line,
    interval=image_interval,
)
