"""Splits in which every class has its part, and scenes stay whole."""

import numpy as np
import pytest

from ccrop.datasets.stratification import stratified


@pytest.mark.parametrize("seed", range(5))
def test_every_class_has_its_part(seed: int):
    numbers = (200, 40, 10, 50)  # of examples of one class each, and of none
    classes = np.zeros((sum(numbers), 3), dtype=bool)
    for column, (start, number) in enumerate(zip(np.cumsum((0, *numbers)), numbers[:3], strict=False)):
        classes[start : start + number, column] = True
    chosen = stratified(classes, 0.2, seed)
    assert chosen == sorted(set(chosen))
    assert classes[chosen].sum(axis=0).tolist() == [40, 8, 2]
    assert len(chosen) == 60


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5])
def test_examples_of_many_classes_come_close(share: float):
    rng = np.random.default_rng(7)
    classes = rng.random((400, 6)) < np.array([0.02, 0.05, 0.1, 0.3, 0.5, 0.9])
    chosen = stratified(classes, share, 0)
    assert abs(len(chosen) - share * 400) <= 4
    wanted = share * classes.sum(axis=0)
    assert (abs(classes[chosen].sum(axis=0) - wanted) <= np.maximum(1, 0.05 * wanted + 2)).all()


def test_the_seed_draws_and_repeats():
    classes = np.ones((50, 1), dtype=bool)
    assert stratified(classes, 0.2, 3) == stratified(classes, 0.2, 3)
    assert stratified(classes, 0.2, 3) != stratified(classes, 0.2, 4)


def test_scenes_stay_whole():
    scenes = [number // 7 for number in range(140)]
    classes = np.random.default_rng(0).random((140, 3)) < 0.3
    chosen = stratified(classes, 0.25, 0, scenes)
    assert {scenes[each] for each in chosen}.isdisjoint(scenes[each] for each in set(range(140)) - set(chosen))
    assert abs(len(chosen) - 35) <= 7  # one scene


@pytest.mark.parametrize(("share", "number"), [(0.01, 3), (0.99, 3), (0.5, 2)])
def test_neither_part_is_empty(share: float, number: int):
    assert 0 < len(stratified(np.ones((number, 1), dtype=bool), share, 0)) < number


def test_what_cannot_be_divided_is_refused():
    with pytest.raises(ValueError, match="fraction of images must be between 0 and 1, got 1"):
        stratified(np.ones((4, 1), dtype=bool), 1.0, 0)
    with pytest.raises(ValueError, match=r"4 images of 1 scene\(s\) cannot be divided"):
        stratified(np.ones((4, 1), dtype=bool), 0.5, 0, ["a"] * 4)
