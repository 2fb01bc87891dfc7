"""What a run logged: TensorBoard's scalars of a pretraining, MMEngine's lines of a detector's training."""

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

Curves = dict[str, dict[int, float]]  # scalar -> step -> value
MAX_RECORD = 100_000  # bytes; longer ones are pictures


class Logged(NamedTuple):
    """One value of a scalar, and when it was written, in seconds since 1970."""

    tag: str
    step: int
    value: float
    time: float


def tensorboard_scalars(work_dir: Path, prefix: str) -> Curves:
    """All scalars of a run below a prefix, such as ``epoch/``, later parts over earlier ones.

    Raises:
        FileNotFoundError: the folder holds no TensorBoard log.
    """
    found: Curves = {}
    for each in _logged(work_dir):
        if each.tag.startswith(prefix):
            found.setdefault(each.tag.removeprefix(prefix), {})[each.step] = each.value
    return found


def seconds_by_epoch(work_dir: Path) -> dict[int, float]:
    """Seconds from the end of an epoch to the end of the next, by the latter; including localization and kNN."""
    ends = {each.step: each.time for each in _logged(work_dir) if each.tag == "epoch/loss"}
    return {epoch: ends[epoch] - ends[epoch - 1] for epoch in ends if epoch - 1 in ends}


def log_of(work_dir: Path) -> str:
    """The text of a run's logs, oldest first."""
    return "\n".join(file.read_text(errors="replace") for file in sorted(work_dir.glob("*/*.log")))


def logged_lines(work_dir: Path) -> Curves:
    """Scalars by iteration that MMEngine's logger wrote into ``vis_data/scalars.json``; none if there is no file."""
    found: Curves = {}
    for file in sorted(work_dir.glob("*/vis_data/scalars.json")):
        for line in file.read_text().splitlines():
            values = json.loads(line)
            for name, value in values.items():
                if name not in ("step", "iter", "epoch") and isinstance(value, int | float):
                    found.setdefault(name, {})[values["step"]] = value
    return found


def _logged(work_dir: Path) -> Iterator[Logged]:
    from tensorboard.compat.proto.event_pb2 import Event

    files = sorted(work_dir.rglob("events.out.tfevents.*"), key=lambda file: file.stat().st_mtime)
    if not files:
        hint = ": it is a detector's, whose curves tools/report.py draws" if logged_lines(work_dir) else ""
        raise FileNotFoundError(f"{work_dir} holds no run's TensorBoard log{hint}")
    for file in files:
        for record in _records(file.read_bytes()):
            if len(record) > MAX_RECORD:
                continue
            event = Event.FromString(record)
            for value in event.summary.value:
                if value.HasField("simple_value"):
                    yield Logged(value.tag, event.step, value.simple_value, event.wall_time)


def _records(content: bytes) -> Iterator[bytes]:
    """The records of a TFRecord file: length (uint64), its checksum (uint32), data, their checksum (uint32).

    Checksums are not verified, which takes TensorBoard's own reader seconds; a truncated last record
    does not count.
    """
    start = 0
    while start + 12 <= len(content):
        (length,) = struct.unpack_from("<Q", content, start)
        end = start + 12 + length
        if end + 4 > len(content):
            return
        yield content[start + 12 : end]
        start = end + 4
