"""What a picture of detections beside objects says of each of them, and what a run keeps of it."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from ccrop.projects.lidar_bev.datasets import OTHER
from ccrop.projects.lidar_bev.detection.metrics import compared
from ccrop.projects.lidar_bev.evaluation.center_ap import Detections, Truth
from ccrop.projects.lidar_bev.findings import (
    FALSE,
    FOUND,
    HIT,
    MISSED,
    UNCOUNTED,
    SweepOutcome,
    draw,
    draw_scale,
    keep,
    matched,
    read_found,
    seen,
)
from ccrop.projects.lidar_bev.grid import Grid

GRID = Grid(low=(-12, -12, -3), high=(12, 12, 1.8), cell=0.375)
CLASSES = ("Car", "Person")


def box(x: float, y: float) -> list[float]:
    return [x, y, 0, 2, 1, 1, 0]


def objects_and_detections() -> tuple[dict, Detections]:
    """A found object, a missed one and a van; a hit, one too many, one in the van, and one of the wrong class."""
    objects = np.array([box(5, 0), box(5, 5), box(-5, 5)], np.float32)
    found = Detections(
        np.array([box(5.5, 0), box(6, 0), box(-5, 5), box(5, 5)], np.float32),
        np.array([0.9, 0.8, 0.7, 0.6]),
        np.array([0, 0, 0, 1]),
    )
    sample = dict(points=objects[:, :4], boxes=objects, labels=np.array([0, 0, OTHER]), num_points=np.array([1, 1, 1]))
    return sample, found


def test_the_arrow_is_the_x_axis_whatever_is_ahead():
    """It points up, where larger x are; nuScenes' and ONCE's own frames have the car's front elsewhere."""
    axes = Figure().subplots()
    draw_scale(axes, GRID.extent)
    named = {text.get_text(): text for text in axes.texts}
    assert set(named) == {"10 m", "x", ""}
    (_, start), (_, end) = named[""].xyann, named[""].xy
    assert start < end


def test_hits_misses_and_other_classes():
    sample, found = objects_and_detections()
    sweep = compared(sample, found, GRID)
    hits, of_objects = matched(sweep.truth, sweep.found)
    assert hits.tolist() == [True, False, False, False]
    assert of_objects.tolist() == [True, False, False]

    axes = Figure().subplots()
    tested = SweepOutcome("a", sample["points"], ["Car", "Car", "Van"], sweep.truth, sweep.found)
    assert draw(axes, tested, CLASSES, GRID.extent) == "1 of 2 found, 2 false"
    drawn = {}
    for outlines in [each for each in axes.collections if hasattr(each, "get_segments")][::2]:
        for color in {to_hex(value) for value in outlines.get_color()} if outlines.get_segments() else ():
            middles = [np.mean(each[:4], axis=0)[::-1].round(3).tolist() for each in outlines.get_segments()]
            drawn.setdefault(color, []).extend(middles)
    assert drawn == {
        FOUND: [[5, 0]],
        HIT: [[5.5, 0]],
        MISSED: [[5, 5]],
        FALSE: [[6, 0], [5, 5]],
        UNCOUNTED: [[-5, 5], [-5, 5]],
    }
    assert {text.get_text(): text.get_color() for text in axes.texts} == {
        "Car": MISSED, "Van": UNCOUNTED, "Car 0.90": HIT,
    }  # fmt: skip


def test_the_most_confident_detection_finds_the_object_in_whatever_order():
    sample, found = objects_and_detections()
    turned = Detections(*(values[::-1] for values in found[:3]))
    sweep = compared(sample, turned, GRID)
    assert matched(sweep.truth, sweep.found)[0].tolist() == [False, False, False, True]


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """Of sweeps 0, 2, ... 12, each with :func:`objects_and_detections`, but sweep 4 with nothing that counts."""
    sample, found = objects_and_detections()
    sample["points"] = np.array([[5, 0, 1, 0.5], [30, 0, 1, 0.5]], np.float32)
    indices = list(range(0, 14, 2))
    sweeps = [compared(sample, found._replace(scores=np.array([0.9, 0.8, 0.29, 0.3])), GRID) for _ in indices]
    sweeps[2].truth.counted[:2] = False  # the van is left, which is not asked for
    dataset = SimpleNamespace(
        get_data_info=lambda index: dict(path=f"velodyne/{index}.bin", **({"name": "first"} if index == 0 else {})),
        object_names=lambda _: ["Car", "Car", "Van"],
        known=lambda _: sample,
    )
    keep(tmp_path / "d.npz", dataset, indices, sweeps, CLASSES, GRID.extent, {"mAP": np.array([0.5, 0.25])})
    return tmp_path / "d.npz"


def test_a_run_keeps_every_object_and_four_sweeps_to_draw(kept: Path):
    with np.load(kept) as content:
        assert content["sweeps"].tolist() == [0, 2, 4, 6, 8, 10, 12]
        assert content["objects"].shape == (21, 10)
        assert content["objects"][4].tolist() == [2, *box(5, 5), 0, 1]
        assert content["objects"][6:9, 9].tolist() == [0, 0, 1]
        assert content["mAP"].tolist() == [0.5, 0.25]
    read = read_found(kept)
    assert list(read.sweeps) == [0, 6, 8, 12]  # evenly among the six with objects
    assert (read.classes, read.extent) == (list(CLASSES), GRID.extent)
    first = read.sweeps[0]
    assert (first.title, read.sweeps[6].title) == ("first", "velodyne/6.bin")
    assert first.points.tolist() == [[5, 0, 1]]  # the other is outside of the picture
    assert first.names == ["Car", "Car", "Van"]
    assert first.found.scores.tolist() == [0.9, 0.8, 0.3]
    assert first.found.boxes[:, 0].tolist() == [5.5, 6, 5]
    assert first.found.counted.tolist() == [True, True, True]


def test_a_picture_shows_the_side_that_a_sweep_covers():
    truth = Truth(np.array([box(40, 6)], np.float32), np.array([0]), np.array([True]))
    none = Detections(np.zeros((0, 7)), np.zeros(0), np.zeros(0, int), np.zeros(0, bool))
    ahead = SweepOutcome("a", np.array([[1, -8, 0], [38, 9, 0]], np.float32), ["Car"], truth, none)
    whole = (-50.0, -50.0, 50.0, 50.0)
    # x from 1 to 40 and 2 m more at both ends, 43 m; y around the middle of -8 and 9
    assert seen(ahead, whole) == pytest.approx((-1, 0.5 - 21.5, 42, 0.5 + 21.5))
    around = ahead._replace(points=np.array([[-60, -60, 0], [60, 60, 0]], np.float32))
    assert seen(around, whole) == whole
    assert seen(ahead, (-12.0, -12.0, 12.0, 12.0)) == (-12, -12, 12, 12)
    off_grid = truth._replace(counted=np.array([False]))
    edge = ahead._replace(points=np.array([[45, 48, 0]], np.float32), truth=off_grid)
    assert seen(edge, whole) == (20, 20, 50, 50)  # 30 m at least
    assert seen(edge._replace(points=np.zeros((0, 3))), whole) == whole


def test_colors_and_counts_on_the_picture_of_a_report(kept: Path):
    picture, text = read_found(kept).picture(6, "run")
    assert text == "run, velodyne/6.bin: 1 of 2 found, 2 false"
    assert picture.size == (900, 900)
    pixels, scale = np.asarray(picture).astype(int), 900 / 24

    def near(x: float, y: float, color: str) -> int:
        """Pixels of a color within 0.4 m."""
        row, column, side = round((12 - x) * scale), round((12 - y) * scale), round(0.4 * scale)
        part = pixels[row - side : row + side, column - side : column + side]
        return (abs(part - [int(color[i : i + 2], 16) for i in (1, 3, 5)]).max(axis=2) < 40).sum()

    assert near(4, 0, FOUND) > 10  # the rear of the found object, and below the detection's
    assert near(4.5, 0, HIT) > 10
    assert near(7, 0, FALSE) > 10
    assert near(-6, 5, UNCOUNTED) > 10
    for x, y in ((4, 0), (4.5, 0), (7, 0), (-6, 5)):
        assert near(x, y, MISSED) == 0
    assert near(4, -5, FOUND) == near(0, 8, FALSE) == 0  # left is left
