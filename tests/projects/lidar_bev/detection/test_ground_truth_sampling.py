"""Ground-truth sampling: what is cut out, where it lands, and from which sweeps it comes."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from mmengine.dataset import Compose
from mmengine.logging import MMLogger

from ccrop.projects.lidar_bev.boxes import num_points_in_boxes
from ccrop.projects.lidar_bev.datasets import OTHER, CustomSweeps
from ccrop.projects.lidar_bev.detection.ground_truth_sampling import (
    GroundTruthSamplingHook,
    PastedObjects,
    of_each_class,
    without_collision,
)
from ccrop.projects.lidar_bev.detection.object_bank import bank_of

CLASSES = ("Car", "Person")
# of each sweep: x, y, length, width, class, points
SWEEPS = {
    "a": [(10, 0, 4, 2, "Car", 30), (0, 6, 0.6, 0.6, "Person", 8), (5, -5, 4, 2, "Tram", 40)],
    "b": [(-9, 3, 4, 2, "Car", 20), (7, 7, 0.6, 0.6, "Person", 3)],
    "c": [(0, -12, 4, 2, "Car", 50)],
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for folder in ("points", "labels", "ImageSets"):
        (tmp_path / folder).mkdir()
    for number, (name, objects) in enumerate(SWEEPS.items()):
        ground = np.column_stack([rng.uniform(-20, 20, (200, 2)), np.full(200, -3.0), np.zeros(200)])
        clouds, lines = [ground], []
        for x, y, length, width, kind, count in objects:
            local = rng.uniform(-0.45, 0.45, (count, 3)) * [length, width, 1.5]
            clouds.append(np.column_stack([local + [x, y, -1], np.full(count, (number + 1) / 10)]))  # noqa: RUF005
            lines.append(f"{x} {y} -1 {length} {width} 1.5 0 {kind}\n")
        np.concatenate(clouds).astype(np.float32).tofile(tmp_path / f"points/{name}.bin")
        (tmp_path / f"labels/{name}.txt").write_text("".join(lines))
    return tmp_path


def dataset(root: Path, indices: list[int] | None = None) -> CustomSweeps:
    return CustomSweeps(root, labeled=True, classes=CLASSES, indices=indices)


def test_the_bank_has_the_objects_of_the_classes_with_their_points(root: Path, tmp_path: Path):
    bank = bank_of(dataset(root), tmp_path / "bank", min_points=5, max_sweeps=10)
    assert bank.labels.tolist() == [0, 1, 0, 0]
    assert np.diff(bank.starts).tolist() == [30, 8, 20, 50]
    for place, box in enumerate(bank.boxes):
        own = bank.points[bank.starts[place] : bank.starts[place + 1]]
        assert num_points_in_boxes(own, box[None]).tolist() == [len(own)]
    assert np.unique(bank.points[:, 3]).tolist() == pytest.approx([0.1, 0.2, 0.3])
    assert np.isnan(bank.velocities).all()
    few = bank_of(dataset(root), tmp_path / "few", min_points=5, max_sweeps=2)
    assert np.diff(few.starts).tolist() == [30, 8, 50]


def test_the_objects_of_a_share_come_from_its_sweeps_alone(root: Path, tmp_path: Path):
    bank = bank_of(dataset(root, [1]), tmp_path / "bank", min_points=1, max_sweeps=10)
    assert (bank.labels.tolist(), np.unique(bank.points[:, 3]).tolist()) == ([0, 1], pytest.approx([0.2]))


@pytest.mark.parametrize("angle", [0.0, np.pi])
def test_pasted_objects_bring_their_points_and_touch_nothing(root: Path, tmp_path: Path, angle: float):
    own = dataset(root)
    bank = bank_of(own, tmp_path / "bank", min_points=5, max_sweeps=10)
    step = PastedObjects(bank, (3, 2), angle)
    numbers = set()
    for seed in range(20):
        before = own.known(1)
        after = step(before | dict(rng=np.random.default_rng(seed)))
        added = slice(len(before["boxes"]), None)
        numbers.add(len(after["boxes"]) - 2)
        np.testing.assert_array_equal(after["boxes"][:2], before["boxes"])
        assert without_collision(after["boxes"], np.zeros((0, 7))).all()
        np.testing.assert_array_equal(num_points_in_boxes(after["points"], after["boxes"]), after["num_points"])
        counts = dict(zip(np.diff(bank.starts).tolist(), bank.boxes, strict=True))
        for box, count, label in zip(
            after["boxes"][added], after["num_points"][added], after["labels"][added], strict=True
        ):
            source = counts[count]
            assert np.hypot(*box[:2]) == pytest.approx(np.hypot(*source[:2]), rel=1e-5)
            np.testing.assert_allclose(box[2:6], source[2:6])
            assert (label == 0) == (box[3] > 1)
            if not angle:
                np.testing.assert_allclose(box, source)
    assert max(numbers) == (3 if not angle else 4)  # b's own car lies where it is


def test_what_lay_in_the_way_is_removed_and_velocities_turn(root: Path, tmp_path: Path):
    bank = bank_of(dataset(root, [2]), tmp_path / "bank", min_points=5, max_sweeps=10)
    bank = bank._replace(velocities=np.array([[1.0, 2.0]], dtype=np.float32))
    empty = dict(boxes=np.zeros((0, 7), np.float32), labels=np.zeros(0, int), num_points=np.zeros(0, int))
    points = np.array([[0, -12, -1, 0.9], [0, 5, -1, 0.9]], dtype=np.float32)
    sample = empty | dict(points=points, velocities=np.zeros((0, 2), np.float32), rng=np.random.default_rng(1))
    after = PastedObjects(bank, (1, 0))(sample)
    assert after["points"].shape == (51, 4)
    assert (after["points"][:, 3] == np.float32(0.9)).sum() == 1
    assert after["velocities"].tolist() == [[1, 2]]
    turned = PastedObjects(bank, (1, 0), np.pi)(sample)
    angle = turned["boxes"][0, 6]
    expected = [np.cos(angle) - 2 * np.sin(angle), np.sin(angle) + 2 * np.cos(angle)]
    assert turned["velocities"][0].tolist() == pytest.approx(expected, rel=1e-5)


def test_collisions_are_judged_one_after_another():
    """The second overlaps the first, the third the second alone: it may stay. The fourth overlaps what is there."""
    boxes = np.array([[x, 0, 0, 4, 2, 1, 0] for x in (0, 3, 6, 20)], dtype=float)
    present = np.array([[22.0, 1, 0, 4, 2, 1, 0.3]])
    assert without_collision(boxes, present).tolist() == [True, False, True, False]
    assert without_collision(boxes[:0], present).tolist() == []


def test_the_hook_pastes_into_what_is_trained_on(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    own = dataset(root, [0])
    own.pipeline = Compose([lambda sample: sample["labels"].tolist()])
    lines: list[str] = []
    logger = MMLogger.get_current_instance()
    monkeypatch.setattr(logger, "info", lines.append)
    loader = SimpleNamespace(dataset=own)
    GroundTruthSamplingHook(2, angle=np.pi).before_train(
        SimpleNamespace(train_dataloader=loader, work_dir=tmp_path, logger=logger)
    )
    assert lines == ["Ground-truth sampling from 1 Car, 1 Person"]
    drawn = [own[(seed, 0, 0)] for seed in range(10)]
    assert all(labels[:3] == [0, 1, OTHER] for labels in drawn)
    assert {tuple(sorted(labels[3:])) for labels in drawn} >= {(0, 1)}


def test_numbers_by_class():
    assert of_each_class(3, CLASSES) == [3, 3]
    assert of_each_class(dict(Person=2), CLASSES) == [0, 2]
    with pytest.raises(
        ValueError, match=r"numbers names Tram, which are not classes of the detector: list some of Car, Per"
    ):
        of_each_class(dict(Tram=2), CLASSES)
