"""Which labelled sweeps a run may use."""

import math

import pytest
from jobs import ROOT
from mmengine.registry import DATASETS

from ccrop.datasets import MissingData
from projects.lidar_bev.datasets import KittiSweeps
from projects.lidar_bev.datasets.kitti import read_drives
from projects.lidar_bev.detection.samples import use_labels
from projects.lidar_bev.finetune import data_name, load_config

CONFIGS = ROOT / "projects/lidar_bev/configs"


def test_held_out_sweeps_are_labelled_and_not_trained_on(simulated):
    config = load_config(CONFIGS / "centerpoint_pillar_demo.py", simulated)
    said = use_labels(config, 0.2, seed=0, held_out=0.25)
    trained, tested = config.train_dataloader.dataset.indices, config.test_dataset.indices
    assert (len(trained), len(tested)) == (12, math.ceil(0.25 * 16))
    assert not set(trained) & set(tested)
    assert said == "12 of 80 labelled sweeps (12 of 80 scenes)"
    dataset = DATASETS.build(config.test_dataset)
    assert dataset.split == "train"
    assert [dataset.get_data_info(i)["name"] for i in range(4)] == [f"{index:06d}" for index in tested]
    larger = load_config(CONFIGS / "centerpoint_pillar_demo.py", simulated)
    use_labels(larger, 0.5, seed=0)
    assert set(trained) | set(tested) < set(larger.train_dataloader.dataset.indices)
    assert "indices" not in larger.test_dataset


def write_mapping(root, order, drives):
    (root / "mapping").mkdir()
    (root / "mapping/train_rand.txt").write_text(",".join(map(str, order)))
    lines = [f"2011_09_26 {drive} {number:010d}\n" for number, drive in enumerate(drives)]
    (root / "mapping/train_mapping.txt").write_text("".join(lines))


def test_frames_of_a_drive_are_a_scene(tmp_path):
    (tmp_path / "training/velodyne").mkdir(parents=True)
    for frame in range(4):
        (tmp_path / f"training/velodyne/{frame:06d}.bin").write_bytes(bytes(16))
    assert KittiSweeps(tmp_path).scenes() == [f"training/velodyne/{frame:06d}.bin" for frame in range(4)]
    write_mapping(tmp_path, [2, 4, 1], ["a", "b", "b", "c"])
    assert KittiSweeps(tmp_path).scenes() == ["b", "c", "a", "training/velodyne/000003.bin"]
    assert KittiSweeps(tmp_path, indices=[2, 0]).scenes() == ["a", "b"]


def test_a_mapping_of_another_kit(tmp_path):
    write_mapping(tmp_path, [1, 9], ["a", "b"])
    with pytest.raises(ValueError, match=r"train_rand\.txt names lines that .*train_mapping\.txt lacks"):
        read_drives(tmp_path / "mapping")


def test_one_scene_leaves_nothing_beside_what_is_held_out(simulated):
    config = load_config(CONFIGS / "centerpoint_pillar_demo.py", simulated)
    with pytest.raises(ValueError, match="of 80 labelled sweeps of 80 scenes leave none to train on"):
        use_labels(config, 0.01, seed=0, held_out=0.2)


def test_missing_data_names_what_makes_it(tmp_path):
    with pytest.raises(MissingData, match=r"--data-root, or make it by tools/make_demo_data\.py --lidar"):
        load_config(CONFIGS / "centerpoint_pillar_demo.py", tmp_path / "nowhere")


def test_simulated_sets_are_called_so(simulated, tmp_path):
    assert data_name(simulated) == f"simulated_{simulated.name}"
    assert data_name(tmp_path) == tmp_path.name
    assert f"on simulated {simulated.name}" in load_config(CONFIGS / "centerpoint_pillar_demo.py", simulated).headline
