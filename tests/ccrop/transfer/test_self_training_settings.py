"""What all detectors share of self-training."""

import pytest

from ccrop.transfer.self_training import check_self_training, repetitions, require_classes


@pytest.mark.parametrize(
    ("labeled", "unlabeled", "fraction", "copies"),
    [(23, 2189, 0.2, 24), (221, 1991, 0.2, 2), (100, 100, 0.5, 1), (50, 10, 0.2, 1), (5, 95, 0.0, 1)],
)
def test_repetitions_reach_the_fraction(labeled: int, unlabeled: int, fraction: float, copies: int):
    assert repetitions(labeled, unlabeled, fraction) == copies


def test_a_teacher_may_know_more_classes_than_are_learned():
    require_classes("run", ("car", "bus", "tram"), ("tram", "car"))
    with pytest.raises(ValueError, match=r"^run does not detect bus, bike, which this data set labels: "):
        require_classes("run", ("car",), ("car", "bus", "bike"))


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("teacher", 3, r"self_training\.teacher must be a path, got 3: write \./NAME"),
        ("unlabeled", 3, r"self_training\.unlabeled must be a path, got 3"),
        ("min_score", 1.5, r"self_training\.min_score must be from 0 to 1, got 1\.5"),
        ("min_score", True, r"self_training\.min_score must be from 0 to 1, got True"),
        ("labeled_fraction", 1, r"self_training\.labeled_fraction must be from 0 to 0\.999, got 1"),
    ],
)
def test_settings_out_of_range(name: str, value: object, message: str):
    settings = dict(teacher="run", min_score=1, labeled_fraction=0)
    check_self_training(settings)
    with pytest.raises(ValueError, match=message):
        check_self_training(settings | {name: value})
