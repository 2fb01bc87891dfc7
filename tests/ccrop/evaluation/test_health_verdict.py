"""Runs are judged by what they measured."""

import math

import pytest

from ccrop.evaluation.health_verdict import HEALTHY, judge_pairs, judge_run

GOOD = {
    "loss": {1: -0.1, 2: -0.5, 10: -0.8},
    "z_std": {1: 0.3, 10: 0.963},
    "rank": {1: 5, 10: 91.9},
    "no_box": {10: 0.02},
    "whole_image": {10: 0.1},
    "knn": {0: 0.1, 10: 0.2},
}


def test_a_healthy_run_has_no_fault_and_says_what_was_found():
    verdict = judge_run(GOOD)
    assert verdict.healthy
    assert verdict.faults == ()
    assert verdict.remarks == (
        "the loss fell from -0.100 to -0.800",
        "z-std is 0.963 (healthy: 0.5 to 1.1)",
        "the effective rank is 91.9 (healthy: 10 or more)",
        "2% of the examples have no box (healthy: at most 50%)",
        "10% of the boxes are whole images (healthy: at most 90%)",
        "kNN rose from 10.0% to 20.0%",
    )
    assert str(verdict).startswith("Verdict: healthy: the loss fell")


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"z_std": {1: 0.99, 10: 0.05}}, "collapsing to a point"),
        ({"rank": {1: 90, 10: 1.3}}, "hardly any dimension"),
        ({"loss": {1: -0.5, 2: -0.4}}, "the loss did not fall, from -0.500 to -0.400"),
        ({"loss": {1: -0.5, 2: math.nan}}, "the loss is not finite"),
        ({"loss": {}}, "no epoch was finished"),
        ({"no_box": {1: 0, 10: 0.8}}, "plain random crops"),
        ({"whole_image": {10: 0.95}}, "does not suit the data"),
        ({"z_std": {10: math.nan}}, "z-std is nan"),
    ],
)
def test_each_fault_is_named_first(change: dict, fault: str):
    verdict = judge_run(GOOD | change)
    assert not verdict.healthy
    assert len(verdict.faults) == 1
    assert fault in verdict.faults[0]
    assert str(verdict).startswith(f"Verdict: not healthy: {verdict.faults[0]}")


def test_a_knn_that_does_not_rise_is_said_and_no_fault():
    verdict = judge_run(GOOD | {"knn": {0: 0.2, 10: 0.1}})
    assert verdict.healthy
    assert verdict.remarks[-1] == "kNN fell from 20.0% to 10.0%"
    assert judge_run(GOOD | {"knn": {0: 0.8206, 10: 0.8207}}).remarks[-1] == "kNN stayed at 82.1%"


@pytest.mark.parametrize(("value", "inside"), [(0.5, True), (1.1, True), (0.49, False), (1.11, False)])
def test_the_ends_of_a_range_are_healthy(value: float, inside: bool):
    assert HEALTHY["z_std"].contains(value) == inside


PAIRS = dict(boxes=4.0, no_box=0.1, whole_image=0.0, common=0.9, common_at_random=0.4, found=0.5, pairs=64)


def test_pairs_and_clusters_are_judged_without_labels():
    verdict = judge_pairs(**PAIRS)
    assert verdict.healthy
    assert verdict.remarks[0] == "4.0 clusters an image"
    assert "90% of the pairs around clusters share one, 40% of random crops" in verdict.remarks
    assert "50% of the views find their partner among 64 (chance 1.6%)" in verdict.remarks


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (dict(found=1 / 64), "do not tell images apart"),
        (dict(common=0.3), "localization gains nothing"),
        (dict(no_box=0.6), "plain random crops"),
        (dict(whole_image=1.0), "does not suit the data"),
    ],
)
def test_what_is_wrong_with_pairs_is_named(change: dict, fault: str):
    verdict = judge_pairs(**(PAIRS | change))
    assert len(verdict.faults) == 1
    assert fault in verdict.faults[0]
