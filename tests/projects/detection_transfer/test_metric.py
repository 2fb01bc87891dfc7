"""Average precision of hand-made detections."""

import numpy as np
import pytest
from mmdet.datasets.api_wrappers import COCO

from projects.detection_transfer.metric import average_precision, detections


def truth(boxes) -> COCO:
    coco = COCO()
    coco.dataset = dict(
        images=[dict(id=7, width=400, height=400)],
        categories=[dict(id=3, name="car")],
        annotations=[
            dict(id=i + 1, image_id=7, category_id=3, bbox=list(box), area=box[2] * box[3], iscrowd=0)
            for i, box in enumerate(boxes)
        ],
    )
    coco.createIndex()
    return coco


TINY, SMALL, MEDIUM, LARGE = (10, 10, 8, 8), (50, 10, 20, 20), (100, 10, 50, 50), (200, 100, 150, 150)


def found(*boxes, scores=None) -> np.ndarray:
    corners = np.array([[x, y, x + w, y + h] for x, y, w, h in boxes], dtype=np.float32).reshape(-1, 4)
    scores = np.array(scores or [0.9 - 0.1 * i for i in range(len(boxes))], dtype=np.float32)
    return detections([dict(img_id=7, bboxes=corners, scores=scores, labels=np.zeros(len(boxes), int))], [3])


def test_perfect_detections_are_perfect_in_every_size():
    boxes = (TINY, SMALL, MEDIUM, LARGE)
    figures = average_precision(truth(boxes), found(*boxes), [7])
    assert set(figures) == {"AP", "AP_S", "AP_M", "AP_L", "AP_tiny", "AP_16-32", "AP50", "AP75", "AR_S"}
    assert all(value == pytest.approx(1) for value in figures.values())


def test_a_size_without_objects_has_no_figure():
    figures = average_precision(truth([MEDIUM]), found(MEDIUM), [7])
    assert figures["AP_M"] == pytest.approx(1)
    assert all(np.isnan(figures[name]) for name in ("AP_S", "AP_tiny", "AP_16-32", "AP_L", "AR_S"))


def test_only_tiny_is_missed():
    figures = average_precision(truth((TINY, SMALL, MEDIUM)), found(SMALL, MEDIUM), [7])
    assert figures["AP_tiny"] == 0
    assert figures["AP_16-32"] == figures["AP_M"] == pytest.approx(1)
    # one of two small objects at precision 1: recall 0 to 0.5 of 101 points
    assert figures["AP_S"] == pytest.approx(51 / 101)
    assert figures["AR_S"] == pytest.approx(0.5)


def test_a_shifted_box_counts_up_to_its_iou():
    shifted = (SMALL[0] + 3, *SMALL[1:])  # IoU 17 / 23 = 0.739: found at 0.5, 0.55, ..., 0.7
    figures = average_precision(truth([SMALL]), found(shifted), [7])
    assert figures["AP50"] == pytest.approx(1)
    assert figures["AP75"] == 0
    assert figures["AP_S"] == pytest.approx(0.5)


def test_a_false_detection_above_halves_the_precision():
    figures = average_precision(truth([SMALL]), found((300, 300, 20, 20), SMALL), [7])
    assert figures["AP_S"] == pytest.approx(0.5)


def test_no_detection_at_all_is_zero():
    figures = average_precision(truth([SMALL]), found(), [7])
    assert figures["AP"] == figures["AP_S"] == figures["AR_S"] == 0
