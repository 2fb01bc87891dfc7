"""What a run logged: TensorBoard's scalars of a pretraining, MMEngine's lines of a detector's training."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Curves = dict[str, dict[int, float]]  # scalar -> step -> value


def tensorboard_scalars(work_dir: Path, prefix: str) -> Curves:
    """All scalars of a run below a prefix, such as ``epoch/``, later parts over earlier ones.

    Raises:
        FileNotFoundError: the folder holds no TensorBoard log.
    """
    found: Curves = {}
    for tag, event in _events(work_dir):
        if tag.startswith(prefix):
            found.setdefault(tag.removeprefix(prefix), {})[event.step] = event.value
    return found


def seconds_by_epoch(work_dir: Path) -> dict[int, float]:
    """Seconds from the end of an epoch to the end of the next, by the latter; localization and kNN are in them."""
    ends = {event.step: event.wall_time for tag, event in _events(work_dir) if tag == "epoch/loss"}
    return {epoch: ends[epoch] - ends[epoch - 1] for epoch in ends if epoch - 1 in ends}


def logged_lines(work_dir: Path) -> Curves:
    """Scalars by iteration that MMEngine's logger wrote into ``vis_data/scalars.json``; none where there is no file."""
    found: Curves = {}
    for file in sorted(work_dir.glob("*/vis_data/scalars.json")):
        for line in file.read_text().splitlines():
            values = json.loads(line)
            for name, value in values.items():
                if name not in ("step", "iter", "epoch") and isinstance(value, int | float):
                    found.setdefault(name, {})[values["step"]] = value
    return found


def _events(work_dir: Path) -> Iterator[tuple[str, Any]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    files = sorted(work_dir.rglob("events.out.tfevents.*"), key=lambda file: file.stat().st_mtime)
    if not files:
        raise FileNotFoundError(f"{work_dir} holds no TensorBoard log of a run")
    for file in files:
        log = EventAccumulator(str(file), size_guidance=dict(scalars=0, images=1)).Reload()
        for tag in log.Tags()["scalars"]:
            for event in log.Scalars(tag):
                yield tag, event
