import numpy as np
import pytest
from PIL import Image

from ccrop.datasets import MissingData
from ccrop.projects.lidar_bev.boxes import num_points_in_boxes
from ccrop.projects.lidar_bev.datasets import OTHER, KittiSweeps, UnreadableSweep
from ccrop.projects.lidar_bev.datasets.kitti_format import (
    AT_SENSOR,
    Calibration,
    KittiObjects,
    boxes_in_image,
    in_image,
    read_calibration,
    write_calibration,
    write_objects,
)
from ccrop.projects.lidar_bev.detection.metrics import has_kitti_labels

CALIBRATION = Calibration(
    projection=np.array([[700, 0, 620, 0], [0, 700, 180, 0], [0, 0, 1.0, 0]]),
    rectification=np.eye(3),
    velo_to_cam=np.column_stack([[[0, -1, 0], [0, 0, -1], [1, 0, 0]], [0, 0, -0.3]]),
)
BOXES = np.array([[20, 1, -0.9, 4, 2, 1.6, 0.3], [15, -3, -0.8, 0.8, 0.6, 1.8, 1], [30, 4, -0.7, 5, 2, 2.1, 0]])


@pytest.fixture
def root(tmp_path):
    """Three frames with points all around, the objects of BOXES, and a split of two."""
    rng = np.random.default_rng(0)
    base = tmp_path / "training"
    for folder in ("velodyne", "label_2", "calib"):
        (base / folder).mkdir(parents=True)
    for number in range(3):
        points = rng.uniform(-40, 40, (5000, 4)) * [1, 1, 0.04, 0.01]
        points[:, 3] = np.abs(points[:, 3])
        points[:100, :3] = BOXES[0, :3] + rng.uniform(-0.6, 0.6, (100, 3))
        points.astype(np.float32).tofile(base / "velodyne" / f"{number:06d}.bin")
        truncated = boxes_in_image(BOXES, CALIBRATION)
        objects = KittiObjects(["Car", "Pedestrian", "Van"], BOXES, *truncated, np.zeros(3, int), np.ones(3))
        write_objects(base / "label_2" / f"{number:06d}.txt", objects, CALIBRATION)
        write_calibration(base / "calib" / f"{number:06d}.txt", CALIBRATION)
    (tmp_path / "ImageSets").mkdir()
    (tmp_path / "ImageSets" / "train.txt").write_text("000002\n000000\n")
    return tmp_path


def test_without_labels_only_the_sweeps_are_read(root):
    for folder in ("label_2", "calib"):
        for file in (root / "training" / folder).iterdir():
            file.unlink()
    dataset = KittiSweeps(root)
    assert len(dataset) == 3
    assert dataset[0]["points"].shape == (5000, 4)
    assert "boxes" not in dataset[0]


def test_a_split_is_read_in_its_order(root):
    dataset = KittiSweeps(root, split="train")
    assert [dataset.get_data_info(i)["name"] for i in range(2)] == ["000002", "000000"]


def test_a_labeled_sample_holds_all_objects_and_the_points_in_view(root):
    sample = KittiSweeps(root, labeled=True)[0]
    np.testing.assert_allclose(sample["boxes"], BOXES, atol=0.011)
    assert sample["boxes"].dtype == np.float32
    assert sample["labels"].tolist() == [0, 1, OTHER]
    assert sample["num_points"][0] >= 100
    assert len(sample["num_points"]) == 3
    everything = KittiSweeps(root, labeled=True, in_view=False, classes=("Van", "Car"))[0]
    assert everything["labels"].tolist() == [1, OTHER, 0]
    seen = in_image(everything["points"], CALIBRATION)
    assert 0.1 < seen.mean() < 0.5
    np.testing.assert_array_equal(sample["points"], everything["points"][seen])


def test_the_view_follows_the_size_of_the_image(root):
    (root / "training" / "image_2").mkdir()
    Image.new("RGB", (620, 375)).save(root / "training" / "image_2" / "000000.png")
    left, whole = KittiSweeps(root, in_view=True)[0]["points"], KittiSweeps(root, in_view=True)[1]["points"]
    assert left[:, 1].min() > 0  # the principal point is at 620: nothing to the right of the camera
    assert whole[:, 1].min() < -5


def test_reduced_sweeps_and_the_testing_folder(root):
    (root / "training" / "velodyne").rename(root / "training" / "velodyne_reduced")
    assert len(KittiSweeps(root, labeled=True)) == 3
    (root / "training").rename(root / "testing")
    assert len(KittiSweeps(root, folder="testing")) == 3
    with pytest.raises(MissingData, match="has no sweeps; expected layout") as caught:
        KittiSweeps(root)
    assert f"{root}/training/label_2" in str(caught.value)


def test_a_split_that_is_missing_or_names_missing_frames(root):
    with pytest.raises(MissingData, match=r"val\.txt is not a file \(split=None takes all sweeps\); expected layout"):
        KittiSweeps(root, split="val")
    (root / "ImageSets" / "val.txt").write_text("000001\n000007\n000008\n")
    with pytest.raises(MissingData, match=r"lacks 2 of the 3 sweeps of split 'val', the first is 000007: add"):
        KittiSweeps(root, split="val")


def test_a_byte_order_mark_hides_nothing(root):
    labels = root / "training" / "label_2" / "000000.txt"
    for file in (labels, root / "training" / "calib" / "000000.txt", root / "ImageSets" / "train.txt"):
        file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    dataset = KittiSweeps(root, split="train", labeled=True)
    assert [dataset.get_data_info(i)["name"] for i in range(2)] == ["000002", "000000"]
    assert dataset[1]["labels"].tolist() == dataset[0]["labels"].tolist() == [0, 1, OTHER]
    assert dataset.object_names(1) == ["Car", "Pedestrian", "Van"]
    labels.write_bytes(labels.read_bytes().decode("utf-8-sig").encode("utf-16"))
    with pytest.raises(
        ValueError, match=rf"^{labels}: not UTF-8 text \(invalid start byte at byte 0\): save it as UTF-8"
    ):
        dataset[1]


@pytest.mark.parametrize(
    ("folder", "message"), [("label_2", "label file not found"), ("calib", "labels need the frame")]
)
def test_a_missing_label_or_calibration_is_an_error_not_a_skip(root, folder, message):
    file = root / "training" / folder / "000001.txt"
    file.unlink()
    with pytest.raises(ValueError, match=message) as caught:
        KittiSweeps(root, labeled=True)[1]
    assert not isinstance(caught.value, UnreadableSweep)
    assert str(file) in str(caught.value)


def test_a_damaged_image_is_an_unreadable_frame(root, warned):
    (root / "training" / "image_2").mkdir()
    (root / "training" / "image_2" / "000001.png").write_text("a shopping list")
    dataset = KittiSweeps(root, in_view=True)
    assert dataset[1]["index"] == 2
    assert [index for index, _ in dataset.readable()] == [0, 2]
    assert str(root / "training" / "image_2" / "000001.png") in warned[0]


def test_a_sweep_of_which_the_camera_sees_nothing_is_skipped_and_counted(root):
    np.full((10, 4), -5, np.float32).tofile(root / "training" / "velodyne" / "000001.bin")
    dataset = KittiSweeps(root, labeled=True)
    assert dataset[1]["index"] == 2
    assert dataset.unreadable.tolist() == [False, True, False]


def test_labels_without_a_calibration_stand_around_the_sensor(root, warned):
    """A box 10 m ahead and 3 m to the left, its bottom 2 m below the sensor, turned by 0.4: KITTI's line by hand."""
    for file in (root / "training" / "calib").iterdir():
        file.unlink()
    line = f"Car -1 -1 0 -1 -1 -1 -1 1.5 2.0 4.5 -3.0 2.0 10.0 {-0.4 - np.pi / 2:.6f}\n"
    (root / "training" / "label_2" / "000000.txt").write_text(line)
    with pytest.raises(ValueError, match=r"000000\.txt: labels need .* or set calibrated=False if labels are given"):
        KittiSweeps(root, labeled=True)[0]
    dataset = KittiSweeps(root, labeled=True, calibrated=False, intensity_scale=255)
    sample = dataset[0]
    np.testing.assert_allclose(sample["boxes"], [[10, 3, -2 + 0.75, 4.5, 2.0, 1.5, 0.4]], atol=1e-5)
    assert len(sample["points"]) == 5000
    assert sample["points"][:, 3].max() <= 0.4 / 255
    assert not has_kitti_labels(dataset)
    objects = KittiObjects(["Car"], BOXES[:1], np.full((1, 4), -1.0), np.zeros(1), np.zeros(1, int), np.ones(1))
    write_objects(root / "training" / "label_2" / "000001.txt", objects, AT_SENSOR)
    np.testing.assert_allclose(dataset[1]["boxes"], BOXES[:1], atol=0.011)
    with pytest.raises(ValueError, match="in_view needs the frames' calibration: set calibrated=True"):
        KittiSweeps(root, in_view=True, calibrated=False)


@pytest.mark.parametrize(("name", "frames"), [("kitti_mini", 10), ("kitti_track0000", 77)])
def test_real_boxes_stand_around_points(lidar_data, name, frames):
    dataset = KittiSweeps(lidar_data / name, labeled=True, classes=("Car", "Van", "Pedestrian", "Cyclist", "Truck"))
    assert len(dataset) == frames
    samples = list(dataset)
    boxes, counts = (np.concatenate([sample[key] for sample in samples]) for key in ("boxes", "num_points"))
    assert len(boxes) == len(np.concatenate([sample["labels"] for sample in samples]))
    assert (counts >= 1).mean() > 0.95
    assert np.median(counts) > 40
    # objects stand on the ground, 1.7 m below the sensor where it is level; some of these streets slope
    assert -1.9 < np.median(boxes[:, 2] - boxes[:, 5] / 2) < -1.3


def test_real_headings_follow_the_long_side_of_the_points(lidar_data):
    """Turning the boxes by a quarter would lose most of the points of long objects."""
    dataset = KittiSweeps(lidar_data / "kitti_mini", labeled=True)
    kept = []
    for sample in dataset:
        cars = sample["boxes"][sample["labels"] == 0]
        ours = num_points_in_boxes(sample["points"], cars).sum()
        turned = num_points_in_boxes(sample["points"], cars + np.float32([0, 0, 0, 0, 0, 0, np.pi / 2])).sum()
        kept.append((ours, turned))
    ours, turned = np.sum(kept, axis=0)
    assert turned < 0.8 * ours


def test_the_camera_sees_a_sixth_of_a_real_sweep(lidar_data):
    base = lidar_data / "kitti_mini" / "training"
    names = (lidar_data / "kitti_mini" / "ImageSets" / "train_full360.txt").read_text().split()
    for name in names[:3]:
        points = np.fromfile(base / "velodyne" / f"{name}.bin", np.float32).reshape(-1, 4)
        share = in_image(points, read_calibration(base / "calib" / f"{name}.txt")).mean()
        assert 0.12 < share < 0.22  # about 20,000 of 120,000
