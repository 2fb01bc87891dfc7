"""The metric in mmdet's test loop: its figures, its line, and the file that comparisons read."""

from pathlib import Path

import hand_made
import numpy as np
import pytest
from mmdet.evaluation import CocoMetric
from mmengine.logging import MMLogger

from ccrop.projects.detection_transfer.average_precision import average_precision, evaluate
from ccrop.projects.detection_transfer.coco_metric import SmallObjectMetric, detections

NAMES = {4: "car", 2: "van"}


def results(objects, found) -> list[tuple[dict, dict]]:
    """What the test loop collects of images 1 to 12, labels in the order of :data:`NAMES`."""
    labels = {category: label for label, category in enumerate(NAMES)}
    rows = []
    for image in range(1, 13):
        boxes = [(label, box, score) for where, label, box, score in found if where == image]
        corners = np.array([[x, y, x + w, y + h] for _, (x, y, w, h), _ in boxes], dtype=np.float32).reshape(-1, 4)
        prediction = dict(
            img_id=image,
            bboxes=corners,
            scores=np.array([score for *_, score in boxes], dtype=np.float32),
            labels=np.array([labels[category] for category, *_ in boxes], dtype=int),
        )
        rows.append((dict(img_id=image, width=400, height=400), prediction))
    return rows


def scenes(seed: int = 0):
    """:func:`hand_made.some_scenes` with the categories of :data:`NAMES`."""
    renamed = {1: 4, 2: 2}
    return ([(each[0], renamed[each[1]], *each[2:]) for each in side] for side in hand_made.some_scenes(seed))


def metric_of(objects, keep: Path | None = None, **settings) -> SmallObjectMetric:
    metric = SmallObjectMetric(keep=None if keep is None else str(keep), **settings)
    metric._coco_api = hand_made.truth(objects, NAMES, range(1, 13))
    metric.dataset_meta = dict(classes=tuple(NAMES.values()))
    return metric


def test_figures_line_and_file(tmp_path, monkeypatch):
    lines = []
    monkeypatch.setattr(MMLogger.get_current_instance(), "info", lines.append)
    objects, found = scenes()
    figures = metric_of(objects, tmp_path / "detections.npz", min_objects=12).compute_metrics(results(objects, found))

    rounded = [(image, c, np.float32(box).astype(float), np.float32(score)) for image, c, box, score in found]
    truth = hand_made.truth(objects, NAMES, range(1, 13))
    expected = average_precision(evaluate(truth, hand_made.found(rounded), range(1, 13)), 12)
    assert figures == pytest.approx(expected, nan_ok=True, abs=1e-4)  # widths of float32 corners
    small = {number: sum(c == number and b[2] * b[3] <= 1024 for _, c, b in objects) for number in NAMES}
    assert small == {4: 17, 2: 9}
    assert "small: car, without van (9)" in lines[0]

    with np.load(tmp_path / "detections.npz") as kept:
        assert kept["images"].tolist() == list(range(1, 13))
        assert kept["min_objects"] == 12
        rows = {(image, c, *box, box[2] * box[3], 0) for image, c, box in objects}
        assert {(row[0], row[6], *row[1:6], row[7]) for row in kept["objects"]} == rows
        assert len(kept["found"]) == len(found)
        assert kept["AP_S_counted"][0] == pytest.approx(figures["AP_S_counted"])
        assert lines[1].endswith(f"--min-score {kept['min_score']:.2f}")


def test_nothing_is_kept_unless_asked(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    objects, found = scenes()
    metric_of(objects).compute_metrics(results(objects, found))
    assert not list(tmp_path.iterdir())


def test_arguments_of_mmdets_metric_go_through():
    assert SmallObjectMetric(None, prefix="x").prefix == "x"
    with pytest.raises(TypeError):
        SmallObjectMetric(none_such=1)
    assert issubclass(SmallObjectMetric, CocoMetric)


def test_detections_are_rows_of_boxes_as_coco_has_them():
    boxes = np.array([[1, 2, 11, 22], [5, 5, 6, 7]], dtype=np.float32)
    side = dict(img_id=7, bboxes=boxes, scores=np.array([0.5, 0.25]), labels=np.array([1, 0]))
    none = dict(img_id=8, bboxes=boxes[:0], scores=np.zeros(0), labels=np.zeros(0, int))
    assert detections([side, none], [3, 9]).tolist() == [[7, 1, 2, 10, 20, 0.5, 9], [7, 5, 5, 1, 2, 0.25, 3]]


def test_no_warning_of_a_missing_prefix(monkeypatch):
    lines = []
    monkeypatch.setattr(MMLogger.get_current_instance(), "handle", lambda record: lines.append(record.getMessage()))
    SmallObjectMetric()
    assert lines == []
