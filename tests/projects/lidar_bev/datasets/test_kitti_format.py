import math

import numpy as np
import pytest

from ccrop.projects.lidar_bev.boxes import corners
from ccrop.projects.lidar_bev.datasets.kitti_format import (
    Calibration,
    KittiObjects,
    boxes_in_image,
    boxes_to_camera,
    boxes_to_lidar,
    in_image,
    read_calibration,
    read_objects,
    write_calibration,
    write_objects,
)


def calibration(turn=0.02):
    """A camera 0.3 m ahead of the LiDAR and 0.1 m below it, turned a little."""
    axes = np.array([[0, -1, 0], [0, 0, -1], [1, 0, 0]], dtype=float)
    yaw = np.array([[math.cos(turn), 0, math.sin(turn)], [0, 1, 0], [-math.sin(turn), 0, math.cos(turn)]])
    return Calibration(
        projection=np.array([[700, 0, 600, 40], [0, 700, 180, 0.2], [0, 0, 1, 0.003]], dtype=float),
        rectification=yaw,
        velo_to_cam=np.column_stack([axes, [0, -0.1, -0.3]]),
    )


def objects(boxes, names=None):
    number = len(boxes)
    return KittiObjects(
        names=names or ["Car"] * number,
        boxes=np.asarray(boxes, dtype=float),
        image_boxes=np.arange(4 * number, dtype=float).reshape(number, 4),
        truncated=np.linspace(0, 1, number),
        occluded=np.arange(number) % 4,
        scores=np.linspace(1, 0, number),
    )


def test_a_box_by_hand():
    # an aligned camera at the LiDAR: a car 10 m ahead, 2 m to the left, its wheels 1.7 m below
    plain = Calibration(np.eye(3, 4), np.eye(3), np.column_stack([[[0, -1, 0], [0, 0, -1], [1, 0, 0]], [0, 0, 0]]))
    car = [1.5, 1.8, 4.2, -2.0, 1.7, 10.0]
    # rotation_y -90 degrees is a car that drives ahead; 0 one that drives to the right
    boxes = boxes_to_lidar(np.array([[*car, -math.pi / 2], [*car, 0], [*car, math.pi / 2]]), plain)
    np.testing.assert_allclose(boxes[:, :6], [[10, 2, -0.95, 4.2, 1.8, 1.5]] * 3)
    np.testing.assert_allclose(boxes[:, 6], [0, -math.pi / 2, -math.pi], atol=1e-12)


def test_boxes_go_to_the_camera_and_back():
    rng = np.random.default_rng(0)
    boxes = np.column_stack([rng.uniform(-50, 50, (40, 3)), rng.uniform(1, 5, (40, 3)), rng.uniform(-3, 3, 40)])
    calib = calibration()
    np.testing.assert_allclose(boxes_to_lidar(boxes_to_camera(boxes, calib), calib), boxes, atol=1e-9)
    np.testing.assert_allclose(calib.to_lidar(calib.to_camera(boxes[:, :3])), boxes[:, :3], atol=1e-9)


def test_points_in_the_image_by_hand():
    calib = calibration(turn=0)
    points = np.array([[10.3, 0, 0, 9], [-10, 0, 0, 9], [10.3, 8.6, 0, 9], [10.3, 8.8, 0, 9], [10.3, 0, 2.4, 9.0]])
    # the second behind, the fourth too far to the left (x = (700 * -8.8 + 6000 + 40) / 10 < 0), the last too high
    assert in_image(points, calib, (1242, 375)).tolist() == [True, False, True, False, True]
    assert in_image(points + np.array([0, 0, 0.2, 0]), calib, (1242, 375)).tolist() == [True, False, True, False, False]


def test_boxes_in_the_image_by_hand():
    calib = calibration(turn=0)._replace(projection=np.array([[700, 0, 600, 0], [0, 700, 180, 0], [0, 0, 1.0, 0]]))
    # its rear at a depth of 10 m, its front at 14 m; the bounds come from the rear
    ahead = [12.3, 0, -0.9, 4, 2, 1.6, 0]
    left = [12.3, 8.571428571, -0.9, 4, 2, 1.6, 0]
    behind = [-12.3, 0, -0.9, 4, 2, 1.6, 0]
    shown, truncated = boxes_in_image(np.array([ahead, left, behind]), calib, (1242, 375))
    # z from -1.7 to -0.1, the camera 0.1 m below the LiDAR: 1.6 m and 0 m below the camera
    np.testing.assert_allclose(shown[0], [530, 180, 670, 292], atol=1e-6)
    right_end = 600 - 700 * 7.571428571 / 14
    left_end = 600 - 700 * 9.571428571 / 10
    np.testing.assert_allclose(shown[1], [0, 180, right_end, 292], atol=1e-6)
    assert truncated.tolist() == pytest.approx([0, 1 - right_end / (right_end - left_end), 1])


def test_labels_are_read_as_written(tmp_path):
    rng = np.random.default_rng(0)
    boxes = np.column_stack([rng.uniform(5, 50, (6, 3)), rng.uniform(1, 5, (6, 3)), rng.uniform(-3, 3, 6)])
    written = objects(boxes, ["Car", "Van", "Car", "Cyclist", "Tram", "Misc"])
    calib = calibration()
    write_calibration(tmp_path / "calib.txt", calib)
    read = read_calibration(tmp_path / "calib.txt")
    for ours, theirs in zip(read, calib, strict=True):
        np.testing.assert_allclose(ours, theirs)
    for scores in (False, True):
        write_objects(tmp_path / "label.txt", written, calib, scores)
        found = read_objects(tmp_path / "label.txt", read)
        assert found.names == written.names
        np.testing.assert_allclose(found.boxes, written.boxes, atol=0.011)
        np.testing.assert_allclose(found.image_boxes, written.image_boxes)
        np.testing.assert_allclose(found.truncated, written.truncated, atol=0.005)
        assert found.occluded.tolist() == written.occluded.tolist()
        np.testing.assert_allclose(found.scores, written.scores if scores else 1, atol=0.005)


def test_no_objects(tmp_path):
    write_objects(tmp_path / "label.txt", objects(np.zeros((0, 7))), calibration())
    found = read_objects(tmp_path / "label.txt", calibration())
    assert found.names == []
    assert found.boxes.shape == (0, 7)
    assert found.image_boxes.shape == (0, 4)


def test_dont_care_regions_are_left_out(tmp_path):
    write_objects(tmp_path / "label.txt", objects([[10, 0, 0, 4, 2, 1.5, 0]]), calibration())
    with (tmp_path / "label.txt").open("a") as file:
        file.write("DontCare -1 -1 -10 800.38 163.67 825.45 184.07 -1 -1 -1 -1000 -1000 -1000 -10\n\n")
    assert read_objects(tmp_path / "label.txt", calibration()).names == ["Car"]


@pytest.mark.parametrize("line", ["Car 0 0 1 2 3", "Car " + "1 " * 13 + "x", "Car " + "1 " * 16])
def test_a_wrong_line_is_named(tmp_path, line):
    file = tmp_path / "label.txt"
    file.write_text("DontCare\n" + line)
    with pytest.raises(ValueError, match="line 2: expected a class and 14 numbers") as caught:
        read_objects(file, calibration())
    assert str(file) in str(caught.value)


def test_a_calibration_that_is_missing_or_none(tmp_path):
    file = tmp_path / "calib.txt"
    with pytest.raises(ValueError, match="labels need the frame's calibration") as caught:
        read_calibration(file)
    assert str(file) in str(caught.value)
    for content in ("P2: 1 2 3", "R0_rect: " + "1 " * 9, "P2: " + "a " * 12):
        file.write_text(content)
        with pytest.raises(ValueError, match=r"calib\.txt: it has no line 'P2:' with 12 numbers"):
            read_calibration(file)


def test_real_boxes_project_into_their_image_boxes(lidar_data):
    base = lidar_data / "kitti_mini" / "training"
    gaps = []
    for file in sorted((base / "label_2").glob("*.txt")):
        calib = read_calibration(base / "calib" / file.name)
        labels = read_objects(file, calib)
        shown, truncated = boxes_in_image(labels.boxes, calib)
        whole = truncated == 0
        gaps += abs(shown - labels.image_boxes)[whole].max(axis=1).tolist()
        assert (corners(labels.boxes)[:, :4, 2] < 0.5).all()
    assert len(gaps) > 30
    assert np.median(gaps) < 5  # pixels: annotated in 3D, and bounded by hand
