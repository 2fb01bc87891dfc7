"""CSV files with a row a run, from which an interrupted comparison goes on."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np


def read_rows(file: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """Rows of earlier runs; none where there is no file.

    Raises:
        ValueError: the file has other columns.
    """
    if not file.exists():
        return []
    with file.open(newline="") as handle:
        reader = csv.DictReader(handle)
        if tuple(reader.fieldnames or ()) != tuple(columns):
            raise ValueError(f"{file} has other columns than this comparison writes: name another --csv")
        return list(reader)


def append_row(file: Path, row: dict[str, Any], columns: Sequence[str]) -> None:
    """Add a row, and above the first one the columns' names."""
    new = not file.exists()
    with file.open("a", newline="") as handle:
        writer = csv.DictWriter(handle, columns)
        if new:
            writer.writeheader()
        writer.writerow(row)


def mean_and_spread(figures: Sequence[float]) -> str:
    """``mean ± standard deviation`` over seeds; the figure alone where there is one, nothing where there is none."""
    if not figures:
        return ""
    return f"{np.mean(figures):.1f}" + (f" ± {np.std(figures, ddof=1):.1f}" if len(figures) > 1 else "")
