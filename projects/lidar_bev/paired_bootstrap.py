"""The difference between two detectors, with its 95 % interval over the choice of tested sweeps.

    python projects/lidar_bev/paired_bootstrap.py work_dirs/transfer/SET/0.05/windows_{0,1,2} \\
        --over work_dirs/transfer/SET/0.05/random_{0,1,2}

Each side is a fine-tuning run or several of them, whose mean is compared. The sweeps are resampled 1,000 times, the
same ones for every run (paired bootstrap); the seeds are kept. Neighboring sweeps of one drive are no independent
draws: there the interval is too narrow.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ccrop.cli import command
from ccrop.experiments import paired_bootstrap
from ccrop.experiments.paired_bootstrap import FILE, Interval

SAME = {"sweeps": "test sweeps", "objects": "objects", "classes": "classes"}


def paired_interval(metric: str, own: Sequence[Path], other: Sequence[Path]) -> Interval:
    """The interval of ``own`` over ``other``, means over the runs of each.

    Args:
        metric: ``mAP``, or ``AP_Car`` ... of one of their classes.
        own, other: work_dirs of fine-tuning runs; :func:`.findings.keep` writes their files.

    Raises:
        FileNotFoundError, ValueError: see :func:`ccrop.experiments.paired_bootstrap.paired_interval`.
    """
    return paired_bootstrap.paired_interval(metric, own, other, SAME)


def resampled(run: Path) -> list[str]:
    """The metrics that a run kept for resamples; none if it kept nothing, or is of images."""
    if not (run / FILE).is_file():
        return []
    with np.load(run / FILE) as content:
        return ["mAP", *(f"AP_{name}" for name in content["classes"])] if "sweeps" in content else []


def sweep_interval(metric: str, own: Sequence[Path], other: Sequence[Path]) -> tuple[float, float] | None:
    """Low and high end of :func:`paired_interval`; None if the metric is not resampled or a run kept nothing."""
    if not all(metric in resampled(folder) for folder in (*own, *other)):
        return None
    return paired_interval(metric, own, other)[-2:]


@command
def main(argv: Sequence[str] | None = None) -> int:
    own, other = paired_bootstrap.sides(__doc__, argv)
    names = resampled(own[0]) or ["mAP"]  # which then says what is missing
    print(paired_bootstrap.table({name: paired_interval(name, own, other) for name in names}, "sweeps"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
