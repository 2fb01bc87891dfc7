"""Means over seeds and their intervals."""

from collections.abc import Sequence

import numpy as np
from scipy import stats


def mean_interval(values: Sequence[float]) -> tuple[float, float]:
    """Mean over seeds, and half of its 95 % interval by Student's t.

    Returns:
        nan for both if there is no value, and for the half if there is one.
    """
    if not len(values):
        return float("nan"), float("nan")
    if len(values) == 1:
        return float(values[0]), float("nan")
    half = stats.t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values))
    return float(np.mean(values)), float(half)


def paired_difference(own: dict[int, float], other: dict[int, float]) -> tuple[float, float]:
    """Mean difference over common seeds, and half of its interval, see :func:`mean_interval`.

    Args:
        own: a metric by seed.
        other: that of the arm to compare with.
    """
    return mean_interval([own[seed] - other[seed] for seed in own.keys() & other.keys()])
