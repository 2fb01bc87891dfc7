"""Average precision of hand-made detections."""

import hand_made
import numpy as np
import pytest

from ccrop.projects.detection_transfer.average_precision import (
    AREAS,
    SUFFIXES,
    average_precision,
    describe_counts,
    evaluate,
    object_counts,
)

TINY, SMALL, MEDIUM, LARGE = (10, 10, 8, 8), (50, 10, 20, 20), (100, 10, 50, 50), (200, 100, 150, 150)
NAMES = {1: "car", 2: "van"}


def metrics_of(objects, boxes, min_objects=50) -> dict[str, float]:
    """Figures of one image and one category, whose detections have falling scores."""
    truth = hand_made.truth([(7, 3, box) for box in objects], {3: "car"}, [7])
    found = hand_made.found([(7, 3, box, 0.9 - 0.1 * i) for i, box in enumerate(boxes)])
    return average_precision(evaluate(truth, found, [7]), min_objects)


def test_perfect_detections_are_perfect_in_every_size():
    boxes = (TINY, SMALL, MEDIUM, LARGE)
    metrics = metrics_of(boxes, boxes, min_objects=1)
    by_size = {f"{name}{suffix}" for name in ("AP", "AP50") for suffix in SUFFIXES.values()}
    assert set(metrics) == by_size | {f"{name}_counted" for name in by_size} | {"AP75", "AR_S"}
    assert all(value == pytest.approx(1) for value in metrics.values())


def test_a_size_without_objects_has_no_figure():
    metrics = metrics_of([MEDIUM], [MEDIUM], min_objects=0)
    assert metrics["AP_M"] == metrics["AP_M_counted"] == pytest.approx(1)
    assert all(np.isnan(metrics[name]) for name in ("AP_S", "AP_S_counted", "AP_tiny", "AP_16-32", "AP_L", "AR_S"))


def test_only_tiny_is_missed():
    metrics = metrics_of((TINY, SMALL, MEDIUM), (SMALL, MEDIUM))
    assert metrics["AP_tiny"] == metrics["AP50_tiny"] == 0
    assert metrics["AP_16-32"] == metrics["AP_M"] == pytest.approx(1)
    # one of two small objects at precision 1: recall 0 to 0.5 of 101 points
    assert metrics["AP_S"] == pytest.approx(51 / 101)
    assert metrics["AR_S"] == pytest.approx(0.5)


def test_a_shifted_box_counts_up_to_its_iou():
    shifted = (SMALL[0] + 3, *SMALL[1:])  # IoU 17 / 23 = 0.739: found at 0.5, 0.55, ..., 0.7
    metrics = metrics_of([SMALL], [shifted])
    assert metrics["AP50"] == metrics["AP50_S"] == pytest.approx(1)
    assert metrics["AP75"] == 0
    assert metrics["AP_S"] == pytest.approx(0.5)


def test_a_false_detection_above_halves_the_precision():
    assert metrics_of([SMALL], [(300, 300, 20, 20), SMALL])["AP_S"] == pytest.approx(0.5)


def test_no_detection_at_all_is_zero():
    metrics = metrics_of([SMALL], [])
    assert metrics["AP"] == metrics["AP_S"] == metrics["AR_S"] == 0


def iou(a, b) -> float:
    width = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    height = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    overlap = max(width, 0) * max(height, 0)
    return overlap / (a[2] * a[3] + b[2] * b[3] - overlap)


def plain_precision(objects, detections, category: int, size: tuple[float, float], threshold: float) -> float:
    """Interpolated average precision of one category and size, one detection after the other."""

    def inside(box) -> bool:
        return size[0] <= box[2] * box[3] <= size[1]

    own = [(image, box) for image, number, box in objects if number == category]
    total = sum(inside(box) for _, box in own)
    taken, curve, hits, false = set(), [], 0, 0
    ranked = sorted((each for each in detections if each[1] == category), key=lambda each: -each[3])
    for image, _, box, _ in ranked:
        options = [
            (inside(other), iou(box, other), place)
            for place, (where, other) in enumerate(own)
            if where == image and place not in taken and iou(box, other) >= threshold
        ]
        if options:  # an object of the size before one of another size
            of_size, _, place = max(options)
            taken.add(place)
            hits += of_size
        else:
            of_size = inside(box)
            false += of_size
        if of_size:
            curve.append((hits / total, hits / (hits + false)))
    points = np.linspace(0, 1, 101)  # COCO's, as they are rounded
    return sum(max((p for recall, p in curve if recall >= r), default=0.0) for r in points) / 101


@pytest.mark.parametrize("seed", range(3))
def test_many_images_and_categories_against_plain_python(seed: int):
    objects, detections = hand_made.some_scenes(seed)
    evaluation = evaluate(hand_made.truth(objects, NAMES, range(1, 13)), hand_made.found(detections), range(1, 13))
    metrics = average_precision(evaluation, min_objects=14)
    small = {number: sum(c == number and b[2] * b[3] <= 1024 for _, c, b in objects) for number in NAMES}
    thresholds = [0.5 + 0.05 * i for i in range(10)]
    for size in ("all", "small", "medium"):
        by_category = {
            number: [plain_precision(objects, detections, number, AREAS[size], each) for each in thresholds]
            for number in NAMES
        }
        suffix = SUFFIXES[size]
        assert metrics[f"AP{suffix}"] == pytest.approx(np.mean(list(by_category.values())))
        assert metrics[f"AP50{suffix}"] == pytest.approx(np.mean([each[0] for each in by_category.values()]))
        if size == "small":
            (enough,) = (by_category[number] for number, count in small.items() if count >= 14)
            assert metrics["AP_S_counted"] == pytest.approx(np.mean(enough))
            assert metrics["AP50_S_counted"] == pytest.approx(enough[0])


def test_a_rare_category_weighs_as_much_as_another_unless_it_is_not_counted():
    cars = [(7, 1, (20 * i, 10, 12, 12)) for i in range(15)]
    van = (7, 2, (10, 100, 20, 20))
    truth = hand_made.truth([*cars, van], NAMES, [7])
    found = hand_made.found([(*each, 0.9) for each in cars])
    evaluation = evaluate(truth, found, [7])
    assert average_precision(evaluation)["AP_S"] == pytest.approx(0.5)
    for number, expected in ((1, 0.5), (2, 1.0), (15, 1.0)):
        assert average_precision(evaluation, number)["AP_S_counted"] == pytest.approx(expected)
    assert np.isnan(average_precision(evaluation, 16)["AP_S_counted"])


def test_counts_are_of_the_tested_images_and_of_no_crowd():
    objects = [(1, 1, TINY), (1, 1, SMALL), (1, 1, MEDIUM), (1, 2, LARGE), (2, 1, SMALL)]
    truth = hand_made.truth(objects, NAMES, [1, 2])
    truth.anns[1]["iscrowd"] = 1
    counts = object_counts(evaluate(truth, hand_made.found([]), [1]))
    assert list(AREAS) == ["all", "small", "medium", "large", "tiny", "16-32"]
    assert counts.tolist() == [[2, 1, 1, 0, 1, 0], [1, 0, 0, 1, 0, 0]]


def test_the_line_says_what_counts_and_what_does_not():
    objects = np.array([[130, 60, 70, 0, 20, 40], [58, 8, 50, 0, 8, 0]])
    assert describe_counts(["car", "van"], objects, 50) == (
        "Objects, small/medium/large: car 60/70/0, van 8/50/0; *_counted average categories with at least 50 of the "
        "size: small: car, without van (8); medium: car, van; large: none"
    )


def test_an_object_whose_annotation_has_id_0_can_be_found():
    truth = hand_made.truth([(7, 3, SMALL)], {3: "car"}, [7])
    assert list(truth.anns) == [0]
    evaluation = evaluate(truth, hand_made.found([(7, 3, SMALL, 0.5)]), [7])
    assert average_precision(evaluation)["AP_S"] == pytest.approx(1)
