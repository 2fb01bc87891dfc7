"""What a fine-tuning run starts from: weights for the backbone, or the checkpoint of an unfinished run."""

import copy
from pathlib import Path
from typing import Any, NamedTuple

from mmengine.config import Config
from mmengine.dist import get_world_size
from mmengine.registry import MODELS, DefaultScope

from ccrop.checkpoint import RANDOM, Normalization, Weights, load_start, starting_weights
from ccrop.checkpoint.newest import checkpoint_to_resume, latest_checkpoint
from ccrop.compat.safe_checkpoint import load_checkpoint
from ccrop.config import dicts_of
from ccrop.resume_check import (
    check_resumed_length,
    differences,
    flat,
    listed,
    new_optimizer,
    read_resumed,
    refuse_changes,
    training_settings,
    without_recent,
)

NOTES = "finetuning"  # in a checkpoint: how its detector is trained
PIXELS = ("mean", "std", "bgr_to_rgb")  # what a preprocessor does to an image's levels


class Start(NamedTuple):
    """What a fine-tuning run starts from.

    Attributes:
        weights: of the backbone, and of what else fits; None for random ones, and for a resumed run.
        normalization: of images, that the weights expect, if that is known.
        checkpoint: of the run that continues, None for a new one.
        iteration: that the checkpoint was written after.
        settings: of that run, see :func:`settings_of`.
        changes_allowed: the run may go on with other settings and data; None where the caller cannot allow it.
    """

    weights: Weights | None
    normalization: Normalization | None
    checkpoint: str | None = None
    iteration: int = 0
    settings: dict[str, str] | None = None
    changes_allowed: bool | None = None


def start_of(
    config: Config, init: str, work_dir: str | Path, resume: str | None, allow_changes: bool | None = None
) -> Start:
    """Find what a run starts from; the config keeps it for the log and for MMEngine's runner.

    A resumed run normalizes images as before, whatever the config says.

    Args:
        init: see :func:`ccrop.checkpoint.starting_weights`; not read if a run is resumed.
        resume: see :func:`ccrop.checkpoint.newest.checkpoint_to_resume`.
        allow_changes: see :class:`Start`.

    Raises:
        FileNotFoundError, UntrustedCheckpoint, ConnectionError: see there.
        ValueError: the checkpoint has done more iterations than the run's, or is not one of a fine-tuning; or see
            there and :func:`ccrop.resume_check.read_resumed`.
    """
    checkpoint = checkpoint_to_resume(work_dir, resume)
    if checkpoint is None:
        weights = starting_weights(config, init)
        return Start(weights, None if weights is None else weights.normalization)
    content = read_resumed(checkpoint)
    notes = content.get(NOTES)
    if notes is None:
        raise ValueError(
            f"{checkpoint} is not a fine-tuning checkpoint, and only those can be resumed: pass it with --init"
        )
    done = content["meta"]["iter"]
    if allow_changes:
        check_resumed_length(checkpoint, done, config.train_cfg.max_iters, "iteration")
    config.init, config.load_from, config.resume = init, checkpoint, True
    if notes["pixels"]:
        config.model.data_preprocessor.update(notes["pixels"])
    return Start(None, None, checkpoint, done, notes["settings"], allow_changes)


def check_init(config: Config, init: str | None) -> None:
    """Refuse weights that the config's detector cannot start from, before long work that does not need them.

    Args:
        config: it is not modified.
        init: see :func:`ccrop.checkpoint.starting_weights`; None for random weights.

    Raises:
        FileNotFoundError, UntrustedCheckpoint, ConnectionError, ValueError: see :func:`start_of` and
            :func:`ccrop.checkpoint.load_start`.
    """
    config = copy.deepcopy(config)
    weights = starting_weights(config, init or RANDOM)
    if weights is not None:
        with DefaultScope.overwrite_default_scope(config.default_scope):
            load_start(MODELS.build(config.model), weights)


def notes_on(config: Config, trained_on: str) -> dict[str, Any]:
    """What checkpoints record about a run: its settings, and how it normalizes images.

    Args:
        trained_on: which examples, in words.
    """
    preprocessor = config.model.get("data_preprocessor", {})
    return dict(
        settings=settings_of(config, trained_on),
        pixels={name: preprocessor[name] for name in PIXELS if name in preprocessor},
    )


def settings_of(config: Config, trained_on: str) -> dict[str, str]:
    """What must not change when a run is resumed, by dotted names.

    Model, optimizer, schedule, examples and what augments them, processes and seed.
    """
    sets = dicts_of(config.train_dataloader.get("dataset"))
    augmentation = dict(
        pipeline=[step for each in sets for step in each.get("pipeline", ())],
        ground_truth_sampling=config.get("ground_truth_sampling"),
    )
    return dict(
        init=config.init,
        seed=str(config.randomness.seed),
        examples=trained_on,
        iterations=str(config.train_cfg.max_iters),
        batch_size=str(config.train_dataloader.batch_size),
        processes=str(get_world_size()),
        **dict(flat(augmentation)),
    ) | training_settings(config)


def check_settings(start: Start, settings: dict[str, str]) -> dict[str, tuple[str, str]]:
    """The settings that differ from the checkpoint's, by name, before and now.

    Raises:
        ValueError: some differ and may not; the message lists them.
    """
    assert start.checkpoint is not None  # of a run that continues
    assert start.settings is not None
    changed = differences(start.settings, without_recent(start.settings, settings))
    refuse_changes(start.checkpoint, changed, start.changes_allowed)
    return changed


def resume_changed(config: Config, start: Start, settings: dict[str, str]) -> str | None:
    """Make a run go on with changed settings, which :meth:`ccrop.runner.BriefRunner.resume` reads in the config.

    Returns:
        The changes, for the log; None if there are none.

    Raises:
        ValueError: see :func:`check_settings`.
    """
    changed = check_settings(start, settings)
    if not changed:
        return None
    assert start.settings is not None  # see check_settings
    config.refit_schedule, config.new_optimizer = True, new_optimizer(start.settings, settings)
    return f"Settings that have changed since {start.checkpoint} was trained: {listed(changed)}"


def check_finished(work_dir: str | Path, config: Config, init: str, seed: int) -> None:
    """Refuse to keep a finished run that was trained with settings other than the config's.

    On which examples, how they are read, and earlier versions' checkpoints without such notes, are not checked.

    Args:
        config, init, seed: that would train it again, see :func:`settings_of`; the config is not modified.

    Raises:
        ValueError: see :func:`check_settings`.
    """
    checkpoint = latest_checkpoint(work_dir)
    notes = None if checkpoint is None else load_checkpoint(checkpoint).get(NOTES)
    if notes is None:
        return
    config = copy.deepcopy(config)
    config.init, config.randomness.seed = init, seed
    before = {name: value for name, value in notes["settings"].items() if not name.startswith("pipeline")}
    check_settings(Start(None, None, checkpoint, settings=before), settings_of(config, before["examples"]))
