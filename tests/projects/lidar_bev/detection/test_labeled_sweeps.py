"""Which labeled sweeps a run may use."""

import math

import pytest
from jobs import ROOT
from mmengine.registry import DATASETS

from ccrop.datasets import MissingData
from ccrop.projects.lidar_bev.datasets import KittiSweeps
from ccrop.projects.lidar_bev.datasets.base import ANY
from ccrop.projects.lidar_bev.datasets.kitti import read_drives
from ccrop.projects.lidar_bev.detection.labeled_sweeps import check_classes, use_labels
from ccrop.projects.lidar_bev.finetune import data_name, finetune, load_config

CONFIGS = ROOT / "projects/lidar_bev/configs"


def test_held_out_sweeps_are_labeled_and_not_trained_on(simulated):
    config = load_config(CONFIGS / "centerpoint_pillar_demo.py", simulated)
    said = use_labels(config, 0.2, seed=0, held_out=0.25)
    trained, tested = config.train_dataloader.dataset.indices, config.test_dataset.indices
    assert (len(trained), len(tested)) == (12, math.ceil(0.25 * 16))
    assert not set(trained) & set(tested)
    assert said == "12 of 80 labeled sweeps (12 of 80 scenes)"
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
    with pytest.raises(ValueError, match=r"train_rand\.txt refers to lines that .*train_mapping\.txt lacks"):
        read_drives(tmp_path / "mapping")


def test_one_scene_leaves_nothing_beside_what_is_held_out(simulated):
    config = load_config(CONFIGS / "centerpoint_pillar_demo.py", simulated)
    with pytest.raises(ValueError, match="of 80 labeled sweeps of 80 scenes leaves none to train on"):
        use_labels(config, 0.01, seed=0, held_out=0.2)


def test_missing_data_names_what_makes_it(tmp_path):
    with pytest.raises(MissingData, match=r"--data-root, or make it with tools/make_demo_data\.py --lidar"):
        load_config(CONFIGS / "centerpoint_pillar_demo.py", tmp_path / "nowhere")


def test_simulated_sets_are_called_so(simulated, tmp_path):
    assert data_name(simulated) == f"simulated_{simulated.name}"
    assert data_name(tmp_path) == tmp_path.name
    assert f"on simulated {simulated.name}" in load_config(CONFIGS / "centerpoint_pillar_demo.py", simulated).headline


def labeled_set(root, *frames):
    """KITTI frames with objects of these names, without points."""
    line = "{} 0.00 0 0.00 300 100 400 200 1.5 1.6 4.0 0.0 1.7 20.0 0.0\n"
    for folder in ("velodyne", "label_2"):
        (root / "training" / folder).mkdir(parents=True)
    for number, names in enumerate(frames):
        (root / f"training/velodyne/{number:06d}.bin").touch()
        (root / f"training/label_2/{number:06d}.txt").write_text("".join(map(line.format, names)))
    return root


def test_labels_without_a_requested_class_raise_with_the_names_they_have(tmp_path, warned):
    root = labeled_set(tmp_path, ["car", "DontCare", "car"], [], ["person", "car"])
    with pytest.raises(
        ValueError,
        match=rf"^{root}, 3 labeled sweeps: no object is of the classes Car, Cyclist; the "
        r"labels have car \(3\), person \(1\): set model.classes$",
    ):
        check_classes(KittiSweeps(root, labeled=True, classes=("Car", "Cyclist")))
    with pytest.raises(ValueError, match="2 labeled sweeps: no object is of the classes person; the labels have car"):
        check_classes(KittiSweeps(root, labeled=True, classes=("person",), indices=[0, 1]))
    with pytest.raises(ValueError, match="1 labeled sweeps: they have no objects"):
        check_classes(KittiSweeps(root, labeled=True, classes=(ANY,), indices=[1]))
    assert not warned
    check_classes(KittiSweeps(root, labeled=True, classes=("person", "Cyclist")))
    assert warned == [f"{root}, 3 labeled sweeps: none of Cyclist; the labels have car (3), person (1)"]
    for classes in (("car",), (ANY,)):
        check_classes(KittiSweeps(root, labeled=True, classes=classes))
    assert len(warned) == 1


@pytest.mark.parametrize("split", ["train", "val"])
def test_fine_tuning_stops_before_its_first_step(tmp_path, split):
    root = labeled_set(tmp_path, ["Car"], ["Car"])
    (root / "ImageSets").mkdir()
    for number, name in enumerate(("train", "val")):
        (root / f"ImageSets/{name}.txt").write_text(f"{number:06d}\n")
    config = load_config(CONFIGS / "centerpoint_pillar_kitti.py", root)
    other = config.train_dataloader.dataset if split == "train" else config.test_dataset
    other.classes = ("car",)
    with pytest.raises(
        ValueError, match=r"no object is of the classes car; the labels have Car \(1\): set model.classes"
    ):
        finetune(config, "random", tmp_path / "w")
    assert not (tmp_path / "w").exists()
