"""A teacher's boxes are learned next to labels: in which sweeps, which boxes, and what is refused."""

import shutil
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from jobs import ROOT
from mmengine.registry import DATASETS, MODELS
from tiny_nuscenes import write_tiny_nuscenes

from ccrop.checkpoint.recorded_config import as_data
from ccrop.projects.lidar_bev.boxes import num_points_in_boxes
from ccrop.projects.lidar_bev.datasets.objects import Objects, read_taught, write_taught
from ccrop.projects.lidar_bev.detection import ClassBalancedSampler, self_training
from ccrop.projects.lidar_bev.detection.ground_truth_sampling import PastedObjects
from ccrop.projects.lidar_bev.detection.labeled_sweeps import use_labels
from ccrop.projects.lidar_bev.detection.metrics import Compared
from ccrop.projects.lidar_bev.detection.object_bank import read_bank, write_bank
from ccrop.projects.lidar_bev.detection.self_training import FILE, described, learn_from_teacher, sure_boxes
from ccrop.projects.lidar_bev.evaluation.center_ap import Detections, Truth
from ccrop.projects.lidar_bev.evaluation.polygons import bev_intersections
from ccrop.projects.lidar_bev.finetune import load_config
from ccrop.projects.lidar_bev.grid import Grid
from ccrop.projects.lidar_bev.inference import detected, load_teacher
from ccrop.tools import finetune
from ccrop.transfer import drawn_fraction

CONFIGS = ROOT / "projects/lidar_bev/configs"
CUSTOM = CONFIGS / "centerpoint_pillar_custom.py"
SMALL = {
    "model.backbone.size": "small",
    "model.backbone.grid.low": (-12.8, -12.8, -3),
    "model.backbone.grid.high": (12.8, 12.8, 1.8),
    "model.channels": 8,
    "train_dataloader.batch_size": 2,
    "train_dataloader.num_workers": 0,
}
NAMES = [f"{number:02d}" for number in range(10)]  # eight to train on, two to test on
OBJECTS = (
    ("Car", (4.5, 1.9, 1.6)),
    ("Car", (4.2, 1.8, 1.5)),
    ("Pedestrian", (0.7, 0.6, 1.8)),
    ("Van", (5.0, 2.0, 2.2)),
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Ten sweeps in the custom layout, each with ground and four objects."""
    root = tmp_path / "data"
    for folder in ("points", "labels", "ImageSets"):
        (root / folder).mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name in NAMES:
        clouds, lines = [np.column_stack([rng.uniform(-12, 12, (500, 2)), np.full(500, -1.5)])], []
        for (kind, size), quadrant in zip(OBJECTS, rng.permutation(4), strict=True):
            angle = np.pi / 4 + quadrant * np.pi / 2 + rng.uniform(-0.3, 0.3)
            middle = np.array([7 * np.cos(angle), 7 * np.sin(angle), size[2] / 2 - 1.5])
            heading = rng.uniform(-3, 3)
            turn = np.array([[np.cos(heading), -np.sin(heading)], [np.sin(heading), np.cos(heading)]])
            local = rng.uniform(-0.5, 0.5, (30, 3)) * size
            clouds.append(np.column_stack([local[:, :2] @ turn.T, local[:, 2]]) + middle)
            lines.append(" ".join(map(str, (*middle.round(4), *size, round(heading, 4), kind))))
        cloud = np.concatenate(clouds)
        np.column_stack([cloud, np.zeros(len(cloud))]).astype(np.float32).tofile(root / f"points/{name}.bin")
        (root / f"labels/{name}.txt").write_text("\n".join(lines))
    (root / "ImageSets/train.txt").write_text("\n".join(NAMES[:8]))
    (root / "ImageSets/val.txt").write_text("\n".join(NAMES[8:]))
    return root


def work_dir_of(config, folder: Path) -> Path:
    """A work_dir as a fine-tuning leaves it, of a detector with random weights that is sure of some boxes."""
    folder.mkdir()
    torch.manual_seed(0)
    model = MODELS.build(config.model)
    torch.nn.init.normal_(model.head.heatmaps[-1].weight, std=0.3)
    torch.save(dict(state_dict=model.state_dict(), meta={}, config=as_data(config)), folder / "iter_1.pth")
    return folder


@pytest.fixture
def teacher(root: Path, tmp_path: Path) -> Path:
    return work_dir_of(load_config(CUSTOM, root, SMALL), tmp_path / "teacher")


def settled(root: Path, teacher: Path, labels: float = 0.25, held_out: float = 0.0, **settings):
    config = load_config(CUSTOM, root, SMALL)
    config.self_training.update(dict(teacher=str(teacher)) | settings)
    use_labels(config, labels, 0, held_out)
    return config


def sure_score(teacher: Path, root: Path) -> float:
    """A score that some of the teacher's boxes of the training sweeps do not reach, and that none has."""
    config = load_config(CUSTOM, root, SMALL)
    sweeps = DATASETS.build(dict(config.train_dataloader.dataset, pipeline=[]))
    scores = np.sort(np.concatenate([each.scores for *_, each in detected(load_teacher(teacher, config), sweeps)]))
    gap = next(place for place in range(len(scores) // 2, len(scores)) if scores[place + 1] - scores[place] > 1e-6)
    return float((scores[gap] + scores[gap + 1]) / 2)


def test_labels_stay_and_all_other_training_sweeps_get_the_teachers_boxes(root: Path, teacher: Path, tmp_path: Path):
    sure = sure_score(teacher, root)
    config = settled(root, teacher, min_score=sure, labeled_fraction=0.4)
    labeled = list(config.train_dataloader.dataset.indices)
    assert labeled == drawn_fraction(range(8), 0.25, 0)
    said = learn_from_teacher(config, DATASETS.build(config.test_dataset), tmp_path / "run", resumed=False)
    assert said == f", and on boxes of {teacher} with a score of at least {sure:g} on others"

    train = config.train_dataloader.dataset
    others = [index for index in range(8) if index not in labeled]
    assert train.indices == 2 * labeled + others  # 4 of 10: two sweeps, each twice, next to six
    dataset = DATASETS.build(dict(train, pipeline=[]))
    plain = DATASETS.build(dict(train, pipeline=[], indices=None, taught=None))
    for place, index in enumerate(train.indices[:4]):
        for name in ("points", "boxes", "labels", "num_points"):
            np.testing.assert_array_equal(dataset.known(place)[name], plain.known(index)[name])
    model = load_teacher(teacher, config)
    number = 0
    for place, index in enumerate(others, 4):
        taught, sample = dataset.known(place), plain.known(index)
        np.testing.assert_array_equal(taught["points"], sample["points"])
        found = model([torch.from_numpy(sample["points"])], mode="predict")[0]
        kept = [
            row
            for row in range(len(found.boxes))
            if found.scores[row] >= sure
            and (abs(found.boxes[row, :2]) < 12.8).all()
            and num_points_in_boxes(sample["points"], found.boxes[[row]])[0] > 0
        ]
        assert 0 < len(kept) < len(found.boxes)
        number += len(kept)
        np.testing.assert_array_equal(taught["boxes"], found.boxes[kept])
        assert taught["labels"].tolist() == found.labels[kept].tolist()
        assert (taught["num_points"] > 0).all()
        assert "velocities" not in taught
    (note,) = config.notes
    assert note.startswith(f"Teacher {teacher}: {number:,} boxes with a score of at least {sure:g} in 6 of 6 sweeps ")
    assert "each of 2 labeled sweeps counts as 2; by their annotations, which are not trained on, precision" in note


def test_sweeps_without_label_files_are_unlabeled(root: Path, teacher: Path, tmp_path: Path):
    for name in (NAMES[0], *NAMES[3:8]):
        (root / f"labels/{name}.txt").unlink()
    (root / f"labels/{NAMES[2]}.txt").write_text("")  # labeled: no object
    config = settled(root, teacher, labels=1.0, min_score=0.0)
    assert config.train_dataloader.dataset.indices == [1, 2]
    learn_from_teacher(config, None, tmp_path / "run", resumed=False)
    assert list(read_taught(tmp_path / "run" / FILE)) == [f"points/{name}.bin" for name in (NAMES[0], *NAMES[3:8])]
    assert "in 6 of 6 sweeps without labels" in config.notes[0]
    assert "by their annotations" not in config.notes[0]
    dataset = DATASETS.build(config.train_dataloader.dataset)
    assert sum(len(dataset[place]["boxes"]) for place in range(len(dataset))) > 0

    half = settled(root, teacher, labels=0.5, min_score=0.0)
    assert len(half.train_dataloader.dataset.indices) == 1
    learn_from_teacher(half, None, tmp_path / "half", resumed=False)
    assert len(read_taught(tmp_path / "half" / FILE)) == 7

    (root / f"labels/{NAMES[1]}.txt").write_text("a car")
    with pytest.raises(ValueError, match=f"{NAMES[1]}.txt, line 1: expected x y z dx"):
        settled(root, teacher)
    for name in NAMES[1:3]:
        (root / f"labels/{name}.txt").unlink()
    with pytest.raises(ValueError, match="none of the 8 sweeps to train on has labels"):
        settled(root, teacher)


def test_only_the_main_process_predicts(root: Path, teacher: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Another one waits for its file, and trains on the same sweeps; the file of an earlier run does not count."""
    main = settled(root, teacher, min_score=0.0)
    learn_from_teacher(main, None, tmp_path / "main", resumed=False)
    other = settled(root, teacher, min_score=0.0)
    box = np.ones((1, 7), np.float32)
    write_taught(tmp_path / "other" / FILE, {f"points/{NAMES[0]}.bin": Objects(["Car"], box)})
    monkeypatch.setattr(self_training, "load_teacher", None)
    monkeypatch.setattr(
        self_training, "in_main_process", lambda _: shutil.copy(tmp_path / "main" / FILE, tmp_path / "other")
    )
    learn_from_teacher(other, None, tmp_path / "other", resumed=False)
    assert other.train_dataloader.dataset.indices == main.train_dataloader.dataset.indices
    assert "notes" not in other


def test_a_learning_rate_search_does_not_learn_what_it_is_tested_on(root: Path, teacher: Path, tmp_path: Path):
    config = settled(root, teacher, labels=0.5, held_out=0.25, min_score=0.0)
    tested = DATASETS.build(config.test_dataset)
    learn_from_teacher(config, tested, tmp_path / "run", resumed=False)
    (held_out,) = tested.paths()
    drawn = [f"points/{NAMES[index]}.bin" for index in drawn_fraction(range(8), 0.5, 0)]
    assert held_out in drawn
    assert set(read_taught(tmp_path / "run" / FILE)) == {f"points/{name}.bin" for name in NAMES[:8]} - set(drawn)
    assert held_out not in DATASETS.build(config.train_dataloader.dataset).paths()


def test_sweeps_to_test_on_are_not_learned_even_if_the_training_split_has_them(
    root: Path, teacher: Path, tmp_path: Path
):
    (root / "ImageSets/train.txt").write_text("\n".join(NAMES))
    config = settled(root, teacher, min_score=0.0)
    config.train_dataloader.dataset.indices = [0]
    learn_from_teacher(config, DATASETS.build(config.test_dataset), tmp_path / "run", resumed=False)
    assert set(read_taught(tmp_path / "run" / FILE)) == {f"points/{name}.bin" for name in NAMES[1:8]}


def test_objects_to_paste_are_cut_from_labeled_sweeps_only_and_pasted_beside_a_teachers(root: Path, tmp_path: Path):
    """The two labeled sweeps are listed three times each; a teacher's car takes the place of an object in others."""
    config = load_config(CUSTOM, root, SMALL)
    train = dict(config.train_dataloader.dataset, pipeline=[])
    plain = DATASETS.build(train)
    blocked = plain.known(0)["boxes"][[0]]
    found = {f"points/{name}.bin": Objects(["Car"], blocked) for name in NAMES[2:8]}
    write_taught(tmp_path / "taught.npz", found)
    dataset = DATASETS.build(train | dict(indices=3 * [0, 1] + list(range(2, 8)), taught=tmp_path / "taught.npz"))
    assert dataset.with_own_labels() == [0, 1]
    write_bank(dataset, tmp_path / "bank", min_points=1, max_sweeps=4000)
    bank = read_bank(tmp_path / "bank")
    expected = [box for index in (0, 1) for box in plain.known(index)["boxes"][:3]]  # the van is of no class
    assert sorted(bank.boxes.tolist()) == sorted(np.array(expected).tolist())
    write_bank(dataset, tmp_path / "one", min_points=1, max_sweeps=1)
    np.testing.assert_array_equal(read_bank(tmp_path / "one").boxes, expected[:3])

    sample = dataset.known(8) | dict(rng=np.random.default_rng(0))
    pasted = PastedObjects(bank, [9, 9, 9])(sample)
    assert pasted["boxes"][0].tolist() == blocked[0].tolist()
    assert 1 < len(pasted["boxes"]) < 7
    assert bev_intersections(blocked, pasted["boxes"][1:]).max() == 0


def test_class_balanced_sampling_counts_a_teachers_objects(root: Path, tmp_path: Path):
    """A class that the teacher finds nowhere is drawn from labeled sweeps only."""
    config = load_config(CUSTOM, root, SMALL)
    box = np.ones((1, 7), np.float32)
    write_taught(tmp_path / "taught.npz", {f"points/{name}.bin": Objects(["Car"], box) for name in NAMES[1:8]})
    train = dict(config.train_dataloader.dataset, indices=[0, 0, *range(1, 8)], taught=tmp_path / "taught.npz")
    sampler = ClassBalancedSampler(DATASETS.build(train), seed=0)
    assert len(sampler) == 9 + 2  # cars in all nine, people in the labeled one, which is listed twice
    drawn = np.array([index for *_, index in islice(iter(sampler), 20_000)])
    assert (drawn < 2).mean() == pytest.approx(0.5 * 2 / 9 + 0.5, abs=0.02)


def test_velocities_are_taught(tmp_path: Path):
    """Those of the teacher; in a set with velocities, they are not known of a teacher that learned none."""
    root = tmp_path / "nuscenes"
    write_tiny_nuscenes(root)
    options = SMALL | {"train_dataloader.dataset.split": "mini_train", "test_dataset.split": "mini_val"}
    options |= {"model.backbone.grid.low": (-12.8, -12.8, -5), "model.backbone.grid.high": (12.8, 12.8, 3)}
    for learned in (True, False):
        config = load_config(CONFIGS / "centerpoint_pillar_nuscenes.py", root, options)
        own = load_config(CONFIGS / "centerpoint_pillar_nuscenes.py", root, options | {"model.velocity": learned})
        teacher = work_dir_of(own, tmp_path / f"teacher_{learned}")
        use_labels(config, 0.5, 0)
        config.self_training.update(teacher=str(teacher), min_score=0.0)
        learn_from_teacher(config, None, tmp_path / f"run_{learned}", resumed=False)
        dataset = DATASETS.build(dict(config.train_dataloader.dataset, pipeline=[]))
        assert len(dataset) == 6  # three labeled key frames of one scene, three taught of the other
        for place in range(3, 6):
            taught = dataset.known(place)
            assert len(taught["boxes"]) > 0
            found = load_teacher(teacher, config)([torch.from_numpy(taught["points"])], mode="predict")[0]
            kept = (num_points_in_boxes(taught["points"], found.boxes) > 0) & (abs(found.boxes[:, :2]) < 12.8).all(1)
            expected = found.velocities[kept] if learned else np.full((kept.sum(), 2), np.nan)
            np.testing.assert_array_equal(taught["velocities"], expected)


def tuned(root: Path, teacher: Path | None, *flags: str, options: tuple[str, ...] = ()) -> int:
    command = [str(CUSTOM), "--data-root", str(root), "--init", "random", "--iterations", "1", "--labels", "25%"]
    command += ["--work-dir", str(root.parent / "run"), *([] if teacher is None else ["--teacher", str(teacher)])]
    settings = [f"{name}={value}".replace(" ", "") for name, value in SMALL.items()]
    return finetune.main([*command, *flags, "--cfg-options", *settings, "self_training.min_score=0.03", *options])


def test_a_resumed_run_takes_up_its_boxes_again_and_no_other_teacher(
    root: Path, teacher: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    away = tmp_path / "away"
    shutil.copytree(teacher, away)
    assert tuned(root, away) == 0
    out = capsys.readouterr().out
    assert f"trained on 2 of 8 labeled sweeps (2 of 8 scenes), and on boxes of {away} with a score of at least" in out
    assert f"Teacher {away}: " in out
    assert "Ground-truth sampling from 4 Car, 2 Pedestrian, 0 Cyclist" in out
    before = (tmp_path / "run" / FILE).read_bytes()
    shutil.rmtree(away)
    assert tuned(root, away, "--resume") == 0
    assert (tmp_path / "run" / FILE).read_bytes() == before
    capsys.readouterr()
    assert tuned(root, teacher, "--resume") == 2
    assert f"on boxes of {away} with a score of at least 0.03 on others" in capsys.readouterr().err


def test_an_unusable_teacher_is_one_line(root: Path, teacher: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    def refused(message: str, *flags: str, options: tuple[str, ...] = (), teacher: Path = teacher) -> None:
        assert tuned(root, teacher, *flags, options=options) == 2
        error = capsys.readouterr().err
        assert message in error
        assert len(error.splitlines()) == 1

    refused("nowhere does not exist: pass a fine-tuning run's work_dir", teacher=Path("nowhere"))
    refused("of the 6 sweeps without labels at 1 or above: train it longer", options=("self_training.min_score=1.0",))
    refused("self_training.min_score must be from 0 to 1, got 35", options=("self_training.min_score=35",))
    refused("labeled_fraction must be from 0 to 0.999, got 1", options=("self_training.labeled_fraction=1",))
    refused("--unlabeled applies to images", "--unlabeled", str(root))
    refused(f"{root} has no sweep without labels in its training split: add some, or leave", "--labels", "100%")
    classes = ("model.classes=['Car','Van']", "model.distances=[2.0,2.0]")
    refused(f"{teacher} does not detect Van, which this data set labels", options=classes)
    wide = ("model.backbone.grid.low=(-25.6,-25.6,-3)",)
    refused(f"{teacher} detects objects from (-12.8, -12.8, -3) to (12.8, 12.8, 1.8) m, but the ", options=wide)
    columns = ["x", "y", "z", "intensity", "ring"]
    other = load_config(CUSTOM, root, SMALL | {"model.backbone.columns": 5, "test_dataset.columns": columns})
    five = work_dir_of(other, tmp_path / "five")
    refused(f"{five} takes 5 values per point, x, y, z, intensity, ring first, but the sweeps have 4", teacher=five)
    assert not (tmp_path / "run/iter_1.pth").exists()


def test_a_set_without_labels_has_nothing_to_learn_boxes_next_to(root: Path, teacher: Path, tmp_path: Path):
    config = settled(root, teacher)
    config.train_dataloader.dataset.labeled = False
    with pytest.raises(ValueError, match="learned next to labels, which this training set does not have"):
        learn_from_teacher(config, None, tmp_path / "run", resumed=False)


def test_only_sure_boxes_of_the_classes_on_the_grid_with_points_are_learned():
    grid = Grid(low=(-10, -10, -3), high=(10, 10, 2), cell=0.5)
    centers = [(0, 0), (0, 0), (0, 0), (10, 0), (9.9, 0), (5, 5)]
    boxes = np.array([(x, y, 0, 2, 2, 2, 0.5) for x, y in centers], np.float32)
    scores = np.array([0.9, 0.5, 0.49, 0.9, 0.6, 0.9], np.float32)
    labels = np.array([1, 0, 1, 1, 1, 1])  # car, person
    points = np.array([[0, 0, 0, 0], [9.8, 0, 0, 0], [10.1, 0, 0, 0]], np.float32)
    velocities = np.arange(12, dtype=np.float32).reshape(6, 2)
    found = Detections(boxes, scores, labels, velocities=velocities)
    sure = sure_boxes(found, points, ("car", "person"), ("person", "tram"), grid, 0.5)
    np.testing.assert_array_equal(sure.boxes, boxes[[0, 4]])
    assert sure.labels.tolist() == [0, 0]
    np.testing.assert_array_equal(sure.velocities, velocities[[0, 4]])


def test_precision_and_recall_are_of_boxes_of_the_right_class_within_a_meter():
    def boxes(*centers: tuple[float, float]) -> np.ndarray:
        return np.array([(x, y, 0, 4, 2, 2, 0) for x, y in centers], np.float32).reshape(-1, 7)

    truth = Truth(boxes((0, 0), (10, 0), (20, 0), (30, 0)), np.array([0, 0, 1, 1]), np.array([True, True, True, False]))
    found = Detections(
        # right; the same again; 1.1 m away; of the other class; right, but what it finds does not count
        boxes((0.9, 0), (0.5, 0), (11.1, 0), (20, 0), (30, 0)),
        np.array([0.9, 0.8, 0.7, 0.6, 0.5]),
        np.array([0, 0, 0, 0, 1]),
        np.ones(5, bool),
    )
    points = np.ones(5, np.int64)
    line = described([Compared(truth, found, points[:4], points)], ("Car", "Person", "Tram"))
    assert line.endswith("within 1 m: 25.0% and 33.3% (Car 25.0% and 50.0%; Person no box and 0.0%)")
    assert described([], ("Car",)) == ""


def test_objects_of_several_sweeps_are_read_as_they_were_written(tmp_path: Path):
    boxes = np.arange(21, dtype=np.float32).reshape(3, 7)
    found = {
        "b.bin": Objects(["Car", "Person"], boxes[:2], np.ones((2, 2), np.float32)),
        "a.bin": Objects(["Car"], boxes[2:], np.full((1, 2), np.nan, np.float32)),
    }
    write_taught(tmp_path / "taught.npz", found)
    read = read_taught(tmp_path / "taught.npz")
    assert list(read) == ["b.bin", "a.bin"]
    for path, own in found.items():
        assert read[path].names == own.names
        np.testing.assert_array_equal(read[path].boxes, own.boxes)
        np.testing.assert_array_equal(read[path].velocities, own.velocities)


@pytest.mark.parametrize("name", ["pillar_demo", "pillar_kitti", "pillar_nuscenes", "pillar_custom", "voxel_nuscenes"])
def test_every_detector_of_sweeps_has_the_section(name: str, tmp_path: Path):
    settings = load_config(CONFIGS / f"centerpoint_{name}.py", tmp_path).self_training
    assert settings.teacher is None
