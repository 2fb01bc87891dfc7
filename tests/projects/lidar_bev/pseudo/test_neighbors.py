import re
from pathlib import Path

import numpy as np
import pytest

from ccrop.projects.lidar_bev.datasets import KittiSweeps, NuScenesSweeps
from ccrop.projects.lidar_bev.datasets.base import Trajectories
from ccrop.projects.lidar_bev.pseudo.neighbors import MotionOfBoxes, neighbors


def trajectories(drives: str, seconds: list[float]) -> Trajectories:
    return Trajectories(list(drives), np.array(seconds), np.tile(np.eye(4), (len(drives), 1, 1)))


def test_sweeps_before_and_after_in_the_same_drive():
    # 0.45 and 0.62 s are within a quarter of half a second, 0.7 s are not
    found = neighbors(trajectories("aaabba", [0.0, 0.45, 1.0, 0.5, 1.2, 1.62]), [0.5])
    assert found == [[1], [0, 2], [1, 5], [], [], [2]]
    assert neighbors(trajectories("aaaa", [0.0, 0.5, 1.0, 1.5]), [0.5, 1.0]) == [[1, 2], [0, 2, 3], [0, 1, 3], [1, 2]]


def test_gaps_that_fit_no_sweep_are_refused():
    with pytest.raises(
        ValueError, match=r"none of the 3 sweeps has another about 0.2 or 5 s .* set pseudo_boxes.motion_g"
    ):
        neighbors(trajectories("aab", [0.0, 1.0, 0.2]), [0.2, 5.0])
    for gaps in ([], [0.5, 0.0], 0.5, ["half a second"]):
        with pytest.raises(ValueError, match=r"motion_gaps must be a list of positive seconds such as .*, got "):
            neighbors(trajectories("aa", [0.0, 0.5]), gaps)


def test_labeled_objects_that_move_and_that_stand(sequences: Path):
    dataset = NuScenesSweeps(sequences, split="sim_train", num_sweeps=1, labeled=True)
    motion = MotionOfBoxes(dataset, (0.5, 1.0))
    scores, speeds = [], []
    for index, sample in dataset.readable():
        seen = sample["num_points"] >= 10
        scores.append(motion(index, sample["boxes"][seen], sample["points"]))
        speeds.append(np.hypot(*sample["velocities"][seen].T))
    score, speed = np.concatenate(scores), np.concatenate(speeds)
    assert (speed > 0.5).sum() > 60
    assert (speed < 0.1).sum() > 40
    assert (score[speed > 0.5] > 0.5).mean() > 0.85
    assert (score[speed < 0.1] < 0.5).mean() > 0.97


def test_an_unreadable_neighbor_is_left_out(sequences: Path, tmp_path: Path):
    for path in sequences.rglob("*.*"):
        if path.is_file():
            copy = tmp_path / path.relative_to(sequences)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.symlink_to(path)
    dataset = NuScenesSweeps(tmp_path, split="sim_train", num_sweeps=1)
    motion = MotionOfBoxes(dataset, (0.5, 1.0))
    assert motion.neighbors[0] == [1, 2]
    sample = dataset.known(0)
    some = sample["points"][::500, :3]
    boxes = np.column_stack([some, np.tile([2.0, 2.0, 3.0, 0.0], (len(some), 1))])
    whole = motion(0, boxes, sample["points"])
    assert whole.max() > 0
    for other in (1, 2):
        damaged = tmp_path / dataset.get_data_info(other)["path"]
        damaged.unlink()
        damaged.write_bytes(b"12345")
    assert not motion(0, boxes, sample["points"]).any()


def test_sets_without_poses_and_samples_of_several_sweeps_say_so(sequences: Path, tmp_path: Path):
    (tmp_path / "training/velodyne").mkdir(parents=True)
    np.ones((3, 4), np.float32).tofile(tmp_path / "training/velodyne/000000.bin")
    with pytest.raises(ValueError, match=re.escape(f"{tmp_path}: KittiSweeps has no ego poses, which motion")):
        MotionOfBoxes(KittiSweeps(tmp_path), (0.5,))
    with pytest.raises(ValueError, match=r"samples merge 10 of them: set train_dataloader.dataset.num_sweeps=1"):
        MotionOfBoxes(NuScenesSweeps(sequences, split="sim_train", num_sweeps=10), (0.5,))
