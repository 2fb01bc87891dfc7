"""How often sweeps are drawn."""

from collections import Counter
from itertools import islice

import numpy as np
import pytest

from ccrop.projects.lidar_bev.detection import ClassBalancedSampler

NAMES = [["car"] * 5, ["car"], ["car", "bus"], ["car"], [], ["tree"], ["car", "bicycle"], ["car", "bicycle", "bus"]]


class Labeled:
    classes = ("car", "bus", "bicycle")

    def __len__(self) -> int:
        return len(NAMES)

    def learned_names(self, index: int) -> list[str]:
        return NAMES[index]


def test_each_class_is_drawn_for_equally_often():
    sampler = ClassBalancedSampler(Labeled(), seed=3)
    assert len(sampler) == 10  # 6 of cars, 2 of buses, 2 of bicycles
    number = 30_000
    drawn = Counter(index for _, _, index in islice(iter(sampler), number))
    # a third each: of a car in one of 6 sweeps, a bus in one of 2, a bicycle in one of 2
    car, rare = 1 / 18, 1 / 6
    expected = [car, car, car + rare, car, 0, 0, car + rare, car + 2 * rare]
    assert [drawn[index] / number for index in range(8)] == pytest.approx(expected, abs=0.01)


def test_no_draw_is_augmented_as_another():
    keys = list(islice(iter(ClassBalancedSampler(Labeled(), seed=3)), 200))
    assert {seed for seed, _, _ in keys} == {3}
    assert [draw for _, draw, _ in keys] == list(range(200))
    assert keys == list(islice(iter(ClassBalancedSampler(Labeled(), seed=3)), 200))
    assert np.unique([index for *_, index in keys]).tolist() == [0, 1, 2, 3, 6, 7]


def test_it_goes_on_where_it_stopped():
    whole = list(islice(iter(ClassBalancedSampler(Labeled(), seed=0)), 47))
    resumed = ClassBalancedSampler(Labeled(), seed=0)
    resumed.skip(23)
    assert list(islice(iter(resumed), 24)) == whole[23:]
