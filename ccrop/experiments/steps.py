"""A step of a comparison: work in its own folder that is done once."""

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ccrop.resume_advice import AGAIN, resumed_by
from ccrop.work_dir import LOCK, locked, set_aside

RECORD = "step.json"  # in the folder: the step's settings, and its result once it is finished


def step(folder: Path, settings: Mapping[str, Any], work: Callable[[], Any]) -> Any:
    """The result of ``work()``, which is called unless an earlier call finished it.

    The folder is locked meanwhile. What an interrupted call with the same settings left there is kept, and ``work``
    may continue from it; anything else is moved aside.

    Args:
        settings: everything that the result depends on; numbers and strings.
        work: returns a JSON-serializable result; a tuple comes back as a list.

    Raises:
        WorkDirInUse: another process works in the folder.
    """
    with locked(folder):
        file = folder / RECORD
        record = json.loads(file.read_text()) if file.is_file() else {}
        if record.get("settings") != settings:
            if any(each.name != LOCK for each in folder.iterdir()):
                set_aside(folder, "its settings differed")
            record = dict(settings=dict(settings))
            _write(file, record)
        if "result" not in record:
            with resumed_by(AGAIN):
                record["result"] = work()
            _write(file, record)
        return record["result"]


def _write(file: Path, record: Mapping[str, Any]) -> None:
    partial = file.with_suffix(".partial")
    partial.write_text(json.dumps(record, indent=1))
    os.replace(partial, file)
