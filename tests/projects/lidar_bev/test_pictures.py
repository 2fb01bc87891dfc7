import io
import math

import numpy as np
import pytest
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from PIL import Image

from ccrop.projects.lidar_bev.boxes import corners
from ccrop.projects.lidar_bev.pictures import COLORS, OTHER_COLOR, draw_around, draw_bev, draw_texts, sweep_picture

# a car ahead that drives to the left, and a pedestrian to the left
BOXES = np.array([[10.0, 0, -1, 4, 2, 1.5, math.pi / 2], [0, 20, -1, 0.8, 0.6, 1.8, 0]])


def lines_of(axes):
    return [each for each in axes.collections if isinstance(each, LineCollection)]


def pixels(figure):
    file = io.BytesIO()
    figure.savefig(file, dpi=60)
    return np.asarray(Image.open(file).convert("RGB")).astype(int)


def test_boxes_from_above_lie_where_they_are():
    axes = Figure().subplots()
    draw_bev(axes, np.zeros((0, 3)), BOXES, np.array([0, -1]))
    outlines, headings = (each.get_segments() for each in lines_of(axes))
    # across the picture is y, up is x
    assert (outlines[0][:, 0].min(), outlines[0][:, 0].max()) == pytest.approx((-2, 2))
    assert (outlines[0][:, 1].min(), outlines[0][:, 1].max()) == pytest.approx((9, 11))
    np.testing.assert_allclose(headings[0][0], (0, 10), atol=1e-9)
    np.testing.assert_allclose(headings[0][1], (2.8, 10), atol=1e-9)
    assert axes.get_xlim() == (50, -50)  # left is left
    assert axes.get_ylim() == (-50, 50)


def test_points_outside_the_extent_are_not_drawn():
    axes = Figure().subplots()
    draw_bev(axes, np.array([[1.0, 2, 0], [60, 0, 0], [0, -60, 0]]))
    assert axes.collections[0].get_offsets().tolist() == [[2, 1]]
    assert lines_of(axes) == []


def test_the_view_around_shows_boxes_at_their_angles():
    axes = Figure().subplots()
    draw_around(axes, np.array([[10.0, 10, 0, 5], [-5, 0, 0, 5]]), BOXES[:1], azimuths=(-50, 50))
    np.testing.assert_allclose(axes.collections[0].get_offsets(), [[45, 0]])
    drawn = np.concatenate(lines_of(axes)[0].get_segments())
    assert len(lines_of(axes)[0].get_segments()) == 12
    x, y, z = corners(BOXES[:1])[0].T
    azimuth, elevation = np.degrees(np.arctan2(y, x)), np.degrees(np.arctan2(z, np.hypot(x, y)))
    for drawn_angles, angles in zip(drawn.T, (azimuth, elevation), strict=True):
        assert drawn_angles.min() == pytest.approx(angles.min(), abs=0.3)
        assert drawn_angles.max() == pytest.approx(angles.max(), abs=0.3)


def test_edges_through_the_angle_behind_are_left_out():
    axes = Figure().subplots()
    draw_around(axes, np.zeros((0, 3)), np.array([[-10.0, 0, 0, 4, 2, 1.5, 0]]))
    assert len(lines_of(axes)[0].get_segments()) == 8


def test_a_picture_has_the_colors_of_its_classes():
    rng = np.random.default_rng(0)
    points = rng.uniform(-40, 40, (2000, 4)) * [1, 1, 0.03, 0]
    figure = sweep_picture(points, BOXES, np.array([0, -1]), ("Car",), "simulated sweep")
    legend = figure.axes[0].get_legend().get_texts()
    assert {each.get_text() for each in legend} == {"Car (1)", "other (1)"}
    assert figure.axes[0].get_title() == "simulated sweep"
    picture = pixels(figure)
    for color in (COLORS[0], OTHER_COLOR):
        wanted = [int(color[i : i + 2], 16) for i in (1, 3, 5)]
        assert (abs(picture - wanted).max(axis=-1) < 12).sum() > 10
    bare = pixels(sweep_picture(points, title="simulated sweep"))
    assert (abs(bare - [int(COLORS[0][i : i + 2], 16) for i in (1, 3, 5)]).max(axis=-1) < 12).sum() == 0


def test_no_points_and_no_boxes():
    assert pixels(sweep_picture(np.zeros((0, 4)), np.zeros((0, 7)), np.zeros(0, int))).std() > 1


def test_texts_stay_inside_and_do_not_overlap():
    axes = Figure().subplots()
    draw_bev(axes, np.zeros((0, 3)), extent=(-10, -10, 10, 10))
    places = [(0, 0), (0.1, 0.1), (0, 9.5), (9.5, 0), (0, -9.5), (0, 11)]
    boxes = np.array([[x, y, 0, 1, 1, 1, 0] for x, y in places], float)
    texts = ["first", "hidden", "left", "ahead", "right", "gone"]
    draw_texts(axes, boxes, texts, ["white"] * 6, inches=5)  # 4 meters per inch: a letter is 0.4, a line 0.8 m
    found = {each.get_text(): each.get_position() for each in axes.texts}
    assert found == {
        "first": pytest.approx((0, 0.5 + 0.8 / 3)),
        "left": pytest.approx((10 - 0.8, 0.5 + 0.8 / 3)),
        "ahead": pytest.approx((0, 10 - 0.8)),
        "right": pytest.approx((-10 + 1.0, 0.5 + 0.8 / 3)),
    }
