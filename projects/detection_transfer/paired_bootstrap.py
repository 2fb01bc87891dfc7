"""The difference between two detectors, with its 95 % interval over the choice of test images.

    python projects/detection_transfer/paired_bootstrap.py work_dirs/transfer/SET/0.1/imagenet_{0,1,2} \\
        --over work_dirs/transfer/SET/0.1/random_{0,1,2}

Each side is a fine-tuning run or several of them, whose mean is compared. The images are resampled 1,000 times, the
same ones for every run (paired bootstrap); the seeds are kept. Metrics cover the categories with enough small objects.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from ccrop.cli import command
from ccrop.experiments import paired_bootstrap
from ccrop.experiments.paired_bootstrap import FILE, Interval
from ccrop.projects.detection_transfer.resampled_metrics import RESAMPLED

SAME = {"images": "test images", "objects": "objects", "min_objects": "min_objects"}


def paired_interval(metric: str, own: Sequence[Path], other: Sequence[Path]) -> Interval:
    """The interval of ``own`` over ``other``, means over the runs of each.

    Args:
        metric: one of :data:`ccrop.projects.detection_transfer.resampled_metrics.RESAMPLED`.
        own, other: work_dirs of fine-tuning runs; :class:`.coco_metric.SmallObjectMetric` keeps their files.

    Raises:
        FileNotFoundError, ValueError: see :func:`ccrop.experiments.paired_bootstrap.paired_interval`.
    """
    return paired_bootstrap.paired_interval(metric, own, other, SAME)


def image_interval(metric: str, own: Sequence[Path], other: Sequence[Path]) -> tuple[float, float] | None:
    """Low and high end of :func:`paired_interval`; None if the metric is not resampled or a run kept nothing."""
    if metric not in RESAMPLED or not all((folder / FILE).is_file() for folder in (*own, *other)):
        return None
    return paired_interval(metric, own, other)[-2:]


@command
def main(argv: Sequence[str] | None = None) -> int:
    own, other = paired_bootstrap.sides(__doc__, argv)
    print(paired_bootstrap.table({name: paired_interval(name, own, other) for name in RESAMPLED}, "images"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
