"""What a picture of detections beside objects says of each of them."""

import numpy as np
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from ccrop.projects.lidar_bev.datasets import OTHER
from ccrop.projects.lidar_bev.detection.detector import CenterPoint
from ccrop.projects.lidar_bev.detection.metrics import compared
from ccrop.projects.lidar_bev.draw import FALSE, FOUND, HIT, MISSED, draw, matched
from ccrop.projects.lidar_bev.evaluation.center_ap import Detections
from ccrop.projects.lidar_bev.grid import Grid
from ccrop.projects.lidar_bev.models import PillarEncoder
from ccrop.projects.lidar_bev.pictures import OTHER_COLOR

GRID = Grid(low=(-12, -12, -3), high=(12, 12, 1.8), cell=0.375)


def box(x: float, y: float) -> list[float]:
    return [x, y, 0, 2, 1, 1, 0]


def test_hits_misses_and_other_classes():
    objects = np.array([box(5, 0), box(5, 5), box(-5, 5)], np.float32)  # found, missed, a van
    found = Detections(
        np.array([box(5.5, 0), box(6, 0), box(-5, 5), box(5, 5)], np.float32),
        np.array([0.9, 0.8, 0.7, 0.6]),
        np.array([0, 0, 0, 1]),  # a hit, one too many, in the van, of the wrong class
    )
    sample = dict(points=objects[:, :4], boxes=objects, labels=np.array([0, 0, OTHER]), num_points=np.array([1, 1, 1]))
    sweep = compared(sample, found, GRID)
    hits, of_objects = matched(sweep)
    assert hits.tolist() == [True, False, False, False]
    assert of_objects.tolist() == [True, False, False]

    axes = Figure().subplots()
    model = CenterPoint(PillarEncoder(GRID, 4, "small"), ("Car", "Person"), (2.0, 0.5), channels=8)
    assert draw(axes, sample["points"], sweep, ["Car", "Car", "Van"], model) == "1 of 2 found, 2 false"
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
        OTHER_COLOR: [[-5, 5], [-5, 5]],
    }
    assert {text.get_text(): text.get_color() for text in axes.texts} == {
        "Car": MISSED, "Van": OTHER_COLOR, "Car 0.90": HIT,
    }  # fmt: skip
