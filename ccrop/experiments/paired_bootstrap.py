"""The difference between two detectors, with its 95 % interval over the choice of tested examples.

Both are measured on the same resamples of these examples (paired bootstrap; Efron, 1979), whatever an example is.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ccrop.cli import command_parser

FILE = "detections.npz"  # in a run's work_dir, with what was tested and the metrics of each resample
RESAMPLES = 1000


class Interval(NamedTuple):
    """Means of two sides, in [0, 1], their difference, and the 2.5 % and 97.5 % quantiles of it over resamples."""

    own: float
    other: float
    difference: float
    low: float
    high: float


def draws_of(number: int, resamples: int = RESAMPLES, seed: int = 0) -> NDArray[np.int32]:
    """How often each example is drawn, ``(1 + resamples, number)``: each once, then by chance.

    Two detectors tested on the same examples get the same resamples, so that their metrics are paired.

    Args:
        number: of examples.
        seed: draws them.
    """
    drawn = np.random.default_rng(seed).multinomial(number, np.full(number, 1 / number), size=resamples)
    return np.concatenate([np.ones((1, number), dtype=np.int32), drawn.astype(np.int32)])


def mean_known(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Over the first axis, without nan; nan if there is nothing else."""
    known = ~np.isnan(values)
    number = known.sum(axis=0)
    return np.where(number > 0, np.where(known, values, 0).sum(axis=0) / np.maximum(number, 1), np.nan)


def paired_interval(metric: str, own: Sequence[Path], other: Sequence[Path], same: Mapping[str, str]) -> Interval:
    """The interval of ``own`` over ``other``, means over the runs of each.

    Args:
        metric: the array in :data:`FILE` with its values of the resamples of :func:`draws_of`.
        own, other: work_dirs of fine-tuning runs.
        same: the arrays that must be equal in all of them, and what each is called.

    Raises:
        FileNotFoundError: a run has no :data:`FILE`.
        ValueError: the runs were not tested on the same examples, or their kind of detector has no such metric.
    """
    kept = {folder: read_kept(folder, (metric, *same)) for folder in (*own, *other)}
    first = next(iter(kept))
    for folder, content in kept.items():
        if not all(np.array_equal(content[name], kept[first][name]) for name in same):
            *names, last = same.values()
            raise ValueError(
                f"{folder / FILE} and {first / FILE} differ in {', '.join(names)} or {last}: "
                "test both detectors on the same set"
            )
    sides = [np.mean([kept[folder][metric] for folder in side], axis=0) for side in (own, other)]
    differences = sides[0] - sides[1]
    low, high = np.nanquantile(differences[1:], (0.025, 0.975)) if np.isfinite(differences[0]) else (np.nan, np.nan)
    return Interval(*(float(each) for each in (sides[0][0], sides[1][0], differences[0], low, high)))


def read_kept(folder: Path, names: Sequence[str]) -> dict[str, NDArray]:
    """Arrays that a tested run kept in its work_dir.

    Raises:
        FileNotFoundError, ValueError: it kept nothing, or not these.
    """
    file = folder / FILE
    if not file.is_file():
        raise FileNotFoundError(f"{file} does not exist: {folder} is not the work_dir of a tested fine-tuning run")
    with np.load(file) as content:
        missing = [name for name in names if name not in content]
        if missing:
            raise ValueError(f"{file} does not hold {', '.join(missing)}: it belongs to another kind of detector")
        return {name: content[name] for name in names}


def sides(doc: str, argv: Sequence[str] | None) -> tuple[list[Path], list[Path]]:
    """The work_dirs of both sides on a command line: of the detector, and of the one it is compared with."""
    parser = command_parser(doc)
    parser.add_argument(
        "work_dirs", nargs="+", type=Path, metavar="WORK_DIR", help="work_dirs of the detector, one per seed"
    )
    parser.add_argument(
        "--over", nargs="+", type=Path, required=True, metavar="WORK_DIR", help="work_dirs of the other detector"
    )
    args = parser.parse_args(argv)
    return args.work_dirs, args.over


def table(found: Mapping[str, Interval], examples: str) -> str:
    """A Markdown table with a row per metric; ``examples`` are what was resampled."""
    lines = [f"| % | own | other | difference | 95 % over {examples} |", "| --- | --- | --- | --- | --- |"]
    for name, each in found.items():
        own, other, difference, low, high = (100 * value for value in each)
        lines.append(f"| {name} | {own:.1f} | {other:.1f} | {difference:+.1f} | {low:+.1f} to {high:+.1f} |")
    return "\n".join(lines)
