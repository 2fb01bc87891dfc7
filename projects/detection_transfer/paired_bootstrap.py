"""The difference between two detectors, with its 95 % interval over the choice of test images.

    python projects/detection_transfer/paired_bootstrap.py work_dirs/transfer/SET/0.1/imagenet_{0,1,2} \\
        --over work_dirs/transfer/SET/0.1/random_{0,1,2}

Each side is a fine-tuning run or several of them, whose mean is compared. The images are resampled 1,000 times, the
same ones for every run (paired bootstrap); the seeds are kept. Metrics cover the categories with enough small objects.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ccrop.cli import command, command_parser
from ccrop.projects.detection_transfer.bootstrap import RESAMPLED

FILE = "detections.npz"  # in a run's work_dir, see ccrop.projects.detection_transfer.metric.SmallObjectMetric
SAME = ("images", "objects", "min_objects")


class Interval(NamedTuple):
    """Means of two sides, in [0, 1], their difference, and the 2.5 % and 97.5 % quantiles of it over resamples."""

    own: float
    other: float
    difference: float
    low: float
    high: float


def paired_interval(metric: str, own: Sequence[Path], other: Sequence[Path]) -> Interval:
    """The interval of ``own`` over ``other``, means over the runs of each.

    Args:
        metric: one of :data:`ccrop.projects.detection_transfer.bootstrap.RESAMPLED`.
        own, other: work_dirs of fine-tuning runs.

    Raises:
        FileNotFoundError: a run has no :data:`FILE`.
        ValueError: the runs were not tested on the same images and objects.
    """
    kept = {folder: _read(folder) for folder in (*own, *other)}
    first = next(iter(kept))
    for folder, content in kept.items():
        if not all(np.array_equal(content[name], kept[first][name]) for name in SAME):
            raise ValueError(
                f"{folder / FILE} and {first / FILE} differ in test images, objects or min_objects: "
                "test both detectors on the same set"
            )
    sides = [np.mean([kept[folder][metric] for folder in side], axis=0) for side in (own, other)]
    differences = sides[0] - sides[1]
    low, high = np.nanquantile(differences[1:], (0.025, 0.975)) if np.isfinite(differences[0]) else (np.nan, np.nan)
    return Interval(*(float(each) for each in (sides[0][0], sides[1][0], differences[0], low, high)))


def image_interval(metric: str, own: Sequence[Path], other: Sequence[Path]) -> tuple[float, float] | None:
    """Low and high end of :func:`paired_interval`; None if the metric is not resampled or a run kept nothing."""
    if metric not in RESAMPLED or not all((folder / FILE).is_file() for folder in (*own, *other)):
        return None
    return paired_interval(metric, own, other)[-2:]


def _read(folder: Path) -> dict[str, NDArray]:
    file = folder / FILE
    if not file.is_file():
        raise FileNotFoundError(f"{file} does not exist: {folder} is not the work_dir of a tested fine-tuning run")
    with np.load(file) as content:
        return {name: content[name] for name in (*SAME, *RESAMPLED)}


@command
def main(argv: Sequence[str] | None = None) -> int:
    parser = command_parser(__doc__)
    parser.add_argument(
        "work_dirs", nargs="+", type=Path, metavar="WORK_DIR", help="work_dirs of the detector, one per seed"
    )
    parser.add_argument(
        "--over", nargs="+", type=Path, required=True, metavar="WORK_DIR", help="work_dirs of the other detector"
    )
    args = parser.parse_args(argv)
    found = {name: paired_interval(name, args.work_dirs, args.over) for name in RESAMPLED}
    print("| % | own | other | difference | 95 % over images |\n| --- | --- | --- | --- | --- |")
    for name, each in found.items():
        own, other, difference, low, high = (100 * value for value in each)
        print(f"| {name} | {own:.1f} | {other:.1f} | {difference:+.1f} | {low:+.1f} to {high:+.1f} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
