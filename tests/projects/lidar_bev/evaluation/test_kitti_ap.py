import numpy as np
import pytest

from ccrop.projects.lidar_bev.datasets.kitti_format import KittiObjects, read_calibration, read_objects
from ccrop.projects.lidar_bev.evaluation.kitti_ap import Frame, ap_r40, kitti_ap, num_counted, recall_thresholds


def objects(*places, names=None, scores=None, height=50.0, occluded=0, truncated=0.0, shift=0.0):
    """Cars 4 x 2 x 1.5 m at these x, y, ``height`` pixels high in the image."""
    number = len(places)
    boxes = np.array([[x + shift, y, 0, 4, 2, 1.5, 0] for x, y in places], dtype=float).reshape(-1, 7)
    return KittiObjects(
        names=names or ["Car"] * number,
        boxes=boxes,
        image_boxes=np.tile([0, 0, 80, height], (number, 1)),
        truncated=np.full(number, truncated),
        occluded=np.full(number, occluded),
        scores=np.ones(number) if scores is None else np.array(scores, dtype=float),
    )


PLACES = [(10, 0), (20, 5), (30, -5), (40, 8)]


def test_perfect_results():
    labels, results = [objects(*PLACES)], [objects(*PLACES, scores=[0.9, 0.8, 0.7, 0.6])]
    for view in ("bev", "3d"):
        for difficulty in ("easy", "moderate", "hard"):
            # with few objects the highest recall has few thresholds: see below
            assert kitti_ap(labels, results, "Car", difficulty, view) == pytest.approx(ap_of_perfect(4))


def ap_of_perfect(number):
    """AP of ``number`` objects that are all found: a threshold an object, the first of them at recall 0."""
    return min(number - 1, 40) / 40 * 100


def test_many_perfect_results_give_full_marks():
    places = [(5 * i, 10 * j) for i in range(10) for j in range(6)]
    results = objects(*places, scores=np.linspace(1, 0.1, 60))
    assert kitti_ap([objects(*places)], [results], "Car") == pytest.approx(100)


def test_half_found_by_hand():
    places = [(5 * i, 10 * j) for i in range(10) for j in range(8)]
    results = objects(*places[:40], scores=np.linspace(1, 0.1, 40))
    # every second of 80 objects is at a threshold: recalls 1/40 to 20/40, give or take one for the first at recall 0
    assert kitti_ap([objects(*places)], [results], "Car") == pytest.approx(50, abs=2.51)


def test_overlap_must_exceed_the_threshold():
    # moved by s along 4 m, the IoU is (4 - s) / (4 + s): 0.7 at 0.706 m
    labels = [objects(*PLACES)]
    for shift, expected in [(0.6, ap_of_perfect(4)), (0.8, 0)]:
        assert kitti_ap(labels, [objects(*PLACES, shift=shift)], "Car", view="bev") == pytest.approx(expected)
    assert kitti_ap(labels, [objects(*PLACES, shift=0.8)], "Car", min_iou=0.5) == pytest.approx(ap_of_perfect(4))


def test_wrong_detections_lower_the_precision():
    wrong = [(10, 40), (20, 40), (30, 40), (40, 40)]
    labels = [objects(*PLACES)]
    below = objects(*PLACES, *wrong, scores=[0.9, 0.8, 0.7, 0.6, 0.1, 0.1, 0.1, 0.1])
    above = objects(*PLACES, *wrong, scores=[0.9, 0.8, 0.7, 0.6, 1, 1, 1, 1])
    assert kitti_ap(labels, [below], "Car") == pytest.approx(ap_of_perfect(4))
    # the best precision, with all four found, is 4 of 8
    assert kitti_ap(labels, [above], "Car") == pytest.approx(ap_of_perfect(4) / 2)


@pytest.mark.parametrize(
    ("kwargs", "counted"),
    [
        (dict(height=50), "easy moderate hard"),
        (dict(height=30), "moderate hard"),
        (dict(height=25), ""),
        (dict(occluded=1), "moderate hard"),
        (dict(occluded=2), "hard"),
        (dict(occluded=3), ""),
        (dict(truncated=0.2), "moderate hard"),
        (dict(truncated=0.4), "hard"),
        (dict(truncated=0.6), ""),
    ],
)
def test_difficulties_decide_what_counts(kwargs, counted):
    labels, results = [objects(*PLACES, **kwargs)], [objects(*PLACES)]
    for difficulty in ("easy", "moderate", "hard"):
        ap = kitti_ap(labels, results, "Car", difficulty)
        if difficulty in counted.split():
            assert ap == pytest.approx(ap_of_perfect(4))
        else:
            assert np.isnan(ap)


def test_neighbors_and_low_detections_are_ignored():
    labels = [objects(*PLACES, (50, 0), names=["Car"] * 4 + ["Van"])]
    on_van = objects(*PLACES, (50, 0), scores=[0.9, 0.8, 0.7, 0.6, 1.0])
    assert kitti_ap(labels, [on_van], "Car") == pytest.approx(ap_of_perfect(4))
    on_tram = [objects(*PLACES, (50, 0), names=["Car"] * 4 + ["Tram"])]
    assert kitti_ap(on_tram, [on_van], "Car") < ap_of_perfect(4)
    low = on_van._replace(image_boxes=np.array([[0, 0, 80, 50]] * 4 + [[0, 0, 80, 20]]))
    assert kitti_ap(on_tram, [low], "Car") == pytest.approx(ap_of_perfect(4))


def test_a_low_detection_of_another_class_takes_the_object_that_it_matches_best():
    """The benchmark ignores every detection that is too low, before it looks at its class."""
    labels = [objects(*PLACES)]
    scores = [0.9, 0.8, 0.7, 0.6, 1.0]
    results = objects(*PLACES, PLACES[0], names=["Car"] * 4 + ["Van"], scores=scores)
    assert kitti_ap(labels, [results], "Car") == pytest.approx(ap_of_perfect(4))
    low = results._replace(image_boxes=np.array([[0, 0, 80, 50]] * 4 + [[0, 0, 80, 20]]))
    assert kitti_ap(labels, [low], "Car") == pytest.approx(ap_of_perfect(3))


def thresholds_by_definition(scores, num_objects):
    """The benchmark's thresholds: the recall that is wanted next grows by 1/40 with each one."""
    falling = sorted(scores, reverse=True)
    chosen, current_recall = [], 0.0
    for i in range(len(falling)):
        left = (i + 1) / num_objects
        right = (i + 2) / num_objects if i < len(falling) - 1 else left
        if right - current_recall < current_recall - left and i < len(falling) - 1:
            continue
        chosen.append(falling[i])
        current_recall += 1.0 / 40.0
    return chosen[:41]


@pytest.mark.parametrize("missed", [0, 1, 7])
def test_thresholds_are_the_benchmarks_for_every_number_of_objects(missed):
    products = 0  # of how many set sizes a multiple of 1/40 instead of the sum gives other thresholds
    for number in range(missed + 1, 400):
        scores = [(37 * i % number) / number for i in range(number - missed)]
        expected = thresholds_by_definition(scores, number)
        assert recall_thresholds(np.array(scores), number).tolist() == expected, number
        products += expected != thresholds_of_products(scores, number)
    assert products > 100


def thresholds_of_products(scores, num_objects):
    falling, chosen = sorted(scores, reverse=True), []
    for i, score in enumerate(falling):
        wanted = len(chosen) / 40
        if i == len(falling) - 1 or (i + 2) / num_objects - wanted >= wanted - (i + 1) / num_objects:
            chosen.append(score)
    return chosen[:41]


def test_ap_is_the_benchmarks_for_every_number_of_objects():
    """Every third detection is wrong, so that another threshold gives another precision."""
    for number in range(2, 300, 3):
        wrong = number // 3
        scores = np.linspace(1, 0, number + wrong)
        right = np.arange(number + wrong) % 4 != 3
        right = np.flatnonzero(right)
        ious = np.zeros((number, number + wrong))
        ious[np.arange(number), right] = 0.9
        frame = Frame(ious, scores, np.zeros(number, bool), np.zeros(number + wrong, bool))
        precision = [0.0] * 41
        for k, threshold in enumerate(thresholds_by_definition(scores[right].tolist(), number)):
            shown = [score >= threshold for score in scores]
            precision[k] = sum(shown[j] for j in right) / sum(shown)
        expected = 100 * sum(max(precision[k:]) for k in range(1, 41)) / 40
        assert ap_r40([frame], 0.5) == pytest.approx(expected, abs=1e-9), number


def test_objects_that_count_and_the_ap_that_they_allow():
    for number in (1, 2, 25, 40, 41, 60):
        labels = [objects(*[(5 * i, 0) for i in range(number)])]
        assert num_counted(labels, "Car", "hard") == number
        found = [objects(*[(5 * i, 0) for i in range(number)], scores=np.linspace(1, 0.1, number))]
        assert kitti_ap(labels, found, "Car", "hard") == pytest.approx(min(number - 1, 40) / 40 * 100)
    mixed = [objects(*PLACES, names=["Car", "Van", "Car", "Tram"]), objects(*PLACES, height=30)]
    assert [num_counted(mixed, "Car", difficulty) for difficulty in ("easy", "moderate", "hard")] == [2, 6, 6]
    assert num_counted([objects(*PLACES, occluded=2)], "Car", "moderate") == 0


def test_recall_thresholds_by_hand():
    assert recall_thresholds(np.array([0.2, 0.8, 0.5]), 3).tolist() == [0.8, 0.5, 0.2]
    # 80 objects: recall rises by half a step, so every second score, the first one for recall 0
    scores = np.linspace(1, 0, 80)
    thresholds = recall_thresholds(scores, 80)
    assert len(thresholds) == 41
    assert thresholds[0] == scores[0]
    recalls = [(scores >= threshold).sum() / 80 for threshold in thresholds]
    np.testing.assert_allclose(recalls, np.linspace(0, 1, 41), atol=1 / 80 + 1e-9)
    assert len(recall_thresholds(np.zeros(0), 5)) == 0


def true_and_false_by_loops(frame, min_iou, threshold):
    """The benchmark's matching at one threshold, object by object and detection by detection."""
    assigned = [False] * len(frame.scores)
    true = false = 0
    for i, ignored in enumerate(frame.ignored_objects):
        best, best_iou, best_ignored = None, 0.0, False
        for j, score in enumerate(frame.scores):
            if assigned[j] or score < threshold or frame.ious[i, j] <= min_iou:
                continue
            if not frame.ignored_detections[j] and (frame.ious[i, j] > best_iou or best_ignored):
                best, best_iou, best_ignored = j, frame.ious[i, j], False
            elif frame.ignored_detections[j] and best is None:
                best, best_ignored = j, True
        if best is not None:
            assigned[best] = True
            true += not (ignored or frame.ignored_detections[best])
    for j, score in enumerate(frame.scores):
        false += not (assigned[j] or frame.ignored_detections[j] or score < threshold)
    return true, false


@pytest.mark.parametrize("seed", range(4))
def test_equals_the_benchmark_by_loops(seed):
    rng = np.random.default_rng(seed)
    frames = []
    for _ in range(25):
        m, d = rng.integers(0, 7), rng.integers(0, 12)
        # each detection overlaps one or two objects
        ious = rng.random((m, d)) * (rng.random((m, d)) < 0.4)
        frames.append(Frame(ious, rng.random(d).round(2), rng.random(m) < 0.3, rng.random(d) < 0.2))
    number = sum(int((~frame.ignored_objects).sum()) for frame in frames)
    true_scores = []
    for frame in frames:
        assigned = set()
        for i, ignored in enumerate(frame.ignored_objects):
            free = [j for j in range(len(frame.scores)) if j not in assigned and frame.ious[i, j] > 0.5]
            if free:
                best = max(free, key=lambda j: (frame.scores[j], -j))
                assigned.add(best)
                if not (ignored or frame.ignored_detections[best]):
                    true_scores.append(frame.scores[best])
    thresholds = thresholds_by_definition(true_scores, number)
    precision = np.zeros(41)
    for k, threshold in enumerate(thresholds):
        true, false = np.sum([true_and_false_by_loops(frame, 0.5, threshold) for frame in frames], axis=0)
        precision[k] = true / max(true + false, 1)
    expected = np.mean([precision[k:].max() for k in range(1, 41)]) * 100
    assert ap_r40(frames, 0.5) == pytest.approx(expected)
    assert 5 < expected < 95


def test_nothing_found():
    assert kitti_ap([objects(*PLACES)], [objects()], "Car") == 0
    assert np.isnan(kitti_ap([objects()], [objects(*PLACES)], "Car"))
    assert np.isnan(kitti_ap([], [], "Car"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(name="Tram"), "name must be one of Car, Pedestrian, Cyclist"),
        (dict(difficulty="all"), "difficulty must be one of easy"),
        (dict(view="2d"), "view must be 'bev' or '3d'"),
        (dict(results=[]), "1 frames have labels and 0 have results"),
    ],
)
def test_refuses_what_it_cannot_measure(arguments, message):
    with pytest.raises(ValueError, match=message):
        kitti_ap(**(dict(labels=[objects()], results=[objects()], name="Car") | arguments))


def test_real_labels_find_themselves(lidar_data):
    base = lidar_data / "kitti_track0000" / "training"
    files = sorted((base / "label_2").glob("*.txt"))
    labels = [read_objects(file, read_calibration(base / "calib" / file.name)) for file in files]
    assert kitti_ap(labels, labels, "Car", "moderate", "3d") == pytest.approx(100)
    moved = [each._replace(boxes=each.boxes + np.array([0.3, 0, 0, 0, 0, 0, 0.05])) for each in labels]
    assert 50 < kitti_ap(labels, moved, "Car", "moderate", "bev") <= 100
