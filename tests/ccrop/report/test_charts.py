"""Charts place values where they belong."""

import math
import re
import xml.etree.ElementTree as ET

import pytest

from ccrop.report.charts import (
    BOTTOM,
    COLORS,
    HEIGHT,
    LEFT,
    RIGHT,
    TOP,
    WIDTH,
    Range,
    bar_chart,
    dot_chart,
    histogram,
    label,
    labeled,
    line_chart,
    padded,
    ticks,
)

SVG = "{http://www.w3.org/2000/svg}"


def elements(svg: str, name: str) -> list[ET.Element]:
    return ET.fromstring(svg.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)).findall(f".//{SVG}{name}")


def points(svg: str) -> list[list[tuple[float, float]]]:
    return [
        [tuple(map(float, each.split(","))) for each in line.get("points").split()]
        for line in elements(svg, "polyline")
    ]


def test_a_line_goes_from_edge_to_edge_and_up_where_values_rise():
    ((first, middle, last),) = points(line_chart("loss", {"run": {1: 0.0, 2: 1.0, 3: 0.5}}))
    assert first[0] == LEFT
    assert last[0] == WIDTH - RIGHT
    assert middle[0] == pytest.approx((LEFT + WIDTH - RIGHT) / 2, abs=0.1)
    height = (HEIGHT - TOP - BOTTOM) / 1.08  # with a margin of 4 % at both ends
    assert first[1] - middle[1] == pytest.approx(height, abs=0.1)
    assert first[1] - last[1] == pytest.approx(height / 2, abs=0.1)


@pytest.mark.parametrize("low", [0.0, 0.11, 0.999])
def test_a_tenth_of_a_percent_looks_small_at_any_height(low):
    ((first, last),) = points(line_chart("kNN", {"run": {1: low, 2: low + 0.001}}, percent=True))
    hundredth = (HEIGHT - TOP - BOTTOM) / 1.08 / 100  # of an axis of 10 points, with a margin of 4 % at both ends
    assert first[1] - last[1] == pytest.approx(hundredth, abs=0.11)


def test_a_healthy_range_is_in_the_picture_so_that_a_wobble_is_small():
    wobble = {1: 0.983, 2: 0.963}
    plain, banded = (line_chart("z-std", {"": wobble}, **extra) for extra in ({}, dict(healthy=Range(0.5, 1.1))))
    heights = [abs(line[0][1] - line[1][1]) for svg in (plain, banded) for line in points(svg)]
    assert heights[0] > 100
    assert heights[1] < 6
    (band,) = [each for each in elements(banded, "rect") if each.get("class") == "healthy"]
    assert float(band.get("height")) == pytest.approx((HEIGHT - TOP - BOTTOM) / 1.08, abs=0.1)


@pytest.mark.parametrize("line", [{1: 2e-4, 2: 5e-5}, {1: -0.08951, 2: -0.08958}])
def test_labels_are_not_cut_off_at_the_left(line: dict[int, float]):
    texts = [each for each in elements(line_chart("lr", {"": line}), "text") if each.get("text-anchor") == "end"]
    widths = [6.3 * len(each.text) for each in texts]  # a digit of a wide font takes 7 pixels, a point half of that
    assert max(widths) > 40
    assert all(float(each.get("x")) >= width for each, width in zip(texts, widths, strict=True))


def test_an_open_range_ends_at_the_edge():
    svg = line_chart("rank", {"": {1: 40, 2: 50}}, healthy=Range(10, math.inf))
    (band,) = [each for each in elements(svg, "rect") if each.get("class") == "healthy"]
    assert float(band.get("y")) == pytest.approx(TOP, abs=0.1)


def test_values_that_are_not_finite_are_left_out_and_one_step_is_no_curve():
    ((first, last),) = points(line_chart("", {"": {1: 1.0, 2: math.nan, 3: 2.0}}))
    assert (first[0], last[0]) == (LEFT, WIDTH - RIGHT)
    assert line_chart("", {"": {1: math.inf}}) == ""
    assert line_chart("", {"": {4: 1.0}}) == ""


def test_epochs_are_whole_numbers():
    svg = line_chart("", {"": {1: 5.5, 2: 6.5, 3: 7.5}})
    assert [each.text for each in elements(svg, "text") if each.get("text-anchor") == "middle"] == ["1", "2", "3"]


def test_runs_keep_their_colors_where_one_has_no_values():
    svg = line_chart("", {"a": {}, "b": {1: 1, 2: 2}})
    assert [line.get("stroke") for line in elements(svg, "polyline")] == [COLORS[1]]


def test_names_and_titles_are_escaped():
    assert "<b>" not in line_chart("<b>", {"<b>": {1: 1, 2: 2}})
    assert "<b>" not in bar_chart("<b>", {"<b>": 1.0})
    assert "<b>" not in dot_chart("<b>", {"<b>": [1.0, 2.0]}, {"<b>": (1.5, 0.1)})


def test_bars_are_as_long_as_their_values():
    widths = [
        float(each.get("width")) for each in elements(bar_chart("", {"a": 0.5, "b": 0.25, "c": math.nan}), "rect")
    ]
    assert len(widths) == 2
    assert widths[0] == pytest.approx(2 * widths[1], abs=0.1)


def test_the_longest_name_of_a_metric_stands_beside_its_bar():
    name = "AP_R40_bev_Pedestrian_moderate"
    svg = bar_chart("", {name: 1.0, "AP": 0.5})
    (text,) = [each for each in elements(svg, "text") if each.text == name]
    assert float(text.get("x")) >= 7 * len(name)
    ends = [float(each.get("x")) + float(each.get("width")) for each in elements(svg, "rect")]
    assert max(ends) < WIDTH - 50  # the value is written behind it


def test_dots_lie_around_their_mean_and_within_its_interval():
    svg = dot_chart("", {"a": [1.0, 3.0], "b": []}, {"a": (2.0, 1.5)})
    first, last = (float(each.get("cx")) for each in elements(svg, "circle"))
    whisker, mean = [each for each in elements(svg, "line") if each.get("stroke") in ("#1f2328", COLORS[1])]
    assert float(mean.get("x1")) == pytest.approx((first + last) / 2, abs=0.1)
    assert float(whisker.get("x2")) - float(whisker.get("x1")) == pytest.approx(1.5 * (last - first), abs=0.2)


def test_bars_of_a_histogram_are_as_high_as_their_counts():
    heights = [float(each.get("height")) for each in elements(histogram("", [0, 4, 2], ["low", "high"]), "rect")]
    assert heights[0] == 0
    assert heights[1] == pytest.approx(2 * heights[2], abs=0.1)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 1, [0, 0.5, 1]),
        (0, 20, [0, 5, 10, 15, 20]),
        (-0.42, -0.02, [-0.4, -0.3, -0.2, -0.1]),
        (0.963, 0.983, None),
        (-0.093, -0.006, None),
    ],
)
def test_ticks_are_round_and_inside(low, high, expected):
    found = ticks(low, high)
    if expected is not None:
        assert found == pytest.approx(expected)
    assert 2 <= len(found) <= 6
    assert all(low - 1e-9 <= tick <= high + 1e-9 for tick in found)


def test_a_range_of_one_value_is_not_empty():
    assert padded([2.0, 2.0], 0.04) == pytest.approx((1.8, 2.2))
    assert padded([0.0], 0) == (-0.5, 0.5)


def test_ticks_are_told_apart():
    assert list(labeled([0.204, 0.2041, 0.2042], percent=True).values()) == ["20.4%", "20.41%", "20.42%"]
    assert list(labeled([0.2, 0.25, 0.3], percent=True).values()) == ["20%", "25%", "30%"]
    assert list(labeled([1234, 1234.5]).values()) == ["1234", "1234.5"]


def test_numbers_are_short():
    assert [label(0.12345), label(0.5, percent=True), label(155.6, digits=4)] == ["0.123", "50%", "155.6"]
    assert [label(0.0000177, percent=True), label(0.000412, percent=True), label(0.0116, percent=True, digits=4)] == [
        "0%",
        "0.04%",
        "1.16%",
    ]
    assert re.fullmatch(r"1\.2e\+06", label(1234567.0))
