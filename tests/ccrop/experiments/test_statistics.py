"""Means over seeds, and their intervals."""

import math

import pytest

from ccrop.experiments.statistics import mean_interval, paired_difference


def test_paired_interval_is_students():
    own, other = {0: 5.0, 1: 7.0, 2: 9.0, 3: 99.0}, {0: 4.0, 1: 5.0, 2: 6.0}
    difference, half = paired_difference(own, other)
    # differences 1, 2, 3: mean 2, standard deviation 1, t of 2 degrees of freedom 4.3027
    assert difference == pytest.approx(2)
    assert half == pytest.approx(4.302653 / math.sqrt(3), rel=1e-5)


def test_one_seed_has_no_interval():
    mean, alone = mean_interval([0.5])
    assert mean == 0.5
    assert math.isnan(alone)
    assert math.isnan(mean_interval([])[0])
    difference, half = paired_difference({0: 5.0}, {0: 4.0})
    assert difference == pytest.approx(1)
    assert math.isnan(half)
    assert math.isnan(paired_difference({0: 1.0}, {1: 1.0})[0])
