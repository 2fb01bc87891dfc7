"""What the rows of a comparison hold, and how they are shown."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ccrop.experiments.rows import OPTIONS, Row

Interval = Callable[[str, Sequence[Path], Sequence[Path]], tuple[float, float] | None]


@dataclass(frozen=True)
class Schema:
    """The rows of a kind of comparison.

    Attributes:
        key: the columns that identify a run: the data set first, arm and seed last, with a condition between them
            if arms are compared under several.
        columns: the others, except :data:`.rows.OPTIONS`.
        shown: columns in tables, with metrics in [0, 1], and their titles.
        goals: ``(rows)``; the columns in plots; arms are compared by the first.
        references: the default arms that tables give differences to.
        axis: the condition's axis in plots, if there is a condition, a fraction in (0, 1].
        condition_title: the condition in titles, to be formatted with the fraction in percent.
        interval: ``(metric, own, other)``; the 95 % interval, low and high, of the difference of a metric between runs
            in two lists of work_dirs, over the choice of tested examples; None if they lack the required files.
        note: ``(rows)``; what follows the table of these rows.
    """

    key: tuple[str, ...]
    columns: tuple[str, ...]
    shown: Mapping[str, str]
    goals: Callable[[Sequence[Row]], tuple[str, ...]]
    references: tuple[str, ...] = ()
    axis: str = ""
    condition_title: str = ""
    interval: Interval = lambda *_: None
    note: Callable[[Sequence[Row]], str] = lambda _: ""

    @property
    def condition(self) -> str | None:
        """The column of the condition, if there is one."""
        return self.key[1] if len(self.key) > 3 else None

    @property
    def header(self) -> tuple[str, ...]:
        """All columns of a file."""
        return (*self.key, *self.columns, OPTIONS)

    def folder(self, work_dirs: Path, row: Mapping[str, str]) -> Path:
        """The work_dir of a row's run: ``DATA/ARM_SEED`` or ``DATA/CONDITION/ARM_SEED``."""
        *above, arm, seed = (row[name] for name in self.key)
        return work_dirs.joinpath(*above, f"{arm}_{seed}")
