"""CSV files with a row a run, from which an interrupted comparison goes on."""

import csv
import fcntl
import os
from collections.abc import Sequence
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np


def read_rows(file: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """Rows of earlier runs; none where there is no file.

    A last row without its line end was cut off while it was written, and does not count.

    Raises:
        ValueError: the file has other columns, or a row with too few or too many fields.
    """
    whole = _whole_lines(file.read_bytes()) if file.exists() else b""
    if not whole:
        return []
    header, *rows = csv.reader(StringIO(whole.decode(), newline=""))
    if tuple(header) != tuple(columns):
        raise ValueError(f"{file} has other columns than this comparison writes: name another --csv")
    for number, row in enumerate(rows, start=2):
        if len(row) != len(columns):
            raise ValueError(
                f"{file}, row {number}: {len(row)} fields instead of {len(columns)}; remove the row, and its run is "
                "done again"
            )
    return [dict(zip(columns, row, strict=True)) for row in rows]


def append_row(file: Path, row: dict[str, Any], columns: Sequence[str]) -> None:
    """Add a row, and above the first one the columns' names; safe where several comparisons write to one file.

    A row that was cut off while it was written is removed.
    """
    with file.open("ab+") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)  # until the file is closed
        handle.seek(0)
        whole = len(_whole_lines(handle.read()))
        handle.truncate(whole)
        text = StringIO(newline="")
        writer = csv.DictWriter(text, columns)
        if not whole:
            writer.writeheader()
        writer.writerow(row)
        handle.write(text.getvalue().encode())
        handle.flush()
        os.fsync(handle.fileno())


def _whole_lines(content: bytes) -> bytes:
    return content[: content.rfind(b"\n") + 1]


def mean_and_spread(figures: Sequence[float]) -> str:
    """``mean ± standard deviation`` over seeds; the figure alone where there is one, nothing where there is none."""
    if not figures:
        return ""
    return f"{np.mean(figures):.1f}" + (f" ± {np.std(figures, ddof=1):.1f}" if len(figures) > 1 else "")
