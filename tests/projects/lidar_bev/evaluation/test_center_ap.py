import math

import numpy as np
import pytest

from ccrop.projects.lidar_bev.evaluation.center_ap import (
    THRESHOLDS,
    Detections,
    Truth,
    center_metrics,
    within_points,
    within_range,
)

NOT_COUNTED = np.zeros(1, bool)


def boxes_at(*centers, size=(4.0, 2.0, 1.5), heading=0.0):
    rows = [[*center, 0.0, *size, heading] for center in centers]
    return np.array(rows, dtype=float).reshape(-1, 7)


def truth_at(*centers, label=0, **kwargs):
    boxes = boxes_at(*centers, **kwargs)
    return Truth(boxes, np.full(len(boxes), label))


def detections_at(*centers, scores, label=0, **kwargs):
    return Detections(boxes_at(*centers, **kwargs), np.array(scores, dtype=float), np.full(len(centers), label))


def metrics(truth, found, **kwargs):
    return center_metrics([truth], [found], 0, **kwargs)


def nuscenes_by_loops(truths, detections, label, threshold, error_of):
    """AP and the mean of an error as the paper and its appendix describe them, object by object."""
    entries = []
    for sweep, found in enumerate(detections):
        for box, score, own in zip(found.boxes, found.scores, found.labels, strict=True):
            if own == label:
                entries.append((score, sweep, box))
    entries.sort(key=lambda entry: -entry[0])
    positives = sum(int((truth.labels == label).sum()) for truth in truths)
    taken, right, errors = set(), [], []
    for _, sweep, box in entries:
        best, nearest = None, math.inf
        for number, (other, own) in enumerate(zip(truths[sweep].boxes, truths[sweep].labels, strict=True)):
            distance = math.hypot(box[0] - other[0], box[1] - other[1])
            if own == label and (sweep, number) not in taken and distance < nearest:
                best, nearest = number, distance
        if nearest < threshold:
            taken.add((sweep, best))
            right.append(1)
            errors.append(error_of(box, truths[sweep].boxes[best]))
        else:
            right.append(0)
    true = np.cumsum(right)
    recall, precision = true / positives, true / np.arange(1, len(right) + 1)
    scores = np.array([entry[0] for entry in entries])
    grid = np.linspace(0, 1, 101)
    at = np.interp(grid, recall, precision, right=0)
    ap = np.mean([max(value - 0.1, 0) / 0.9 for value in at[11:]])
    score_at = np.interp(grid, recall, scores, right=0)
    means = [np.mean(errors[: i + 1]) for i in range(len(errors))]
    matched = scores[np.array(right) == 1]
    if not errors:
        return ap, 1.0
    error_at = np.interp(score_at[::-1], matched[::-1], means[::-1])[::-1]
    last = max((i for i in range(101) if score_at[i] > 0), default=0)
    return ap, (np.mean(error_at[11 : last + 1]) if last >= 11 else 1.0)


def random_sweeps(rng, number=8):
    truths, detections = [], []
    for _ in range(number):
        count = rng.integers(0, 9)
        boxes = np.column_stack(
            [rng.uniform(-30, 30, (count, 3)), rng.uniform(1, 5, (count, 3)), rng.uniform(-3, 3, count)]
        )
        labels = rng.integers(0, 2, count)
        noisy = boxes + rng.normal(0, 0.7, boxes.shape) * [1, 1, 1, 0.1, 0.1, 0.1, 0.3]
        wrong = np.column_stack([rng.uniform(-30, 30, (4, 3)), np.ones((4, 4))])
        found = np.concatenate([noisy[rng.random(count) < 0.8], noisy[:2], wrong])
        chosen = rng.permutation(len(found))
        truths.append(Truth(boxes, labels))
        detections.append(Detections(found[chosen], rng.random(len(found)), rng.integers(0, 2, len(found))))
    return truths, detections


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("threshold", THRESHOLDS)
def test_equals_the_definition_by_loops(seed, threshold):
    truths, detections = random_sweeps(np.random.default_rng(seed))
    for label in (0, 1):
        found = center_metrics(truths, detections, label)
        ap, _ = nuscenes_by_loops(truths, detections, label, threshold, lambda a, b: 0.0)
        assert found.ap[threshold] == pytest.approx(ap)

        def distance(a, b):
            return math.hypot(a[0] - b[0], a[1] - b[1])

        def turned(a, b):
            return abs((a[6] - b[6] + math.pi) % (2 * math.pi) - math.pi)

        assert found.translation == pytest.approx(nuscenes_by_loops(truths, detections, label, 2.0, distance)[1])
        assert found.heading == pytest.approx(nuscenes_by_loops(truths, detections, label, 2.0, turned)[1])


def test_perfect_detections():
    found = metrics(truth_at((5, 5), (20, 0)), detections_at((5, 5), (20, 0), scores=[0.9, 0.4]))
    assert found.ap == dict.fromkeys(THRESHOLDS, 1.0)
    assert found.mean_ap == 1
    assert (found.translation, found.scale, found.heading) == (0, 0, 0)
    assert found.num_objects == 2


def test_distance_decides_not_size():
    truth = truth_at((10, 0))
    for size in ((0.1, 0.1, 0.1), (10, 10, 10)):
        found = metrics(truth, detections_at((11.5, 0), scores=[1], size=size))
        assert found.ap == {0.5: 0, 1.0: 0, 2.0: 1, 4.0: 1}
    # nearer than the threshold, not as near
    assert metrics(truth, detections_at((12, 0), scores=[1])).ap == {0.5: 0, 1.0: 0, 2.0: 0, 4.0: 1}


def test_one_of_two_found_by_hand():
    # recall reaches 0.5 with precision 1: recalls 0.11 to 0.50 count 1, those beyond 0
    found = metrics(truth_at((0, 9), (0, 20)), detections_at((0, 9), scores=[0.5]))
    assert found.ap[2.0] == pytest.approx(40 / 90)


def test_a_surer_wrong_detection_by_hand():
    found = metrics(truth_at((0, 9)), detections_at((0, 30), (0, 9), scores=[0.9, 0.5]))
    # recall 0 with precision 0, then recall 1 with precision 1/2, linear between them
    expected = np.mean([max(0.5 * r / 100 - 0.1, 0) / 0.9 for r in range(11, 101)])
    assert found.ap[2.0] == pytest.approx(expected)


def test_each_object_is_found_once_by_the_surest():
    twice = metrics(truth_at((0, 9)), detections_at((0.4, 9), (0, 9), scores=[0.9, 0.8]))
    assert twice.ap[2.0] == pytest.approx((89 + 0.4 / 0.9) / 90)  # the second one lowers the precision at full recall
    assert twice.translation == pytest.approx(0.4)


def test_classes_do_not_mix_and_sweeps_do_not_either():
    found = center_metrics([truth_at((0, 9), label=1)], [detections_at((0, 9), scores=[1], label=0)], 1)
    assert found.mean_ap == 0
    truths = [truth_at((0, 9)), truth_at()]
    swapped = [detections_at(scores=[]), detections_at((0, 9), scores=[1])]
    assert center_metrics(truths, swapped, 0).mean_ap == 0


def test_errors_by_hand():
    truth = truth_at((10, 0), size=(4, 2, 1.5), heading=3.0)
    found = metrics(truth, detections_at((10.3, 0.4), scores=[1], size=(2, 2, 3), heading=-3.0))
    assert found.translation == pytest.approx(0.5)
    assert found.scale == pytest.approx(1 - 6 / (12 + 12 - 6))
    assert found.heading == found.axis == pytest.approx(2 * math.pi - 6)
    assert metrics(truth, detections_at((10, 0), scores=[1], heading=1.0)).axis == pytest.approx(math.pi - 2)
    turned = detections_at((10, 0), scores=[1], heading=3.0 - math.pi)
    assert metrics(truth, turned).heading == pytest.approx(math.pi)
    assert metrics(truth, turned).axis == pytest.approx(0, abs=1e-9)


def test_nothing_found_and_nothing_there():
    nothing = detections_at(scores=[])
    found = metrics(truth_at((0, 9)), nothing)
    assert (found.mean_ap, found.translation, found.scale, found.heading) == (0, 1, 1, 1)
    for detections in (nothing, detections_at((0, 9), scores=[1])):
        found = metrics(truth_at(), detections)
        assert found.num_objects == 0
        assert np.isnan([found.mean_ap, found.translation, found.scale, found.heading]).all()
    assert np.isnan(center_metrics([], [], 0).mean_ap)


def test_detections_of_what_does_not_count_are_neither_right_nor_wrong():
    truth = truth_at((0, 9), (0, 30))
    found = detections_at((0, 30), (0, 60), (0, 9), scores=[0.9, 0.8, 0.7])
    assert metrics(truth, found).ap[2.0] < 1
    near = within_range([truth], [found], 0, 20)
    assert center_metrics(*near, 0).ap[2.0] == 1
    assert center_metrics(*near, 0).num_objects == 1
    far = center_metrics(*within_range([truth], [found], 20, 40), 0)
    assert (far.num_objects, far.ap[2.0]) == (1, 1)
    beyond = center_metrics(*within_range([truth], [found], 50, 90), 0)
    assert beyond.num_objects == 0


def test_a_detection_across_the_border_of_a_range_is_right():
    truth, found = truth_at((19.5, 0)), detections_at((20.5, 0), scores=[1])
    assert center_metrics(*within_range([truth], [found], 0, 20), 0).ap[2.0] == 1
    assert center_metrics(*within_range([truth], [found], 20, 40), 0).num_objects == 0


def test_bins_by_points():
    truth = truth_at((0, 9), (0, 30))
    found = detections_at((0, 9), (0, 60), (0, 30), scores=[0.9, 0.8, 0.7])
    points = ([np.array([50, 3])], [np.array([40, 0, 5])])
    many = center_metrics(*within_points([truth], [found], *points, 20, 10**6), 0)
    assert (many.num_objects, many.mean_ap) == (1, 1)
    few = center_metrics(*within_points([truth], [found], *points, 1, 20), 0)
    assert (few.num_objects, few.mean_ap) == (1, 1)
    some = center_metrics(*within_points([truth], [found], *points, 0, 20), 0)
    assert some.mean_ap < 0.5  # the one without a point counts as wrong
    assert truth.counted is None


def test_refuses_lists_of_different_lengths():
    with pytest.raises(ValueError, match="1 sweeps have ground truth and 0 have detections"):
        center_metrics([truth_at()], [], 0)


@pytest.mark.parametrize("seed", range(3))
def test_equals_nuscenes_devkit(seed):
    """Where it is installed."""
    algo = pytest.importorskip("nuscenes.eval.detection.algo")
    from nuscenes.eval.common.data_classes import EvalBoxes
    from nuscenes.eval.common.utils import center_distance
    from nuscenes.eval.detection.data_classes import DetectionBox

    def as_theirs(box, sweep, score):
        x, y, z, dx, dy, dz, heading = box.tolist()
        rotation = (math.cos(heading / 2), 0, 0, math.sin(heading / 2))
        return DetectionBox(
            sample_token=str(sweep),
            translation=(x, y, z),
            size=(dy, dx, dz),
            rotation=rotation,
            detection_name="car",
            detection_score=float(score),
            attribute_name="vehicle.moving",
        )

    truths, detections = random_sweeps(np.random.default_rng(seed))
    theirs, found = EvalBoxes(), EvalBoxes()
    for sweep, (truth, each) in enumerate(zip(truths, detections, strict=True)):
        own = truth.boxes[truth.labels == 0]
        theirs.add_boxes(str(sweep), [as_theirs(box, sweep, -1) for box in own])
        chosen = each.labels == 0
        scored = zip(each.boxes[chosen], each.scores[chosen], strict=True)
        found.add_boxes(str(sweep), [as_theirs(box, sweep, score) for box, score in scored])
    ours = center_metrics(truths, detections, 0)
    for threshold in THRESHOLDS:
        data = algo.accumulate(theirs, found, "car", center_distance, threshold)
        assert ours.ap[threshold] == pytest.approx(algo.calc_ap(data, 0.1, 0.1))
    data = algo.accumulate(theirs, found, "car", center_distance, 2.0)
    for name, value in (("trans_err", ours.translation), ("scale_err", ours.scale), ("orient_err", ours.heading)):
        assert value == pytest.approx(algo.calc_tp(data, 0.1, name))
