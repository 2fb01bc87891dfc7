"""CSV files with a row per run, from which an interrupted comparison continues."""

import csv
import fcntl
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

from ccrop.files import full_disk_explained

OPTIONS = "options"  # the last column: what else a row's metrics depend on; files of version 0.1 lack it
TEXTS = ("data", "arm", OPTIONS)  # the columns that are not numbers
CONDITION = "labels"  # the column of the fraction of the labels; those of pretrainings have none
BOM = "\ufeff"  # which spreadsheets put before a file's text
Row = dict[str, str]


def listed(options: Mapping[str, Any]) -> str:
    """Options in the format of a row: ``NAME=VALUE``, by name."""
    texts = {name: f"{value:g}" if isinstance(value, float) else value for name, value in options.items()}
    return " ".join(f"{name}={text}" for name, text in sorted(texts.items()))


def same_columns(header: Sequence[str], columns: Sequence[str]) -> bool:
    """Whether a file's header has the columns, of which it may lack :data:`OPTIONS`."""
    return tuple(header) in (tuple(columns), tuple(name for name in columns if name != OPTIONS))


def header_of(file: Path) -> tuple[str, ...]:
    """The names of a file's columns; none if it is empty.

    Raises:
        ValueError: it is not a CSV.
    """
    first, _, _ = file.read_bytes().partition(b"\n")
    return tuple(next(iter(_fields(file, first)), ()))


def table_of(file: Path, content: bytes) -> tuple[list[str], list[list[str]]]:
    """Header and rows of a CSV file's bytes, without blank lines; values are numbers or empty, but for :data:`TEXTS`.

    Raises:
        ValueError: it is not a CSV; or a row has too few or too many fields, or one that is not a number.
    """
    header, *rows = _fields(file, content) or [[]]
    for number, row in enumerate(rows, start=2):
        if row and (fault := _fault(header, row)):
            raise ValueError(f"{file}, row {number}: {fault}; remove the row, and the next call adds it again")
    return header, [row for row in rows if row]


def _fields(file: Path, content: bytes) -> list[list[str]]:
    """The fields of each line.

    Raises:
        ValueError: it is not text in UTF-8, or not a CSV.
    """
    try:
        return list(csv.reader(StringIO(content.decode().removeprefix(BOM), newline=""), strict=True))
    except UnicodeDecodeError as error:
        raise ValueError(f"{file} is not the CSV of a comparison: it is not text in UTF-8") from error
    except csv.Error as error:
        raise ValueError(f"{file} is not the CSV of a comparison: {error}") from error


def _fault(header: Sequence[str], row: Sequence[str]) -> str | None:
    """What is wrong with a row, if anything."""
    if len(row) != len(header):
        return f"{len(row)} fields instead of {len(header)}"
    for name, value in zip(header, row, strict=True):
        if "\0" in value:
            return f"{name} is {value!r}, which is not text"
        if name == CONDITION and not (_is_number(value) and 0 < float(value) <= 1):
            return f"{name} is {value!r}, not a fraction above 0 and up to 1"
        if name == "seed" and not value.isdecimal():
            return f"seed is {value!r}, not a whole number"
        if name not in TEXTS and value and not _is_number(value):
            return f"{name} is {value!r}, not a number"
    return None


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def read_rows(file: Path, columns: Sequence[str]) -> list[Row]:
    """Rows of earlier runs; none if there is no file.

    A last row without a line end was interrupted while being written, and does not count.

    Args:
        columns: of the file, which may lack :data:`OPTIONS`.

    Raises:
        ValueError: the file is not text, or has other columns; or see :func:`table_of`.
    """
    header, rows = _parsed(file, _complete_lines(file, file.read_bytes(), columns) if file.exists() else b"", columns)
    return [dict(zip(header, row, strict=True)) for row in rows]


def require_distinct(file: Path, rows: Sequence[Row], key: Sequence[str]) -> None:
    """Refuse two rows of one run, as in CSVs that were joined by hand: tables would count it twice, or take either.

    Args:
        key: columns that identify a run.

    Raises:
        ValueError: names the run.
    """
    runs = Counter(tuple(row[name] for name in key) for row in rows)
    for run, number in runs.items():
        if number > 1:
            named = ", ".join(f"{name} {value}" for name, value in zip(key, run, strict=True))
            raise ValueError(f"{file} has {number} rows of {named}: keep one")


def append_row(file: Path, row: Mapping[str, Any], columns: Sequence[str], key: Sequence[str]) -> bool:
    """Add a row, and a header above the first one; safe if several comparisons write to the same file.

    A partially written row is removed. The columns of an existing file are kept.

    Args:
        key: columns that identify a run.

    Returns:
        Whether the row was added: False if the file holds one with the same key.

    Raises:
        ValueError: see :func:`read_rows`.
        DiskFull: see :func:`ccrop.files.full_disk_explained`.
    """
    with full_disk_explained(file), file.open("ab+") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)  # until the file is closed
        handle.seek(0)
        content = _complete_lines(file, handle.read(), columns)
        header, rows = _parsed(file, content, columns)
        own = [str(row[name]) for name in key]
        if any([each[header.index(name)] for name in key] == own for each in rows):
            return False
        handle.truncate(len(content))
        text = StringIO(newline="")
        writer = csv.DictWriter(text, header, extrasaction="ignore")
        if not content:
            writer.writeheader()
        writer.writerow(row)
        handle.write(text.getvalue().encode())
        handle.flush()
        os.fsync(handle.fileno())
    return True


def _complete_lines(file: Path, content: bytes, columns: Sequence[str]) -> bytes:
    """The lines that were written to their end; a first line that was not must be the beginning of a header.

    Raises:
        ValueError: it is another file's, which the header of a comparison would replace.
    """
    complete = content[: content.rfind(b"\n") + 1]
    if not complete and not ",".join(columns).encode().startswith(content.rstrip(b"\r")):
        raise _other_columns(file)
    return complete


def _other_columns(file: Path) -> ValueError:
    return ValueError(f"{file} has other columns than this comparison writes: choose another --csv")


def _parsed(file: Path, content: bytes, columns: Sequence[str]) -> tuple[Sequence[str], list[list[str]]]:
    """Header and fields of complete lines; the columns and no row if there are none."""
    if not content:
        return columns, []
    if not same_columns(next(iter(_fields(file, content))), columns):
        raise _other_columns(file)
    return table_of(file, content)
