"""The simulated set against KITTI's own figures: a simulator without losses and gaps gives several times the points."""

import json

import numpy as np
import pytest

from ccrop.projects.lidar_bev.boxes import wrapped
from ccrop.projects.lidar_bev.datasets import KittiSweeps
from ccrop.projects.lidar_bev.simulation import make_demo_sweeps
from ccrop.projects.lidar_bev.simulation.streets import Street

pytest.importorskip("open3d")

CLASSES = ("Car", "Pedestrian", "Cyclist", "Truck", "Van")
# quartiles of the points in a labeled box of KITTI's training set
QUARTILES = {"Car": (24, 80, 287), "Pedestrian": (35, 89, 251), "Cyclist": (36, 75, 167), "Truck": (111, 297, 569)}


@pytest.fixture(scope="module")
def samples(simulated):
    return list(KittiSweeps(simulated, labeled=True, classes=CLASSES))


@pytest.fixture(scope="module")
def objects(samples):
    """Boxes, labels, and how many points each holds, of the whole set in the camera's view."""
    return [np.concatenate([sample[key] for sample in samples]) for key in ("boxes", "labels", "num_points")]


def test_sweeps_have_as_many_points_as_real_ones(simulated):
    counts = [len(sample["points"]) for sample in KittiSweeps(simulated)]
    assert len(counts) == 96
    assert min(counts) >= 103_000
    assert max(counts) <= 127_000


def test_the_camera_sees_as_much_of_a_sweep_as_in_real_ones(samples):
    assert 15_000 < np.median([len(sample["points"]) for sample in samples]) < 25_000


@pytest.fixture(scope="module")
def ahead(simulated):
    """Labels and points of the objects that a camera would see that looks along the street, as KITTI's does."""
    around = KittiSweeps(simulated, labeled=True, in_view=False, labels="label_360", classes=CLASSES)
    labels, counts = [], []
    for number, sample in enumerate(around):
        street = Street.sample(np.random.default_rng((0, number)).spawn(2)[0])
        x, y = sample["boxes"][:, :2].T
        chosen = abs(wrapped(np.arctan2(y, x) - street.line.at(0.0)[2])) < np.radians(40.5)
        labels.append(sample["labels"][chosen])
        counts.append(sample["num_points"][chosen])
    return np.concatenate(labels), np.concatenate(counts)


@pytest.mark.parametrize("name", QUARTILES)
def test_objects_have_as_many_points_as_real_ones(ahead, name):
    counts = ahead[1][ahead[0] == CLASSES.index(name)]
    assert len(counts) >= 25
    for found, real in zip(np.quantile(counts, (0.25, 0.5, 0.75)), QUARTILES[name], strict=True):
        assert real / 2 <= found <= 2 * real


def test_points_fall_with_the_square_of_the_range(objects):
    boxes, _, counts = objects
    ranges = np.hypot(boxes[:, 0], boxes[:, 1])
    enough = counts >= 5
    slope = np.polyfit(np.log(ranges[enough]), np.log(counts[enough]), 1)[0]
    assert -2.35 < slope < -1.65


def test_real_objects_pass_the_same_gate(lidar_data):
    sample = [KittiSweeps(lidar_data / "kitti_mini", labeled=True)[i] for i in range(10)]
    boxes, counts = (np.concatenate([each[key] for each in sample]) for key in ("boxes", "num_points"))
    ranges, enough = np.hypot(boxes[:, 0], boxes[:, 1]), counts >= 5
    assert -2.35 < np.polyfit(np.log(ranges[enough]), np.log(counts[enough]), 1)[0] < -1.65


def test_every_labeled_object_was_met_and_stands_on_the_ground(objects):
    boxes, _, counts = objects
    assert (counts >= 1).mean() > 0.99
    assert abs(np.median(boxes[:, 2] - boxes[:, 5] / 2) + 1.73) < 0.3


def test_labels_all_around_hold_those_in_view(simulated, samples):
    around = KittiSweeps(simulated, labeled=True, in_view=False, labels="label_360", classes=CLASSES)
    for index in range(10):
        whole, seen = around[index], samples[index]
        assert len(whole["points"]) > 4 * len(seen["points"])
        near = [abs(whole["boxes"] - box).max(axis=1).min() for box in seen["boxes"]]
        assert max(near, default=0) < 0.02
    assert sum(len(each["boxes"]) for each in around) > 2.5 * sum(len(each["boxes"]) for each in samples)


def test_splits(simulated):
    train, val = (KittiSweeps(simulated, split=split) for split in ("train", "val"))
    assert (len(train), len(val)) == (80, 16)
    names = {dataset.get_data_info(i)["name"] for dataset in (train, val) for i in range(len(dataset))}
    assert len(names) == 96


def test_the_set_does_not_depend_on_the_workers_nor_on_its_size(simulated, tmp_path):
    make_demo_sweeps(tmp_path / "set", num_train=3, num_val=0, workers=1)
    for path in sorted((tmp_path / "set" / "training").rglob("*.*")):
        assert path.read_bytes() == (simulated / path.relative_to(tmp_path / "set")).read_bytes()


def test_a_complete_set_is_kept_and_another_one_refused(tmp_path):
    root = tmp_path / "set"
    make_demo_sweeps(root, 1, 1)
    before = (root / "training" / "velodyne" / "000000.bin").stat().st_mtime_ns
    make_demo_sweeps(root, 1, 1)
    assert (root / "training" / "velodyne" / "000000.bin").stat().st_mtime_ns == before
    with pytest.raises(FileExistsError, match="choose another folder"):
        make_demo_sweeps(root, 1, 1, seed=1)
    (root / "training" / "velodyne" / "000001.bin").unlink()
    with pytest.raises(FileExistsError, match="a demo set with missing files"):
        make_demo_sweeps(root, 1, 1)
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_the_other_sensor(tmp_path):
    make_demo_sweeps(tmp_path / "set", 1, 0, sensor="HDL-32E")
    assert json.loads((tmp_path / "set" / "demo.json").read_text())["sensor"] == "HDL-32E"
    points = KittiSweeps(tmp_path / "set")[0]["points"]
    assert 20_000 < len(points) < 34_688
    elevations = np.degrees(np.arctan2(points[:, 2], np.hypot(points[:, 0], points[:, 1])))
    assert elevations.max() > 9


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(dict(num_train=-1), "must not be negative"), (dict(sensor="VLP-16"), "sensor must be one of HDL-64E, HDL-32E")],
)
def test_refuses_what_makes_no_set(tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        make_demo_sweeps(tmp_path / "set", **arguments)
    assert not (tmp_path / "set").exists()
