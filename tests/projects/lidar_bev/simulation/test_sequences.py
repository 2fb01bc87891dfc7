import json
from pathlib import Path

import numpy as np
import pytest

from ccrop.projects.lidar_bev.datasets import NuScenesSweeps
from ccrop.projects.lidar_bev.simulation import make_demo_sequences
from ccrop.projects.lidar_bev.simulation.sequences import FRAMES, STEP
from ccrop.tools import make_demo_data


@pytest.fixture(scope="module")
def dataset(sequences: Path) -> NuScenesSweeps:
    return NuScenesSweeps(sequences, split="sim_train", num_sweeps=1, labeled=True)


def test_the_reader_takes_both_splits(sequences: Path, dataset: NuScenesSweeps):
    assert dataset.scenes() == [f"sequence-000{number}" for number in range(3) for _ in range(FRAMES)]
    assert set(NuScenesSweeps(sequences, split="sim_val").scenes()) == {"sequence-0003"}
    assert np.diff(dataset.trajectories().seconds[:FRAMES]) == pytest.approx(STEP)
    names = {name for index in range(len(dataset)) for name in dataset.object_names(index)}
    assert {"car", "truck", "pedestrian", "bicycle"} >= names >= {"car", "pedestrian"}
    assert 20_000 < len(dataset.known(0)["points"]) < 34_688


def test_boxes_hold_the_points_that_lie_on_their_objects(sequences: Path, dataset: NuScenesSweeps):
    rows = json.loads((sequences / "v1.0-trainval/sample_annotation.json").read_text())
    inside = met = 0
    for index in range(len(dataset)):
        info, sample = dataset.get_data_info(index), dataset.known(index)
        own = [row["num_lidar_pts"] for row in rows if row["sample_token"] == info["sample"]]
        assert min(own) > 0
        inside, met = inside + np.minimum(sample["num_points"], own).sum(), met + sum(own)
    assert inside / met > 0.95


def test_objects_keep_their_speed_in_the_frame_of_the_street(sequences: Path, dataset: NuScenesSweeps):
    rows = json.loads((sequences / "v1.0-trainval/sample_annotation.json").read_text())
    tracks: dict[str, list[dict]] = {}
    for row in rows:
        tracks.setdefault(row["instance_token"], []).append(row)
    moving = 0
    for track in tracks.values():
        middles = np.array([row["translation"][:2] for row in track])
        frames = np.array([int(row["sample_token"].rpartition("_")[2]) for row in track])
        speeds = np.hypot(*np.diff(middles, axis=0).T) / (np.diff(frames) * STEP)
        moves = track[0]["attribute_tokens"][0] in ("vehicle.moving", "pedestrian.moving", "cycle.with_rider")
        assert speeds == pytest.approx(speeds.mean() if moves and len(speeds) else 0, rel=0.25, abs=1e-6)
        moving += moves and len(speeds) > 0
        chain = ["", *(row["token"] for row in track), ""]
        assert [row["prev"] for row in track] == chain[:-2]
        assert [row["next"] for row in track] == chain[2:]
    assert moving > 10


def test_what_stands_is_at_the_same_place_in_all_sweeps(dataset: NuScenesSweeps):
    """High points, of walls and poles, lie near those of another sweep once both are in the frame of the street."""
    trajectories = dataset.trajectories()
    for first in (0, FRAMES, 2 * FRAMES):
        clouds = []
        for index in (first, first + 1):
            points = dataset.known(index)["points"][:, :3]
            pose = trajectories.poses[index]
            points = points[(points[:, 2] > 1.0) & (np.hypot(points[:, 0], points[:, 1]) < 25)]
            clouds.append(points @ pose[:3, :3].T + pose[:3, 3])
        some = clouds[0][::20]
        nearest = np.linalg.norm(some[:, None] - clouds[1], axis=2).min(axis=1)
        assert np.median(nearest) < 0.3
        assert (nearest < 1.0).mean() > 0.9


def test_the_set_depends_on_its_seed_alone(sequences: Path, tmp_path: Path):
    make_demo_sequences(tmp_path / "same", 1, 0, workers=1)
    first = Path("samples/LIDAR_TOP/sequence-0000_3.pcd.bin")
    assert (tmp_path / "same" / first).read_bytes() == (sequences / first).read_bytes()
    before = (tmp_path / "same" / first).stat().st_mtime_ns
    assert make_demo_data.main(["--sequences", str(tmp_path / "same"), "--train", "1", "--val", "0"]) == 0
    assert (tmp_path / "same" / first).stat().st_mtime_ns == before
    with pytest.raises(FileExistsError, match="choose another folder"):
        make_demo_sequences(tmp_path / "same", 1, 0, seed=1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(dict(num_val=-1), "must not be negative"), (dict(sensor="VLP-16"), "sensor must be one of HDL-64E, HDL-32E")],
)
def test_refuses_what_makes_no_set(tmp_path: Path, arguments: dict, message: str):
    with pytest.raises(ValueError, match=message):
        make_demo_sequences(tmp_path / "set", **arguments)
    assert not (tmp_path / "set").exists()
