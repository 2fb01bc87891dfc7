"""The best F1 score against greedy matching in plain Python, at every threshold."""

import hand_made
import numpy as np
import pytest

from ccrop.projects.detection_transfer.average_precision import evaluate
from ccrop.projects.detection_transfer.coco_metric import annotated
from ccrop.projects.detection_transfer.operating_point import best_f1, described, main

NAMES = {1: "car", 2: "van", 3: "bus"}
IMAGES = range(1, 13)


def point_of(objects, detections):
    return best_f1(evaluate(hand_made.truth(objects, NAMES, IMAGES), hand_made.found(detections), IMAGES))


def overlap(first, second):
    width, height = (
        max(0, min(first[axis] + first[axis + 2], second[axis] + second[axis + 2]) - max(first[axis], second[axis]))
        for axis in (0, 1)
    )
    return width * height / (first[2] * first[3] + second[2] * second[3] - width * height)


def hits_of(objects, detections):
    """Of detections, best score first, how many hit an object of their image and category that no other has hit."""
    left, hits = list(objects), 0
    for image, category, box, _ in detections:
        near = [each for each in left if each[:2] == (image, category) and overlap(each[2], box) >= 0.5]
        if near:
            left.remove(max(near, key=lambda each: overlap(each[2], box)))
            hits += 1
    return hits


@pytest.mark.parametrize("seed", range(4))
def test_no_threshold_has_a_better_f1_score(seed: int):
    objects, detections = hand_made.some_scenes(seed)
    detections.append((1, 3, (5, 5, 20, 20), 0.99))  # of a category without any object: false all the same
    detections.sort(key=lambda each: -each[3])
    expected = []
    for number in range(1, len(detections) + 1):
        hits = hits_of(objects, detections[:number])
        f1 = 2 * hits / (number + len(objects))
        expected.append((f1, detections[number - 1][3], hits / number, hits / len(objects)))
    f1, score, precision, recall = max(expected, key=lambda each: each[0])
    point = point_of(objects, detections)
    assert (point.f1, *point) == pytest.approx((f1, score, precision, recall))


def test_detections_of_one_score_are_kept_or_dropped_together():
    box, other = (10, 10, 20, 20), (100, 100, 20, 20)
    detections = [(2, 1, box, 0.5), (2, 1, other, 0.5), (3, 1, box, 0.9)]
    point = point_of([(2, 1, box), (3, 1, box)], detections)
    assert point == pytest.approx((0.5, 2 / 3, 1))
    assert "80.0% (precision 66.7%, recall 100.0%)" in described(point)
    assert "--min-score 0.50" in described(point)


def test_the_option_keeps_the_detections_that_the_line_counts():
    box = (10, 10, 20, 20)
    assert "--min-score 0.45" in described(point_of([(2, 1, box)], [(2, 1, box, 0.459)]))


def test_nothing_is_said_without_a_hit():
    assert point_of([(2, 1, (10, 10, 20, 20))], []) is None
    assert point_of([(2, 1, (10, 10, 20, 20))], [(2, 1, (300, 10, 20, 20), 0.9)]) is None


def test_the_command_prints_the_point_of_a_finished_run(tmp_path, capsys):
    objects, detections = hand_made.some_scenes(0)
    truth, found = hand_made.truth(objects, NAMES, IMAGES), hand_made.found(detections)
    np.savez(tmp_path / "detections.npz", images=np.array(IMAGES), objects=annotated(truth, list(IMAGES)), found=found)
    expected = described(point_of(objects, detections))
    capsys.readouterr()
    assert main([str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"{tmp_path}: {expected}\n"
    assert main([str(tmp_path / "elsewhere")]) != 0
