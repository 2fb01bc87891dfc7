"""Figures of resampled images against COCO's of the same images copied out, and what must hold for any detector."""

import hand_made
import numpy as np
import pytest

from ccrop.projects.detection_transfer.average_precision import AREAS, average_precision, evaluate
from ccrop.projects.detection_transfer.resampled_metrics import outcomes_of, resampled_metrics, resampled_precision

NAMES = {1: "car", 2: "van"}
IMAGES = range(1, 13)
SMALL = list(AREAS).index("small")


def evaluation_of(objects, detections):
    return evaluate(hand_made.truth(objects, NAMES, IMAGES), hand_made.found(detections), IMAGES)


def copied(draw, rows):
    """Rows of the images that a resample draws, under a new image id for each draw."""
    places = [image for image, times in zip(IMAGES, draw, strict=True) for _ in range(times)]
    return [(new, *row[1:]) for new, image in enumerate(places, 1) for row in rows if row[0] == image]


@pytest.mark.parametrize("seed", range(3))
def test_a_resample_is_what_coco_says_of_its_images_copied_out(seed: int):
    objects, detections = hand_made.some_scenes(seed)
    evaluation = evaluation_of(objects, detections)
    draws = np.random.default_rng(seed).multinomial(12, np.full(12, 1 / 12), size=6)
    assert (draws > 1).any()
    assert (draws == 0).any()
    recalls = np.linspace(0, 1, 101)
    for category in range(2):
        found = resampled_precision(outcomes_of(evaluation, category, "small"), draws, recalls)
        for column, draw in enumerate(draws):
            slow = evaluation_of(copied(draw, objects), copied(draw, detections))
            expected = slow.eval["precision"][:, :, category, SMALL, -1].mean(axis=1)
            assert (expected >= 0).all()  # else the category has no object in the resample
            assert found[:, column] == pytest.approx(expected, abs=1e-12)


def test_a_resample_without_objects_has_no_precision():
    evaluation = evaluation_of([(2, 1, (10, 10, 20, 20))], [(2, 1, (10, 10, 20, 20), 0.9), (3, 1, (0, 0, 9, 9), 0.8)])
    draws = np.array([[0, 1, *[0] * 10], [0, 0, 1, *[0] * 9]])
    found = resampled_precision(outcomes_of(evaluation, 0, "small"), draws, np.linspace(0, 1, 101))
    assert (found[:, 0] == 1).all()
    assert np.isnan(found[:, 1]).all()


def test_the_first_figures_are_those_of_the_images_as_they_are():
    evaluation = evaluation_of(*hand_made.some_scenes(4))
    for min_objects in (1, 15):  # all of the categories, and one of them
        found, expected = resampled_metrics(evaluation, min_objects, 5), average_precision(evaluation, min_objects)
        for name in ("AP_S_counted", "AP50_S_counted"):
            assert found[name].shape == (6,)
            assert found[name][0] == pytest.approx(expected[name])
    assert average_precision(evaluation, 15)["AP_S_counted"] != average_precision(evaluation, 1)["AP_S_counted"]
    assert np.isnan(resampled_metrics(evaluation, 500, 5)["AP_S_counted"]).all()


def test_the_same_detector_differs_by_nothing_and_a_better_one_in_every_resample():
    objects, detections = hand_made.some_scenes(5)
    half = [each for number, each in enumerate(detections) if number % 2]
    first, again, worse = (
        resampled_metrics(evaluation_of(objects, each), 1, 300) for each in (detections, detections, half)
    )
    perfect = resampled_metrics(evaluation_of(objects, [(*each, 0.9) for each in objects]), 1, 300)
    for name in first:
        assert (first[name] - again[name] == 0).all()
        assert np.allclose(perfect[name], 1)
        assert np.quantile(first[name] - worse[name], 0.025) > 0


def test_the_spread_is_that_of_the_mean_over_images():
    """With one object an image, found or not at precision 1, AP50 is the fraction of found ones: a binomial."""
    objects = [(image, 1, (10, 10, 20, 20)) for image in range(1, 201)]
    images = range(1, 201)
    truth = hand_made.truth(objects, {1: "car"}, images)
    evaluation = evaluate(truth, hand_made.found([(*each, 0.9) for each in objects[:120]]), images)
    drawn = resampled_metrics(evaluation, 50, 2000)["AP50_S_counted"][1:]
    assert drawn.mean() == pytest.approx(0.6, abs=0.01)
    assert drawn.std() == pytest.approx((0.6 * 0.4 / 200) ** 0.5, rel=0.08)
