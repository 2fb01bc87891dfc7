"""From a settled config to a runner: device, precision, schedule, work_dir, checkpoint to resume from."""

import logging
import os
import sys
from pathlib import Path
from types import FunctionType
from typing import Any

import torch
from mmengine.config import Config
from mmengine.dist import barrier, get_world_size, is_main_process
from mmengine.logging import MMLogger
from mmengine.model import MMDistributedDataParallel
from mmengine.optim import OptimWrapper
from mmengine.registry import FUNCTIONS
from mmengine.runner import Runner
from torch import nn
from torch.utils.data import DataLoader

from ccrop.available_cores import fitting_workers
from ccrop.backbones.unused import unused_weights
from ccrop.checkpoint import Normalization, recorded, starting_weights
from ccrop.checkpoint.newest import checkpoint_to_resume, latest_checkpoint
from ccrop.compat.config_text import install_config_text
from ccrop.compat.distributed import init_distributed, with_synchronized_bn
from ccrop.compat.safe_checkpoint import install_safe_checkpoints
from ccrop.compat.workers import stop_workers
from ccrop.config import DEMO_SET, dicts_of, per_channel
from ccrop.datasets.resident import ResidentBatches
from ccrop.failures import accidents_explained
from ccrop.files import escaped
from ccrop.hooks.batch_memory import BatchMemoryHook
from ccrop.hooks.divergence import DivergenceHook
from ccrop.hooks.load_weights import StartHook
from ccrop.hooks.pretraining_notes import SettingsHook
from ccrop.mixed_precision import require_gpu_for_fp16, set_precision
from ccrop.models import Siamese, ViewPreprocessor
from ccrop.models.preprocessor import IMAGENET_MEAN, IMAGENET_STD
from ccrop.resume_check import (
    check_resumed,
    check_resumed_length,
    new_optimizer,
    pretraining_settings,
    read_resumed,
)
from ccrop.schedule import fit_schedule, group_settings, refit_schedule
from ccrop.views import ReferenceAugmentation
from ccrop.wording import counted
from ccrop.work_dir import locked, set_aside

# messages that MMEngine logs in every run about its internals
INSIDE_MMENGINE = ("will be deprecated in future", "Hooks will be executed", "Distributed training is not used")


class BriefRunner(Runner):
    """MMEngine's runner with a log that starts with the essentials, the config's ``headline`` and ``notes``.

    The whole config is written to the work_dir and not to the log.
    """

    def build_logger(self, *args: Any, **kwargs: Any) -> MMLogger:
        logger = super().build_logger(*args, **kwargs)
        logger.addFilter(lambda record: not any(note in record.getMessage() for note in INSIDE_MMENGINE))
        logger.addFilter(_escape)
        for line in (self.cfg.headline, *self.cfg.get("notes", ())):
            logger.info(line)
        if self.cfg.get("default_hooks", {}).get("checkpoint", {}) is None:
            logger.warning(
                "No weights are kept, as default_hooks.checkpoint is None: the run ends without a checkpoint"
            )
        return logger

    def _log_env(self, env_cfg: dict[str, Any]) -> None:
        threads, processes = counted(torch.get_num_threads(), "thread"), counted(self.world_size, "process")
        device = torch.cuda.get_device_name() if torch.cuda.is_available() else f"CPU, {threads}"
        self.logger.info(
            f"Python {sys.version.split()[0]}, torch {torch.__version__}, {device}, {processes}, "
            f"seed {self.seed}; config, log and checkpoints in {self.work_dir}"
        )

    def dump_config(self) -> None:
        """Write the config to the work_dir, with the full names of classes that were set in code.

        MMEngine writes such a class as a bare name, which the file does not import: it could not be read again.
        """
        for settings in dicts_of(self.cfg):
            for key, value in dict.items(settings):
                if isinstance(value, type | FunctionType):
                    settings[key] = f"{value.__module__}.{value.__qualname__}"
        super().dump_config()

    def resume(self, filename: str, *args: Any, **kwargs: Any) -> None:
        """Resume from a checkpoint; if settings have changed, with the config's optimizer settings and schedule.

        MMEngine would restore the old ones: a new learning rate would have no effect, and added epochs would be trained
        at the final rate of the old schedule.
        """
        if not self.cfg.get("refit_schedule"):
            super().resume(filename, *args, **kwargs)
            return
        settings = group_settings(self.optim_wrapper)
        super().resume(
            filename, *args, **kwargs | dict(resume_param_scheduler=False, resume_optimizer=not self.cfg.new_optimizer)
        )
        refit_schedule(self, settings)

    def train(self) -> nn.Module:
        """Train; its errors are explained, see :func:`ccrop.failures.accidents_explained`."""
        with accidents_explained(self):
            return super().train()


def _escape(record: logging.LogRecord) -> bool:
    """A filter that lets every record pass, with the names of files in it as :func:`ccrop.files.escaped` gives them."""
    record.msg, record.args = escaped(record.getMessage()), None
    return True


class PretrainRunner(BriefRunner):
    """A runner whose batch is at most the data set, whose learning rate counts accumulated batches, whose log ends as
    it began and whose workers end.
    """

    @staticmethod
    def build_dataloader(dataloader: dict[str, Any], *args: Any, **kwargs: Any) -> DataLoader | ResidentBatches:
        """A loader with at least one batch per epoch: all the samples of a process if they do not fill a batch."""
        if not isinstance(dataloader, dict):
            return dataloader
        dataloader = dict(dataloader)
        resident = dataloader.pop("resident", False)
        loader = BriefRunner.build_dataloader(dataloader, *args, **kwargs)
        if len(loader):
            return ResidentBatches(loader, "cuda" if torch.cuda.is_available() else "cpu") if resident else loader
        whole, number, unit = loader.batch_size, len(loader.sampler), loader.dataset.unit
        MMLogger.get_current_instance().warning(
            f"The batch size is {number}, not {whole}: {counted(get_world_size(), 'process')} with "
            f"{counted(number, unit)} each"
        )
        resized = dataloader | dict(batch_size=number, resident=resident)
        return PretrainRunner.build_dataloader(resized, *args, **kwargs)

    def scale_lr(self, optim_wrapper: OptimWrapper, auto_scale_lr: dict[str, Any] | None = None) -> None:
        """The learning rate is scaled by the images per step, which are several batches if gradients accumulate."""
        self._train_dataloader = dict(batch_size=self.train_dataloader.batch_size)  # the config's may be larger
        if auto_scale_lr is not None:
            batches = self.cfg.optim_wrapper.get("accumulative_counts", 1)
            auto_scale_lr = auto_scale_lr | dict(base_batch_size=auto_scale_lr["base_batch_size"] / batches)
        super().scale_lr(optim_wrapper, auto_scale_lr)

    def wrap_model(self, model_wrapper_cfg: dict[str, Any] | None, model: nn.Module) -> nn.Module:
        """Tell DDP which weights of an image backbone get no gradient, because it would wait for one."""
        if not self.distributed:
            return super().wrap_model(model_wrapper_cfg, model)
        sync_bn = self.cfg.get("sync_bn")
        if sync_bn == "torch":
            model = with_synchronized_bn(model)
            self.cfg.sync_bn = None  # done
        if isinstance(model, Siamese) and isinstance(model.data_preprocessor, ViewPreprocessor):
            self.cfg.find_unused_parameters = bool(unused_weights(model.backbone))
        if model_wrapper_cfg is not None:
            model_wrapper_cfg.setdefault("find_unused_parameters", self.cfg.get("find_unused_parameters", False))
        wrapped = super().wrap_model(model_wrapper_cfg, model)
        self.cfg.sync_bn = sync_bn
        return wrapped

    def train(self) -> nn.Module:
        model = super().train()
        stop_workers(self.train_dataloader)
        self.logger.info(f"Done after epoch {self.epoch}. {self.cfg.headline}")
        return model


def default_work_dir(config: Config) -> Path:
    """``work_dirs/`` and the experiment's name."""
    return Path("work_dirs", config.experiment)


def pretrain(config: Config, work_dir: str | Path | None = None, launcher: str = "none", **settings: Any) -> None:
    """Train, as the only run in the work_dir.

    Args:
        config, work_dir, launcher, settings: see :func:`build_runner`.

    Raises:
        WorkDirInUse: another run uses the work_dir.
        FileNotFoundError, UntrustedCheckpoint, ConnectionError, ValueError: see :func:`build_runner`.
    """
    if launcher != "none":
        init_distributed(launcher, config.env_cfg.dist_cfg)  # the processes of a job share the lock
    work_dir = work_dir or default_work_dir(config)
    with locked(work_dir):
        build_runner(config, work_dir, launcher=launcher, **settings).train()


def build_runner(
    config: Config,
    work_dir: str | Path | None = None,
    resume: str | None = None,
    amp: str | None = None,
    seed: int | None = None,
    launcher: str = "none",
    init: str | None = None,
    allow_changes: bool = False,
) -> PretrainRunner:
    """A runner that is ready to train.

    Args:
        config: of :func:`ccrop.config.load_config`.
        work_dir: see :func:`default_work_dir`. One with checkpoints that are not resumed is moved aside, never
            overwritten.
        resume: ``'auto'`` for the newest checkpoint of the work_dir, or a checkpoint's path.
        amp: ``'bf16'`` or ``'fp16'`` (GPU only) instead of the config's precision.
        seed: instead of the config's.
        launcher: ``'none'``, ``'pytorch'``, ``'slurm'`` or ``'mpi'``, whose processes have joined
            (:func:`pretrain`).
        init: see :func:`ccrop.checkpoint.starting_weights`; a run that is resumed has its weights.
        allow_changes: a run may be resumed with other settings than its checkpoint's.

    Raises:
        FileNotFoundError: there is no such checkpoint to resume or to start from.
        ValueError: see :mod:`ccrop.resume_check`.
        UntrustedCheckpoint, ConnectionError, ValueError: see :func:`ccrop.checkpoint.read_weights`.
    """
    install_safe_checkpoints()
    install_config_text()
    _fit_to_machine(config, launcher)
    if config.on_demo_set:
        if os.environ.get("LOCAL_RANK", "0") == "0":
            FUNCTIONS.build(config.get("demo_set", DEMO_SET))
        barrier()

    config.launcher = launcher
    config.work_dir = str(work_dir or default_work_dir(config))
    if seed is not None:
        config.randomness.seed = seed
    if amp is not None:
        set_precision(config, amp)
    require_gpu_for_fp16(config)
    _set_augmentation(config)
    config.param_scheduler = fit_schedule(config.param_scheduler, config.train_cfg.max_epochs)
    settings = pretraining_settings(config)
    checkpoint = checkpoint_to_resume(config.work_dir, resume)
    complete = False
    if checkpoint is None:
        weights = starting_weights(config, init)  # before an earlier run, perhaps theirs, is moved
        normalization = None if weights is None else weights.normalization
    else:
        content = read_resumed(checkpoint)
        weights, normalization = None, recorded(content)
        before = content.get("settings", settings)
        config.refit_schedule = check_resumed(checkpoint, before, settings, allow_changes)
        complete = check_resumed_length(checkpoint, content["meta"]["epoch"], config.train_cfg.max_epochs)
        config.new_optimizer = new_optimizer(before, settings)
        config.load_from, config.resume = checkpoint, True
    if resume is None:
        _move_earlier_run(Path(config.work_dir))
    expected = expect(config, normalization)
    if weights is not None:
        config.headline += f", from {config.init}"
    runner = PretrainRunner.from_cfg(config)
    runner.register_hook(StartHook(weights, expected))
    runner.register_hook(BatchMemoryHook())
    runner.register_hook(DivergenceHook("--allow-changes"))
    runner.register_hook(SettingsHook(settings, allow_changes))
    if complete:
        epochs = counted(runner.max_epochs, "epoch")
        runner.logger.info(f"Nothing is left to train: {checkpoint} ends a run of {epochs}; to go on, pass --epochs")
    return runner


def expect(config: Config, normalization: Normalization | None) -> Normalization | None:
    """Normalize images as the weights expect, if known; returns the resulting normalization, None for sweeps.

    Images of other channels than the weights' get the mean over these, see :func:`ccrop.config.per_channel`.
    """
    preprocessor = config.model.get("data_preprocessor")
    if preprocessor is None:
        return None
    if normalization is not None:
        preprocessor.update(per_channel(normalization, config.get("channels", 3))._asdict())
    return Normalization(tuple(preprocessor.get("mean", IMAGENET_MEAN)), tuple(preprocessor.get("std", IMAGENET_STD)))


def _fit_to_machine(config: Config, launcher: str) -> None:
    """No more workers than cores; gloo and unsynchronized BN if there is no GPU."""
    for settings in dicts_of(config):
        if "num_workers" in settings:
            settings["num_workers"] = fitting_workers(settings["num_workers"])
    config.train_dataloader.persistent_workers = config.train_dataloader.num_workers > 0
    if not torch.cuda.is_available():
        config.train_dataloader.pin_memory = False
        config.sync_bn = None
        if launcher != "none":
            config.model_wrapper_cfg = dict(type=MMDistributedDataParallel, device_ids=None)


def _set_augmentation(config: Config) -> None:
    """``augment='cpu'``: torchvision's operations in the workers, instead of whole batches on the device."""
    if config.augment == "cpu":
        photometric = config.model.data_preprocessor
        photometric.augment = "cpu"
        config.train_dataloader.dataset.pipeline[0].augment = dict(
            type=ReferenceAugmentation, blur=photometric.get("blur_prob", 0.5)
        )


def _move_earlier_run(work_dir: Path) -> None:
    earlier = latest_checkpoint(work_dir)
    barrier()  # every process has looked before one of them moves the folder
    if earlier is not None:
        if is_main_process():
            set_aside(work_dir)
        barrier()
