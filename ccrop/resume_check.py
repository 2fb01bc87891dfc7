"""What must not change unnoticed when a run resumes from a checkpoint."""

import inspect
from collections.abc import Iterator, Mapping
from pkgutil import resolve_name
from typing import Any

from mmengine.config import Config
from mmengine.dist import get_world_size

from ccrop.checkpoint import require_finite
from ccrop.compat.safe_checkpoint import load_checkpoint
from ccrop.wording import counted

# sections of a run's settings that checkpoints of earlier versions lack
RECENT = ("pipeline", "localization", "processes", "ground_truth_sampling")
RESUMED = {"state_dict", "meta"}  # that checkpoints of any run have
SPEED = ("batch_size", "num_workers")  # of a localization, which change no box
OPTIMIZER = "optim_wrapper.optimizer.type"


def read_resumed(checkpoint: str) -> dict[str, Any]:
    """The content of a checkpoint that a run is to go on from.

    Raises:
        ValueError: it is a file of weights only, or see :func:`ccrop.checkpoint.require_finite`.
        UntrustedCheckpoint: see :func:`ccrop.compat.safe_checkpoint.load_checkpoint`.
    """
    content = load_checkpoint(checkpoint)
    if isinstance(content, dict):
        require_finite(checkpoint, content.get("state_dict", {}))
    if not isinstance(content, dict) or not content.keys() >= RESUMED:
        raise ValueError(
            f"{checkpoint} is not a checkpoint of a training run, and only those can be resumed: start from its "
            "weights with --init, without --resume"
        )
    return content


def flat(node: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Dotted names and values, as texts, of nested settings; classes by their full names."""
    if isinstance(node, dict) or (isinstance(node, list) and any(isinstance(each, dict) for each in node)):
        for name, value in node.items() if isinstance(node, dict) else enumerate(node):
            yield from flat(value, f"{prefix}.{name}" if prefix else str(name))
    else:
        yield prefix, f"{node.__module__}.{node.__qualname__}" if isinstance(node, type) else str(node)


def differences(before: Mapping[str, str], now: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """The settings that differ, by name, before and now.

    One that is on one side only has the default of its class on the other, as in a checkpoint from before there was
    such a setting; or else it is ``unset`` there. A class that has moved to another module is the same.
    """
    sides = (before, now)
    values = {
        name: [side[name] if name in side else _default(name, now) for side in sides] for name in {**before, **now}
    }
    return {name: (old, new) for name, (old, new) in values.items() if old != new and not _same_object(old, new)}


def listed(changed: Mapping[str, tuple[str, str]]) -> str:
    """Differences in words."""
    return "; ".join(f"{name} {old}, not {new}" for name, (old, new) in changed.items())


def _same_object(old: str, new: str) -> bool:
    """Whether two full names are those of one object, such as of a class and its earlier name."""
    if not (old.startswith("ccrop.") and new.startswith("ccrop.")):
        return False
    try:
        return resolve_name(old) is resolve_name(new)
    except (AttributeError, ImportError, ValueError):
        return False


def _default(name: str, settings: Mapping[str, str]) -> str:
    """Of the class that a setting is an argument of, by the ``type`` next to it."""
    section, _, argument = name.rpartition(".")
    try:
        default = inspect.signature(resolve_name(settings[f"{section}.type"])).parameters[argument].default
    except (AttributeError, ImportError, KeyError, TypeError, ValueError):
        return "unset"
    return "unset" if default is inspect.Parameter.empty else str(default)


def training_settings(config: Config) -> dict[str, str]:
    """Of any training run, by dotted names: model without its preprocessor, optimizer, precision and schedule."""
    model = {name: value for name, value in config.model.items() if name != "data_preprocessor"}
    return dict(flat(dict(model=model, optim_wrapper=config.optim_wrapper, param_scheduler=config.param_scheduler)))


def pretraining_settings(config: Config) -> dict[str, str]:
    """Of a pretraining run, by dotted names.

    Model, optimizer, precision, schedule, batch, processes, epochs, seed, the pipeline that crops and transforms, and
    what finds the boxes that it crops.
    """
    localization = config.default_hooks.get("localization") or {}
    return dict(
        seed=str(config.randomness.seed),
        epochs=str(config.train_cfg.max_epochs),
        batch_size=str(config.train_dataloader.batch_size),
        processes=str(get_world_size()),
        **dict(flat(dict(pipeline=config.train_dataloader.dataset.get("pipeline") or []))),
        **dict(flat(dict(localization={name: value for name, value in localization.items() if name not in SPEED}))),
    ) | training_settings(config)


def without_recent(before: Mapping[str, str], now: Mapping[str, str]) -> dict[str, str]:
    """The settings of now, without the sections that the version that recorded those of before did not know."""
    unknown = tuple(section for section in RECENT if not any(name.startswith(section) for name in before))
    return {name: value for name, value in now.items() if not name.startswith(unknown)}


def check_resumed(checkpoint: str, before: dict[str, str], now: dict[str, str], changes_allowed: bool) -> bool:
    """Whether settings change, so that optimizer and learning-rate schedule must be those of the config.

    The run's length may always change.

    Raises:
        ValueError: other settings differ and may not; the message lists them.
    """
    changed = differences(before, without_recent(before, now))
    length = [name for name in changed if name == "epochs" or name.startswith("param_scheduler.")]
    refuse_changes(
        checkpoint, {name: values for name, values in changed.items() if name not in length}, changes_allowed
    )
    return bool(changed)


def refuse_changes(checkpoint: str, changed: Mapping[str, tuple[str, str]], allowed: bool | None) -> None:
    """Refuse to resume with settings that differ from the checkpoint's, unless they may.

    Args:
        changed: see :func:`differences`.
        allowed: None where the caller cannot allow it, for the message.

    Raises:
        ValueError: some differ and may not; the message lists them.
    """
    if changed and not allowed:
        otherwise = "leave out --resume" if allowed is None else "resume with the new ones by passing --allow-changes"
        raise ValueError(f"{checkpoint} was trained with {listed(changed)}: repeat its options, or {otherwise}")


def new_optimizer(before: Mapping[str, str], now: Mapping[str, str]) -> bool:
    """Whether a run's optimizer is another one, which cannot read the state of that before."""
    return before.get(OPTIMIZER) != now.get(OPTIMIZER)


def check_resumed_data(
    checkpoint: str,
    before: Mapping[str, Any],
    now: Mapping[str, Any],
    root: str,
    allowed: bool | None,
    compared: str = "number or names",
) -> None:
    """Refuse to resume on other files, unless they may differ.

    Args:
        before, now: of the checkpoint and of this run, ``files``, how many, and their ``fingerprint``, see
            :meth:`ccrop.datasets.base.LocatedDataset.fingerprint`.
        root: of this run's data.
        allowed: None where the caller cannot allow it, for the message.
        compared: what the fingerprint is of, for the message.

    Raises:
        ValueError: they differ and may not.
    """
    if before != now and not allowed:
        otherwise = "leave out --resume" if allowed is None else "resume on these by passing --allow-changes"
        raise ValueError(
            f"{checkpoint} was trained on other files ({before['files']:,}) than those of {root} ({now['files']:,}; "
            f"their {compared} differ): pass the data it was trained on with --data-root, or {otherwise}"
        )


def check_resumed_length(checkpoint: str, done: int, length: int, unit: str = "epoch") -> bool:
    """Whether a run of so many epochs or iterations is complete, ``done`` of which are.

    Raises:
        ValueError: it is shorter than what is done.
    """
    if done > length:
        raise ValueError(
            f"{checkpoint} has done {counted(done, unit)}, more than --{unit}s {length}: ask for {done} or more, "
            "resume from an earlier checkpoint with --resume FILE, or start again without --resume"
        )
    return done == length
