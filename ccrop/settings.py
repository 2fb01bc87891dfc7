"""What must not change unnoticed when a run resumes from a checkpoint."""

from collections.abc import Iterator
from typing import Any

from mmengine.config import Config
from mmengine.dist import get_world_size


def flat(node: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Dotted names and values, as texts, of nested settings; classes by their full names."""
    if isinstance(node, dict) or (isinstance(node, list) and any(isinstance(each, dict) for each in node)):
        for name, value in node.items() if isinstance(node, dict) else enumerate(node):
            yield from flat(value, f"{prefix}.{name}" if prefix else str(name))
    else:
        yield prefix, f"{node.__module__}.{node.__qualname__}" if isinstance(node, type) else str(node)


def differences(before: dict[str, str], now: dict[str, str]) -> list[str]:
    """The names of settings that differ, or exist on one side only."""
    return [name for name in {**before, **now} if before.get(name) != now.get(name)]


def training_settings(config: Config) -> dict[str, str]:
    """Of any training run, by dotted names: model without its preprocessor, optimizer, precision and schedule."""
    model = {name: value for name, value in config.model.items() if name != "data_preprocessor"}
    return dict(flat(dict(model=model, optim_wrapper=config.optim_wrapper, param_scheduler=config.param_scheduler)))


def pretraining_settings(config: Config) -> dict[str, str]:
    """Of a pretraining run, by dotted names: model, optimizer, precision, schedule, batch, processes, epochs, seed."""
    return dict(
        seed=str(config.randomness.seed),
        epochs=str(config.train_cfg.max_epochs),
        batch_size=str(config.train_dataloader.batch_size),
        processes=str(get_world_size()),
    ) | training_settings(config)


def check_resumed(checkpoint: str, before: dict[str, str], now: dict[str, str], changes_allowed: bool) -> bool:
    """Whether the learning-rate schedule must be refitted, because the run's length changes.

    Raises:
        ValueError: other settings differ and may not; the message lists them.
    """
    changed = differences(before, now)
    refit = [name for name in changed if name == "epochs" or name.startswith("param_scheduler.")]
    others = [name for name in changed if name not in refit]
    if others and not changes_allowed:
        listed = "; ".join(f"{name} {before.get(name)}, not {now.get(name)}" for name in others)
        raise ValueError(
            f"{checkpoint} was trained with {listed}: repeat its options, or go on with the new ones by passing "
            "--allow-changes"
        )
    return bool(refit)
