"""Summary of a comparison's CSV: Markdown tables, and a plot per data set, next to it."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from ccrop.experiments.plots import plot
from ccrop.experiments.rows import read_rows, require_distinct
from ccrop.experiments.schema import Schema
from ccrop.experiments.tables import Rows, markdown
from ccrop.files import write_bytes

SPREAD = "Mean ± standard deviation over seeds."
DIFFERENCES = (
    " Differences: ± half of the 95 % interval over seeds (Student's t), and in brackets the 95 % interval over the "
    "choice of tested examples (paired bootstrap), if their work_dirs exist."
)


def require_arms(references: Sequence[str], file: Path, schema: Schema, arms: Iterable[str] = ()) -> None:
    """Refuse references that are neither among the arms to be run nor in the rows of a CSV.

    Raises:
        ValueError: names them and the arms that there are.
    """
    known = dict.fromkeys([*arms, *(row["arm"] for row in read_rows(file, schema.header))])
    if unknown := [name for name in references if name not in known]:
        raise ValueError(f"--over {' '.join(unknown)}: unknown arm; the arms are {', '.join(known)}")


def write_summary(file: Path, schema: Schema, references: Sequence[str] = (), work_dirs: Path | None = None) -> None:
    """Print and write the tables of a CSV, and draw a plot for each data set.

    Args:
        references, work_dirs: see :func:`.tables.markdown`.

    Raises:
        ValueError: see :func:`.rows.read_rows` and :func:`.rows.require_distinct`.
    """
    rows = read_rows(file, schema.header)
    require_distinct(file, rows, schema.key)
    parts: list[str] = []
    if absent := set(references) - {row["arm"] for row in rows}:
        print(f"No differences to {', '.join(sorted(absent))}: no such rows in {file}")
    for data in dict.fromkeys(row["data"] for row in rows):
        of_data = [row for row in rows if row["data"] == data]
        for chosen in _by_condition(of_data, schema):
            parts += filter(None, (markdown(chosen, schema, references, work_dirs), schema.note(chosen)))
        plot(of_data, schema, file.with_name(f"{file.stem}_{data}.png"))
    parts.append(SPREAD + (DIFFERENCES if references or schema.references else ""))
    text = "\n\n".join(parts) + "\n"
    write_bytes(file.with_suffix(".md"), text.encode())
    print(text)


def _by_condition(rows: Rows, schema: Schema) -> list[Rows]:
    if schema.condition is None:
        return [rows]
    conditions = sorted({row[schema.condition] for row in rows}, key=float)
    return [[row for row in rows if row[schema.condition] == condition] for condition in conditions]
