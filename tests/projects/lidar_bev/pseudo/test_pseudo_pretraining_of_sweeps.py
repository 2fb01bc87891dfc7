"""From unlabeled sweeps to a detector: the boxes of each round, and what the log says of them."""

import json
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from jobs import ROOT
from mmengine.registry import DATASETS

from ccrop.projects.lidar_bev.evaluation.center_ap import Detections
from ccrop.projects.lidar_bev.evaluation.polygons import bev_ious
from ccrop.projects.lidar_bev.finetune import load_config
from ccrop.projects.lidar_bev.pseudo import pseudo_pretraining
from ccrop.projects.lidar_bev.pseudo.neighbors import MotionOfBoxes
from ccrop.projects.lidar_bev.pseudo.pseudo_pretraining import described, first_boxes, labeled_sweeps, listed
from ccrop.tools import train

CONFIG = str(ROOT / "projects/lidar_bev/configs/centerpoint_pseudo_demo.py")
TINY = [
    "model.backbone.grid.low=(-12,-12,-3)",
    "model.backbone.grid.high=(12,12,1.8)",
    "model.channels=8",
    "train_cfg.max_iters=1",
    "train_dataloader.batch_size=1",
    "pseudo_boxes.max_boxes=8",
]


@pytest.fixture(scope="module")
def unlabeled(simulated: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fifth of the points of two sweeps, and nothing else."""
    root = tmp_path_factory.mktemp("unlabeled")
    (root / "training/velodyne").mkdir(parents=True)
    (root / "ImageSets").mkdir()
    names = [f"{number:06d}" for number in range(2)]
    for name in names:
        points = np.fromfile(simulated / f"training/velodyne/{name}.bin", np.float32).reshape(-1, 4)
        points[::5].tofile(root / f"training/velodyne/{name}.bin")
    (root / "ImageSets/train.txt").write_text("\n".join(names))
    return root


def pretrain(root: Path, work_dir: Path, *options: str, flags: tuple[str, ...] = ()) -> int:
    command = [CONFIG, "--data-root", str(root), "--work-dir", str(work_dir), *flags]
    return train.main([*command, "--cfg-options", *TINY, *options])


def test_rounds_on_sweeps_without_any_label(unlabeled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    work_dir = tmp_path / "run"
    assert pretrain(unlabeled, work_dir, "pseudo_boxes.rounds=2", "pseudo_boxes.min_score=0.9") == 0
    shown = capsys.readouterr().out
    reason = f"{work_dir}/round_0 scores no box of the training sweeps at 0.9 or above: train it longer, or lower"
    assert f"Round 0 was the last: {reason} pseudo_boxes.min_score" in shown
    assert "2 of 2 sweeps" in shown
    page = (work_dir / "report.html").read_text()
    assert f"<p>Round 0 was the last: {reason} pseudo_boxes.min_score" in page
    assert "<figcaption>Pseudo-boxes of round 0.</figcaption>" in page
    assert not (work_dir / "round_1").exists()
    options = ["pseudo_boxes.rounds=2", "pseudo_boxes.min_score=0.0"]
    assert pretrain(unlabeled, work_dir, *options, flags=("--resume",)) == 0
    assert f"--init {work_dir}/round_1/iter_1.pth" in capsys.readouterr().out
    assert pretrain(unlabeled, work_dir, *options, "train_cfg.max_iters=2", flags=("--resume",)) == 2
    assert f"{work_dir}/round_0/iter_1.pth was trained with iterations 1, not 2: repeat" in capsys.readouterr().err
    first, second = (json.loads((work_dir / f"round_{number}/boxes.json").read_text())["sweeps"] for number in (0, 1))
    assert [each["path"] for each in first] == [f"training/velodyne/{number:06d}.bin" for number in range(2)]
    for sweeps in (first, second):
        for each in sweeps:
            assert len(each["boxes"]) == len(each["scores"]) == len(each["heading_weights"]) > 0
    headings = np.concatenate([np.array(each["boxes"])[:, 6] for each in first])
    assert (abs(headings) > 0.05).mean() > 0.5
    state = torch.load(work_dir / "round_1/iter_1.pth", weights_only=False)["state_dict"]
    assert len(state["head.heatmaps.1.bias"]) == 1
    log = next((work_dir / "round_0").rglob("*.log")).read_text()
    line = r"Round 0 of 2: \d+ pseudo-boxes of 2 sweeps; not compared with labels: .*label file not found"
    assert re.search(line, log)

    teacher = f"pseudo_boxes.detector={work_dir}/round_0"
    assert pretrain(unlabeled, tmp_path / "taught", teacher, "pseudo_boxes.min_score=0.0") == 0
    assert json.loads((tmp_path / "taught/round_0/boxes.json").read_text())["sweeps"] == second
    assert pretrain(unlabeled, tmp_path / "taught", teacher, "pseudo_boxes.min_score=0.9") == 2
    assert reason in capsys.readouterr().err
    with_ring = ["model.backbone.columns=5", "train_dataloader.dataset.columns=[x,y,z,intensity,ring]"]
    folder = [CONFIG.replace("demo", "folder"), "--data-root", str(unlabeled), "--work-dir", str(tmp_path / "five")]
    for options, message in (
        (["pseudo_boxes.min_motion=0.5"], "pseudo_boxes.min_motion selects clusters, but pseudo_boxes.detector"),
        (["pseudo_boxes.detector=3"], "pseudo_boxes.detector must be a path, got 3: write ./NAME, or its whole path"),
        (with_ring, f"{work_dir}/round_0 takes 4 values per point, x, y, z, intensity first, but the sweeps have 5, x"),
    ):
        assert train.main([*folder, "--cfg-options", *TINY, teacher, *options]) == 2
        assert message in capsys.readouterr().err
        assert not (tmp_path / "five/round_0").exists()
    init = tmp_path / "other.pth"
    torch.save({"conv1.weight": torch.zeros(3, 3, 7, 7)}, init)
    assert pretrain(unlabeled, tmp_path / "misfit", teacher, flags=("--init", str(init))) == 2
    assert "other.pth" in capsys.readouterr().err
    assert not (tmp_path / "misfit/round_0").exists()


def test_boxes_of_several_classes_around_one_object_count_once(unlabeled: Path, monkeypatch: pytest.MonkeyPatch):
    sweeps = DATASETS.build(load_config(CONFIG, unlabeled).train_dataloader.dataset | dict(labeled=False, pipeline=[]))
    middle = np.array([0, 0, 0, 100, 100, 100, 0], np.float32)  # holds points wherever it is
    shifts = np.array([[0, 0], [0.3, 0], [0.8, 0], [0, 5], [0, 9]])
    boxes = np.tile(middle, (5, 1))
    boxes[:, :2] += shifts
    scores = np.array([0.6, 0.9, 0.5, 0.7, 0.2], np.float32)
    one = Detections(boxes, scores, np.array([0, 1, 0, 1, 1]), None, None)
    model = SimpleNamespace(distances=(2.0, 0.7), to=lambda device: None)
    monkeypatch.setattr(pseudo_pretraining, "detected", lambda model, sweeps: iter([(0, sweeps[0], one)]))
    content = pseudo_pretraining.sure_boxes(model, sweeps, 0.3)
    scores = [np.round(each["scores"], 4).tolist() for each in content["sweeps"]]
    assert scores == [[0.9, 0.7], []]  # 0.3 m and 0.5 m apart are one object
    np.testing.assert_allclose(content["sweeps"][0]["boxes"], boxes[[1, 3]], atol=1e-4)


def test_a_folder_of_sweeps(unlabeled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    command = [CONFIG.replace("demo", "folder"), "--data-root", str(unlabeled), "--work-dir", str(tmp_path / "run")]
    options = ["pseudo_boxes.rounds=1", "model.backbone.size=small", "train_dataloader.num_workers=0"]
    assert train.main([*command, "--cfg-options", *TINY, *options]) == 0
    assert "pseudo-boxes of 2 sweeps; not compared with labels: the data set has no labels" in capsys.readouterr().out
    assert set(json.loads((tmp_path / "run/round_0/metrics.json").read_text())) == {"core_seconds"}
    assert train.main([command[0], "--work-dir", str(tmp_path / "run")]) == 2
    assert "the data root None does not exist: pass one with --data-root" in capsys.readouterr().err


def test_sweeps_without_a_cluster_are_refused_before_a_round(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "flat").mkdir()
    level = np.mgrid[-9:9:40j, -9:9:40j].reshape(2, -1).T
    np.column_stack([level, np.full(len(level), -1.7), level[:, 0] * 0]).astype(np.float32).tofile(
        tmp_path / "flat/0.bin"
    )
    command = [CONFIG.replace("demo", "folder"), "--data-root", str(tmp_path / "flat")]
    assert train.main([*command, "--work-dir", str(tmp_path / "run"), "--cfg-options", *TINY]) == 2
    assert "flat: none of the 1 sweeps has a cluster of which a box can be fitted" in capsys.readouterr().err
    assert not (tmp_path / "run/round_0").exists()


def test_the_boxes_of_a_round_are_compared_with_labels(simulated: Path, tmp_path: Path):
    config = load_config(CONFIG, simulated, {"train_dataloader.dataset.subset": 2})
    labeled, reason = labeled_sweeps(config)
    assert reason == ""
    assert set(labeled.classes) <= {"Car", "Van", "Truck", "Pedestrian", "Cyclist"}
    settings = config.pseudo_boxes
    settings.localizer.grid = config.model.backbone.grid
    file = tmp_path / "boxes.json"
    file.write_text(json.dumps(first_boxes(labeled, settings)))
    line = described(file, labeled, reason, settings)
    recall = re.search(r"recall at BEV IoU 0.3 .*?Car ([\d.]+)%", line)
    assert float(recall[1]) > 60
    assert float(re.search(r"IoU 0.5 .*precision ([\d.]+)%", line)[1]) > 10


def test_boxes_that_have_moved_alone_are_learned(sequences: Path, monkeypatch: pytest.MonkeyPatch):
    options = {"train_dataloader.dataset.scenes": ["sequence-0000"]}
    config = load_config(CONFIG.replace("demo", "nuscenes"), sequences, options)
    settings = config.pop("pseudo_boxes")
    settings.localizer.grid = config.model.backbone.grid
    sweeps = DATASETS.build(dict(config.train_dataloader.dataset, pipeline=[]))

    every = first_boxes(sweeps, settings)["sweeps"]
    settings.min_motion = 0.5
    moved = first_boxes(sweeps, settings)["sweeps"]
    overlaps = []
    for index, (more, fewer) in enumerate(zip(every, moved, strict=True)):
        own = [more["boxes"].index(box) for box in fewer["boxes"]]
        for name in ("scores", "heading_weights"):
            assert fewer[name] == [more[name][place] for place in own]
        sample = sweeps.known(index)
        drives = np.hypot(*sample["velocities"].T) > 0.5
        if len(own) and drives.any():
            boxes = np.array(fewer["boxes"])
            overlaps += bev_ious(boxes, sample["boxes"][drives].astype(float)).max(axis=1).tolist()
    assert 10 < len(overlaps) < 0.3 * sum(len(each["boxes"]) for each in every)
    assert np.mean(np.array(overlaps) > 0) > 0.6

    with monkeypatch.context() as patch:
        patch.setattr(MotionOfBoxes, "__call__", lambda self, index, boxes, points: np.zeros(len(boxes)))
        with pytest.raises(ValueError, match=r"no pseudo-box of the 8 sweeps has a motion score of 0.5 or more: lower"):
            first_boxes(sweeps, settings)
    settings.motion_gaps = (7.0,)
    with pytest.raises(ValueError, match=r"none of the 8 sweeps has another about 7 s before or after"):
        first_boxes(sweeps, settings)
    settings.min_motion = 1.5
    with pytest.raises(ValueError, match=r"min_motion must be in \(0, 1\], or None, got 1.5"):
        first_boxes(sweeps, settings)


def test_a_number_of_boxes_that_leaves_none_is_refused_before_clusters(
    unlabeled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("ccrop.projects.lidar_bev.pseudo.pseudo_pretraining.first_boxes", None)
    assert pretrain(unlabeled, tmp_path / "run", "pseudo_boxes.max_boxes=0") == 2
    assert "pseudo_boxes.max_boxes must be a whole number of at least 1, got 0" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_motion_of_sweeps_without_poses_is_refused(unlabeled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert pretrain(unlabeled, tmp_path / "run", "pseudo_boxes.min_motion=0.5") == 2
    assert "KittiSweeps has no ego poses, which motion scores need" in capsys.readouterr().err


def test_figures_in_words():
    quality = {"recall_0.3_Car": 0.5, "recall_0.5_Car": 0.25, "precision_0.3": 0.125, "precision_0.5": float("nan")}
    quality |= {"recall_0.3_Van": float("nan"), "recall_0.5_Van": float("nan")}
    assert listed(quality, ("Car", "Van")) == (
        "recall at BEV IoU 0.3 Car 50.0%, precision 12.5%; recall at BEV IoU 0.5 Car 25.0%, precision nan%"
    )
