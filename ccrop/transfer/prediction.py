"""The detector-independent part of detection on unlabeled data."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TypeVar

from mmengine.config import Config
from mmengine.logging import MMLogger
from torch import nn

from ccrop.checkpoint import require_finite
from ccrop.checkpoint.newest import latest_checkpoint
from ccrop.compat.safe_checkpoint import load_checkpoint
from ccrop.config import CHECKPOINT, read_config

Detector = TypeVar("Detector", bound=nn.Module)

IMAGES = "ccrop.projects.detection_transfer.finetune"  # mmdet's configs do not name the module that fine-tunes them
UNSAFE = set('/\\:*?"<>|')  # in names of files, on one system or another


class NoneReadable(ValueError):
    """None of the files that a detector gets can be read."""


@dataclass(frozen=True)
class Request:
    """A prediction request.

    Attributes:
        detector: work_dir of a fine-tuning, or one of its checkpoints.
        config: of the run; None for the one in the checkpoint.
        source: a file, a folder, or with ``split`` the root of a data set.
        split: of the data set; None if the source is not a data set.
        formats: of the output files.
        min_score: lower-scoring detections are dropped.
        pictures: how many are drawn at most.
        columns: of sweeps, see :func:`ccrop.projects.lidar_bev.datasets.read_sweep`; None for the detector's own.
        intensity_scale: of sweeps, the full-scale intensity in the files; None for that of training.
    """

    detector: Path
    config: Path | None
    source: Path
    split: str | None
    formats: Sequence[str]
    min_score: float
    pictures: int
    columns: Sequence[str] | None = None
    intensity_scale: float | None = None


def checkpoint_of(detector: str | Path) -> Path:
    """The newest checkpoint of a work_dir, or the checkpoint itself.

    Raises:
        FileNotFoundError: there is none.
    """
    detector = Path(detector)
    if not detector.is_dir():
        if not detector.is_file():
            raise FileNotFoundError(
                f"{detector} does not exist: pass a fine-tuning run's work_dir, or one of its checkpoints"
            )
        return detector
    checkpoint = latest_checkpoint(detector)
    if checkpoint is None:
        raise FileNotFoundError(f"{detector} holds no checkpoint of a fine-tuning run (iter_*.pth)")
    return Path(checkpoint)


def detector_config(detector: str | Path, config: str | Path | None = None) -> Config:
    """The config of a fine-tuned detector.

    Args:
        detector: work_dir, or one of its checkpoints.
        config: its path; default: the one in the checkpoint.

    Raises:
        FileNotFoundError: there is no such checkpoint or config.
        ValueError: it is no checkpoint, or one of a pretraining.
    """
    if config is None:
        config = checkpoint_of(detector)
        if config.suffix != CHECKPOINT:
            raise ValueError(
                f"{detector} is not a checkpoint ({CHECKPOINT}): pass a fine-tuning run's work_dir, or one of its "
                "checkpoints"
            )
    settings = read_config(config)
    if "augment" in settings:
        raise ValueError(
            f"{detector} is a pretraining run, which detects nothing: fine-tune a detector from it with "
            "tools/finetune.py --init"
        )
    return settings


def finetuning_of(config: Config) -> str:
    """The module that fine-tunes a config's detector."""
    return config.get("finetuning", IMAGES)


def load_detector(
    detector: str | Path, examples: str, build: Callable[[Config], Detector], config: str | Path | None = None
) -> tuple[Config, Detector]:
    """Config and model, in eval mode, of a fine-tuning.

    Args:
        detector: work_dir, or one of its checkpoints.
        examples: what it must take, ``'images'`` or ``'sweeps'``, see :class:`ccrop.transfer.Transfer`.
        build: the model from its section of the config.
        config: its path; default: the one in the checkpoint.

    Returns:
        The model has the names of what it detects as ``dataset_meta["classes"]``, where the checkpoint has them.

    Raises:
        FileNotFoundError, ValueError: see :func:`detector_config`; or it takes other examples, or the checkpoint is of
            another model, or see :func:`ccrop.checkpoint.require_finite`.
        UntrustedCheckpoint: see :func:`ccrop.compat.safe_checkpoint.load_checkpoint`.
    """
    settings = detector_config(detector, config)
    taken = import_module(finetuning_of(settings)).TRANSFER.examples
    if taken != examples:
        raise ValueError(f"{detector} detects objects in {taken}, not in {examples}: pass a detector that takes these")
    checkpoint = checkpoint_of(detector)
    content = load_checkpoint(checkpoint)
    model = build(settings.model)
    try:
        model.load_state_dict(content["state_dict"])
    except (KeyError, RuntimeError) as error:
        raise ValueError(
            f"{checkpoint} is not a checkpoint of a run with {config or 'its config'}: pass the config of its run with "
            "--config"
        ) from error
    require_finite(checkpoint, content["state_dict"])
    model.dataset_meta = content.get("meta", {}).get("dataset_meta", {})
    return settings, model.eval()


def flat_name(name: str | Path) -> str:
    """A path relative to the source as the name of one file, without its suffix."""
    return "".join("_" if letter in UNSAFE else letter for letter in str(Path(name).with_suffix("")))


def count_left_out(source: str | Path, unit: str, reasons: Sequence[str], total: int) -> None:
    """Log how many files could not be read.

    Raises:
        NoneReadable: none could be read.
    """
    if total and len(reasons) == total:
        raise NoneReadable(f"{source}: none of {total} {unit}s can be read; the first: {reasons[0]}")
    if reasons:
        MMLogger.get_current_instance().warning(f"{source}: {len(reasons)} of {total} {unit}s were left out")
