"""Runs of a comparison that have no row yet: each is done once, whatever interrupts it and whoever works next to it."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

from ccrop.experiments.rows import OPTIONS, Row, append_row, read_rows, require_distinct
from ccrop.experiments.schema import Schema
from ccrop.resume_advice import AGAIN
from ccrop.work_dir import WorkDirInUse


class Study(Protocol):
    """A comparison: its runs, and what each one measures.

    Attributes:
        schema: of its rows.
    """

    schema: Schema

    def runs(self) -> Iterable[Row]:
        """The runs in order, each as the columns of the schema's key."""

    def settings(self, run: Row) -> Mapping[str, Any]:
        """The columns of a run's row that are known in advance: its budget, and :data:`.rows.OPTIONS`."""

    def measure(self, run: Row) -> Mapping[str, Any]:
        """The other columns of its row that were measured."""


def run_missing(study: Study, file: Path) -> list[str]:
    """Append a row for every run that has none. A run that another process works on is left to that process.

    Returns:
        The runs that are left to other processes and have no row yet, by name.

    Raises:
        OSError: the file cannot be written.
        ValueError: it has other columns, or holds a run twice or with a different budget or options.
        KeyboardInterrupt: says how to continue.
    """
    rows = read_rows(file, study.schema.header)
    require_distinct(file, rows, study.schema.key)
    if rows and OPTIONS not in rows[0]:
        print(f"{file} does not record the options of its rows: they are used whatever those were")
    pending = [run for run in study.runs() if not _has_row(study, run, file)]
    if pending:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.open("ab").close()  # a path that cannot be written stops here, and not after the first run
    while pending:
        busy = []
        for run in pending:
            try:
                _complete(study, run, file)
            except WorkDirInUse as error:
                busy.append((run, error))
            except KeyboardInterrupt as error:
                done = len(read_rows(file, study.schema.header))
                kept = f"{file} keeps the rows of finished runs" if done else "no run is finished"
                raise KeyboardInterrupt(f"{kept}; {AGAIN} to continue") from error
        if len(busy) == len(pending):
            for run, refusal in busy:
                print(f"No row yet of {_name(run)}: {refusal}")
            return [_name(run) for run, _ in busy]
        pending = [run for run, _ in busy]
    return []


def _complete(study: Study, run: Row, file: Path) -> None:
    if _has_row(study, run, file):  # by now, from another process
        return
    row = {**run, **study.settings(run), **study.measure(run)}
    append_row(file, row, study.schema.header, study.schema.key)


def _has_row(study: Study, run: Row, file: Path) -> bool:
    """Whether a run is in the file with the requested settings.

    Raises:
        ValueError: with others.
    """
    for row in read_rows(file, study.schema.header):
        if all(row[name] == value for name, value in run.items()):
            for name, value in study.settings(run).items():
                if name in row and not _same(row[name], value):
                    raise ValueError(
                        f"{file} holds {_name(run)} with {name} {row[name]}, not {value}: choose another --csv and "
                        "another --work-dirs"
                    )
            return True
    return False


def _name(run: Row) -> str:
    return f"{run['arm']} of seed {run['seed']}"


def _same(text: str, value: Any) -> bool:
    """Whether a CSV field equals a value, however the number is formatted."""
    try:
        return float(text) == float(value)
    except ValueError:
        return text == str(value)
