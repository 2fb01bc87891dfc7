import json
import math
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config

from ccrop.datasets import MissingData
from ccrop.projects.lidar_bev.boxes import num_points_in_boxes
from ccrop.projects.lidar_bev.datasets import OTHER, NuScenesSweeps, read_sweep
from ccrop.projects.lidar_bev.datasets.nuscenes import CLASSES, COLUMNS
from ccrop.projects.lidar_bev.datasets.nuscenes_tables import rotation_matrices
from ccrop.projects.lidar_bev.evaluation.center_ap import Detections
from ccrop.projects.lidar_bev.predict import found_in, sweeps_of
from ccrop.transfer.prediction import Request

MOUNT = dict(
    token="mount", sensor_token="lidar", translation=[0.9, 0.1, 1.8], rotation=[math.sqrt(0.5), 0, 0, math.sqrt(0.5)]
)


def turn(yaw):
    return [math.cos(yaw / 2), 0.0, 0.0, math.sin(yaw / 2)]


def matrix(row):
    result = np.eye(4)
    result[:3, :3] = rotation_matrices(row["rotation"])
    result[:3, 3] = row["translation"]
    return result


def write_tables(root, tables):
    folder = root / "v1.0-mini"
    folder.mkdir(exist_ok=True)
    for name, rows in tables.items():
        (folder / f"{name}.json").write_text(json.dumps(rows))


@pytest.fixture
def world():
    """Landmarks in the global frame, which the car sees from three sweeps in a row: two of them key frames."""
    rng = np.random.default_rng(0)
    return rng.uniform(-30, 30, (200, 3)) * [1, 1, 0.1] + [1000, 500, 0]


@pytest.fixture
def root(tmp_path, world):
    poses, sweeps, samples = [], [], []
    for number, (key, yaw) in enumerate([(True, 0.3), (False, 0.4), (True, 0.6)]):
        pose = dict(token=f"pose{number}", translation=[1000 + 2.0 * number, 500 - number, 0.1], rotation=turn(yaw))
        seen = np.linalg.inv(matrix(pose) @ matrix(MOUNT))
        points = world @ seen[:3, :3].T + seen[:3, 3]
        path = f"sweeps/{number}.pcd.bin"
        (tmp_path / "sweeps").mkdir(exist_ok=True)
        np.column_stack([points, np.arange(200) % 256, np.zeros(200)]).astype(np.float32).tofile(tmp_path / path)
        poses.append(pose)
        sweeps.append(
            dict(
                token=f"data{number}",
                sample_token=f"sample{(number + 1) // 2}",
                ego_pose_token=pose["token"],
                calibrated_sensor_token="mount",
                is_key_frame=key,
                timestamp=1_500_000_000_000_000 + 50_000 * number,
                filename=path,
                prev=f"data{number - 1}" if number else "",
            )
        )
    sweeps.append(dict(sweeps[0], token="image", calibrated_sensor_token="camera mount", filename="no.jpg"))
    samples = [
        dict(token=f"sample{i}", scene_token="scene", timestamp=1_500_000_000_000_000 + 100_000 * i) for i in range(2)
    ]
    instances = [dict(token=name, category_token=name) for name in ("vehicle.car", "animal")]
    annotation = dict(
        sample_token="sample1", size=[1.9, 4.5, 1.6], translation=[1010.0, 490.0, 0.9], rotation=turn(1.0),
        attribute_tokens=[], num_lidar_pts=1, num_radar_pts=0, prev="", next="",
    )  # fmt: skip
    write_tables(
        tmp_path,
        dict(
            sensor=[dict(token="lidar", channel="LIDAR_TOP"), dict(token="camera", channel="CAM_FRONT")],
            calibrated_sensor=[MOUNT, dict(MOUNT, token="camera mount", sensor_token="camera")],
            ego_pose=poses,
            sample_data=sweeps[::-1],
            sample=samples,
            scene=[dict(token="scene", name="scene-0001"), dict(token="other", name="scene-0002")],
            category=[dict(token=name, name=name) for name in ("vehicle.car", "animal")],
            instance=instances,
            attribute=[],
            sample_annotation=[
                dict(annotation, token=each["token"], instance_token=each["token"]) for each in instances
            ],
        ),
    )
    return tmp_path


def test_key_frames_with_the_sweeps_before_them(root):
    dataset = NuScenesSweeps(root, "v1.0-mini")
    assert [len(dataset[i]["points"]) for i in range(2)] == [200, 600]
    points = dataset[1]["points"]
    np.testing.assert_allclose(points[::200, 4], [0, 0.05, 0.1], atol=1e-6)
    np.testing.assert_allclose(points[:200, 3], np.arange(200) % 256 / 255, rtol=1e-6)


def test_landmarks_of_all_sweeps_fall_together(root):
    """What stands still in the world stands still in the key frame."""
    points = NuScenesSweeps(root, "v1.0-mini")[1]["points"][:, :3].reshape(3, 200, 3)
    np.testing.assert_allclose(points[1:], np.stack([points[0]] * 2), atol=1e-4)


def test_a_key_frame_has_its_token_and_its_place_in_the_world(root, world):
    dataset = NuScenesSweeps(root, "v1.0-mini", num_sweeps=1)
    for number in range(2):
        info = dataset.get_data_info(number)
        assert info["sample"] == f"sample{number}"
        to_global = np.array(info["to_global"])
        points = dataset[number]["points"][:, :3] @ to_global[:3, :3].T + to_global[:3, 3]
        np.testing.assert_allclose(points, world, atol=1e-4)


@pytest.mark.parametrize(("split", "number"), [("all", 2), ("mini", 0)])
def test_detections_in_a_split_name_their_key_frames(root, split, number):
    settings = dict(type="ccrop.projects.lidar_bev.datasets.NuScenesSweeps", version="v1.0-mini", labeled=True)
    config = Config(dict(test_dataset=settings | dict(data_root="elsewhere", pipeline=[])))
    (root / "mini.txt").write_text("scene-0002")  # without key frames
    request = Request(Path("run"), None, root, split, ("nuscenes",), 0.3, 0)
    if not number:
        with pytest.raises(MissingData, match="no sweep found"):
            sweeps_of(config, None, request)
        return
    dataset = sweeps_of(config, None, request)
    assert (len(dataset), dataset.labeled) == (number, False)
    found = found_in(dataset, 1, Detections(np.zeros((0, 7)), np.zeros(0), np.zeros(0, int)))
    assert (found.sample, found.name) == ("sample1", "sweeps/2.pcd.bin")
    pose = matrix(dict(translation=[1004, 498, 0.1], rotation=turn(0.6)))
    np.testing.assert_allclose(found.to_global, pose @ matrix(MOUNT), atol=1e-9)


def test_fewer_sweeps(root):
    for number in (1, 2):
        assert len(NuScenesSweeps(root, "v1.0-mini", num_sweeps=number)[1]["points"]) == 200 * number
    with pytest.raises(ValueError, match="num_sweeps must be at least 1"):
        NuScenesSweeps(root, "v1.0-mini", num_sweeps=0)


def test_without_the_sweeps_between_key_frames(root):
    for number in (0, 1):
        (root / f"sweeps/{number}.pcd.bin").unlink()
    message = rf"^{root}/sweeps/0\.pcd\.bin does not exist, nor do any of the 2 checked sweeps .* to read only the key"
    with pytest.raises(MissingData, match=message):
        NuScenesSweeps(root, "v1.0-mini")
    assert len(NuScenesSweeps(root, "v1.0-mini", num_sweeps=1)[1]["points"]) == 200


def test_one_lost_sweep_is_an_unreadable_frame(root):
    (root / "sweeps/1.pcd.bin").unlink()
    dataset = NuScenesSweeps(root, "v1.0-mini")
    assert dataset[1]["index"] == 0
    assert dataset.unreadable.tolist() == [False, True]
    assert dataset.why_unreadable(1) == f"{root}/sweeps/1.pcd.bin: No such file or directory"


def test_boxes_stand_in_the_key_frame(root, world):
    dataset = NuScenesSweeps(root, "v1.0-mini", labeled=True, num_sweeps=1)
    assert dataset[0]["boxes"].shape == (0, 7)
    sample = dataset[1]
    assert sample["labels"].tolist() == [CLASSES.index("car"), OTHER]
    x, y, z, dx, dy, dz, heading = sample["boxes"][0].tolist()
    assert (dx, dy, dz) == pytest.approx((4.5, 1.9, 1.6))
    # by hand: the car at (1004, 498, 0.1) with yaw 0.6, the sensor turned by a quarter more and 1.8 m up
    east, north = 1010 - 1004, 490 - 498
    ahead = east * math.cos(0.6) + north * math.sin(0.6) - 0.9
    left = -east * math.sin(0.6) + north * math.cos(0.6) - 0.1
    assert (x, y, z) == pytest.approx((left, -ahead, 0.9 - 0.1 - 1.8), abs=1e-4)
    assert heading == pytest.approx(1.0 - 0.6 - math.pi / 2)


def test_names_of_objects_are_those_of_the_classes(root):
    dataset = NuScenesSweeps(root, "v1.0-mini", labeled=True)
    assert [dataset.object_names(index) for index in range(2)] == [[], ["car", "animal"]]


def test_a_byte_order_mark_hides_nothing(root):
    for file in (root / "v1.0-mini").iterdir():
        file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    (root / "split.txt").write_bytes(b"\xef\xbb\xbfscene-0001\n")
    assert len(NuScenesSweeps(root, "v1.0-mini", scenes=root / "split.txt")) == 2


def test_points_on_the_own_roof_are_left_out(root):
    file = root / "sweeps" / "0.pcd.bin"
    points = np.fromfile(file, np.float32).reshape(-1, 5)
    points[:4, :2] = [(0.5, -0.9), (0.5, 1.1), (-1.1, 0.5), (0, 0)]
    points.tofile(file)
    assert len(NuScenesSweeps(root, "v1.0-mini", num_sweeps=1)[0]["points"]) == 198


def test_scenes_are_named_in_the_config_or_a_file(root):
    assert len(NuScenesSweeps(root, "v1.0-mini", scenes=["scene-0001"])) == 2
    (root / "split.txt").write_text("scene-0001\n")
    assert len(NuScenesSweeps(root, "v1.0-mini", scenes=root / "split.txt")) == 2
    with pytest.raises(MissingData, match="no sweep found"):
        NuScenesSweeps(root, "v1.0-mini", scenes=["scene-0002"])
    with pytest.raises(ValueError, match=r"scene\.json has no scene scene-0009 \(1 are missing\)"):
        NuScenesSweeps(root, "v1.0-mini", scenes=["scene-0001", "scene-0009"])
    with pytest.raises(MissingData, match="is not a file; expected one scene name per line"):
        NuScenesSweeps(root, "v1.0-mini", scenes=str(root / "absent.txt"))


@pytest.mark.parametrize("chosen", [None, ["scene-0001"]])
def test_every_key_frame_says_of_which_scene_it_is(root, chosen):
    assert NuScenesSweeps(root, "v1.0-mini", scenes=chosen).scenes() == ["scene-0001"] * 2


def test_tables_that_are_missing_damaged_or_do_not_fit(root):
    with pytest.raises(MissingData, match=r"v1\.0-trainval is not a folder; expected layout"):
        NuScenesSweeps(root)
    write_tables(root, dict(ego_pose=[]))
    with pytest.raises(ValueError, match=r"ego_pose\.json has no 'pose\d', which another table refers to"):
        NuScenesSweeps(root, "v1.0-mini")
    (root / "v1.0-mini" / "ego_pose.json").write_text("[")
    with pytest.raises(ValueError, match=r"ego_pose\.json: damaged"):
        NuScenesSweeps(root, "v1.0-mini")
    (root / "v1.0-mini" / "ego_pose.json").unlink()
    with pytest.raises(MissingData, match=r"ego_pose\.json is not a file: nuScenes' table 'ego_pose' is needed"):
        NuScenesSweeps(root, "v1.0-mini")


def test_rotations_by_hand():
    np.testing.assert_allclose(rotation_matrices([2.0, 0, 0, 0]), np.eye(3))
    half = math.sqrt(0.5)
    axes = [((0, 1, 0), (0, 0, 1)), ((0, 0, 1), (1, 0, 0)), ((1, 0, 0), (0, 1, 0))]
    quarter = rotation_matrices([[half, half, 0, 0], [half, 0, half, 0], [half, 0, 0, half]])
    for matrix, (before, after) in zip(quarter, axes, strict=True):
        np.testing.assert_allclose(matrix @ before, after, atol=1e-12)


def test_real_boxes_hold_as_many_points_as_the_annotators_counted(lidar_data):
    labels = json.loads((lidar_data / "nuscenes_one" / "labels.json").read_text())
    points = read_sweep(lidar_data / "nuscenes_one" / labels["file"], COLUMNS)
    assert points.shape == (34688, 5)
    boxes = np.array([box["box_xyzlwh_yaw"] for box in labels["boxes"]])
    counted = np.array([box["num_lidar_pts"] for box in labels["boxes"]])
    gaps = abs(num_points_in_boxes(points, boxes) - counted)
    # theirs are tilted with the car
    assert (gaps == 0).mean() > 0.85
    assert gaps.sum() < 0.05 * counted.sum()
