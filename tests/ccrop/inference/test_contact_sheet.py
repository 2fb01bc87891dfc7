"""What the pictures show."""

import numpy as np
import pytest
import torch
from PIL import Image

from ccrop.inference.contact_sheet import (
    BACKGROUND,
    BOX_COLOR,
    CHART_HEIGHT,
    GAP,
    HEADER,
    HIT_COLOR,
    MISSED_COLOR,
    PANEL_HEIGHT,
    VIEW_COLORS,
    area_chart,
    area_histogram,
    best_boxes,
    contact_sheet,
    hit_objects,
    image_panels,
    shown_box,
)
from ccrop.views import MultiObjectCrop
from ccrop.views.multi_object_crop import PairNoise, choose_cluster

NO_BOXES, NO_VIEWS = np.zeros((0, 5)), np.zeros((0, 4), dtype=int)


@pytest.mark.parametrize(
    ("boxes", "views", "expected"),
    [
        ([[0, 0, 10, 10], [20, 0, 30, 10]], [[15, 0, 40, 40], [18, 0, 40, 40]], 1),
        ([[0, 0, 10, 10], [20, 0, 30, 10]], [[0, 0, 12, 40], [15, 0, 40, 40]], None),  # one each
        ([[0, 0, 10, 10]], [[5, 0, 40, 40], [0, 0, 5, 40]], 0),  # half of it each
        ([[0, 0, 10, 10]], [[6, 0, 40, 40], [0, 0, 40, 40]], None),
        ([[2, 2, 4, 4], [0, 0, 10, 10], [1, 1, 5, 5]], [[0, 0, 40, 40]] * 2, 1),  # the largest
        ([[2, 2, 4, 4], [0, 0, 90, 90], [1, 1, 5, 5]], [[0, 0, 40, 40]] * 2, 2),  # which is shown
        ([[5, 5, 5, 9]], [[0, 0, 40, 40]], None),  # no area
        ([[0, 0, 10, 10]], [[0, 0, 9, 9], [0, 0, 9, 9], [8, 8, 20, 20]], None),  # every view
    ],
)
def test_the_box_that_all_views_show(boxes, views, expected):
    assert shown_box(torch.tensor(boxes).double(), torch.tensor(views).double()) == expected


def test_there_may_be_no_box():
    assert shown_box(torch.zeros(0, 4), torch.zeros(2, 4)) is None


def test_it_is_mostly_the_cluster_that_the_crop_drew():
    rng = np.random.default_rng(0)
    crop, images, most = MultiObjectCrop(scene_prob=0), 500, 8
    middle = torch.from_numpy(rng.random((images, most, 2)))
    half = torch.from_numpy(np.exp(rng.uniform(np.log(0.015), np.log(0.3), (images, most, 2))))
    scores = torch.from_numpy(rng.uniform(0.1, 1, (images, most, 1)))
    boxes = torch.cat([(middle - half).clamp(0, 1), (middle + half).clamp(0, 1), scores], dim=-1).float()
    counts = torch.from_numpy(rng.integers(2, most + 1, images))
    noise = PairNoise.draw(rng, images, 2, crop.centers)
    views = crop.batch(torch.tensor([[480, 640]]).expand(images, 2), boxes, counts, noise)
    drawn = choose_cluster(boxes, counts, noise.cluster, crop.evenness)
    pixels = boxes[..., :4] * torch.tensor([640, 480, 640, 480])
    found = [shown_box(pixels[i, : counts[i]].double(), views[i].double()) for i in range(images)]
    assert 0.93 < np.mean([a == b for a, b in zip(found, drawn.tolist(), strict=True)]) < 1


def test_panels_are_marked_where_boxes_and_crops_lie():
    image = Image.new("RGB", (2 * PANEL_HEIGHT, PANEL_HEIGHT))  # drawn pixel by pixel
    boxes = np.array([[0.25, 0.25, 0.75, 0.75, 1.0], [0.8, 0.5, 1, 1, 0.5]])
    views = np.array([[10, 20, 60, 70], [100, 0, 200, 120]])
    shown = [np.full((8, 8, 3), 99, dtype=np.uint8)] * 2
    marked, heat, *fed = image_panels(image, np.array([[0.0, 1.0]], dtype=np.float32), boxes, views, shown)
    pixels = np.asarray(marked)
    quarter, middle = PANEL_HEIGHT // 2, PANEL_HEIGHT // 2
    faint = tuple(channel * 130 // 255 for channel in BOX_COLOR)
    for row, column in ((middle, quarter), (PANEL_HEIGHT // 4, quarter + 60), (middle, 3 * quarter - 1)):
        np.testing.assert_allclose(pixels[row, column], faint, atol=1)  # left, top and right edge
    assert tuple(pixels[45, 10]) == VIEW_COLORS[0]
    assert tuple(pixels[119, 150]) == VIEW_COLORS[1]
    assert tuple(pixels[45, 40]) == (0, 0, 0)

    pixels = np.asarray(heat).astype(int)
    assert tuple(pixels[middle, quarter]) == (255, 255, 255)
    cold, hot = pixels[10, 5], pixels[10, -6]
    assert cold[2] > cold[0]
    assert hot[0] > hot[2]
    assert [panel.size for panel in fed] == [(PANEL_HEIGHT, PANEL_HEIGHT)] * 2
    assert tuple(np.asarray(fed[1])[0, 0]) == VIEW_COLORS[1]
    assert tuple(np.asarray(fed[1])[20, 20]) == (99, 99, 99)


def test_the_box_that_both_views_show_has_a_thick_outline_on_both_pictures():
    image = Image.new("RGB", (2 * PANEL_HEIGHT, PANEL_HEIGHT))
    boxes = np.array([[0.5, 0.25, 0.75, 0.75, 1.0], [0, 0.5, 0.2, 1, 0.5]])
    views = np.array([[150, 10, 350, 170], [160, 10, 350, 170]])
    fed = [np.zeros((8, 8, 3), dtype=np.uint8)] * 2
    panels = image_panels(image, np.zeros((1, 1), dtype=np.float32), boxes, views, fed)
    for picture in panels[:2]:
        row = np.asarray(picture)[PANEL_HEIGHT // 2 + 20]
        assert (row[PANEL_HEIGHT : PANEL_HEIGHT + 3] == BOX_COLOR).all()
        assert (row[PANEL_HEIGHT + 3] != BOX_COLOR).any()
        assert (row == BOX_COLOR).all(axis=1).sum() == 6
    others = np.array([[150, 10, 350, 170], [0, 10, 20, 20]])
    marked, *_ = image_panels(image, np.zeros((1, 1), dtype=np.float32), boxes, others, fed)
    assert not (np.asarray(marked) == BOX_COLOR).all(axis=2).any()


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        (None, [9, 1, 2, 3, 4, 5, 6, 7]),
        (2, [9, 1, 2, 3, 4, 5, 6, 7]),
        (0, [9, 1, 2, 3, 4, 5, 6, 0]),
        (8, [9, 1, 2, 3, 4, 5, 6, 8]),
    ],
)
def test_the_best_eight_boxes_are_drawn_and_the_one_that_all_views_show(chosen, expected):
    scores = np.array([0.05, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.9])
    assert best_boxes(scores, chosen) == expected
    assert best_boxes(scores[:0], None) == []


def test_of_many_boxes_eight_are_drawn():
    image = Image.new("RGB", (2 * PANEL_HEIGHT, PANEL_HEIGHT))
    left = np.arange(20) / 20
    boxes = np.stack([left, 0 * left + 0.5, left + 0.02, 0 * left + 0.9, 1 - left], axis=1)
    corner, fed = np.array([[0, 0, 2, 2]]), [np.zeros((8, 8, 3), np.uint8)]
    marked, heat, *_ = image_panels(image, np.zeros((1, 1), np.float32), boxes, corner, fed)
    row = np.asarray(heat)[round(0.8 * PANEL_HEIGHT)]
    edges = np.flatnonzero((row == 255).all(axis=1))
    assert len(edges) == 16  # left and right
    assert edges.max() < 0.4 * 2 * PANEL_HEIGHT
    assert (np.asarray(marked)[round(0.8 * PANEL_HEIGHT)].max(axis=1) > 0).sum() == 16


def test_objects_are_hit_by_the_center_of_any_box():
    boxes = np.array([[0.0, 0.0, 0.2, 0.2, 1], [0.5, 0.5, 0.9, 0.9, 0.1]])  # centers at 0.1 and 0.7
    objects = np.array([[0.05, 0.05, 0.15, 0.15], [0.6, 0.6, 0.65, 0.65], [0, 0, 1, 1], [0.1, 0.1, 0.3, 0.3]])
    assert hit_objects(boxes, objects).tolist() == [True, False, True, True]
    assert hit_objects(NO_BOXES, objects).tolist() == [False] * 4
    assert hit_objects(boxes, objects[:0]).tolist() == []


def test_hit_and_missed_objects_have_their_colors_and_are_counted():
    image = Image.new("RGB", (2 * PANEL_HEIGHT, PANEL_HEIGHT))
    boxes = np.array([[0.1, 0.1, 0.2, 0.2, 1.0]])
    objects = np.array([[0.1, 0.05, 0.3, 0.3], [0.6, 0.5, 0.8, 0.9]])
    marked, *_ = image_panels(image, np.zeros((1, 1), np.float32), boxes, NO_VIEWS, [], objects)
    pixels = np.asarray(marked)
    row = round(0.7 * PANEL_HEIGHT)
    assert tuple(pixels[row, round(0.6 * 2 * PANEL_HEIGHT)]) == MISSED_COLOR
    assert tuple(pixels[round(0.27 * PANEL_HEIGHT), round(0.1 * 2 * PANEL_HEIGHT)]) == HIT_COLOR
    without, *_ = image_panels(image, np.zeros((1, 1), np.float32), boxes, NO_VIEWS, [])
    none, *_ = image_panels(image, np.zeros((1, 1), np.float32), boxes, NO_VIEWS, [], objects[:0])
    assert none.tobytes() == without.tobytes()
    assert (pixels[-14:, :100] == 255).all(axis=2).any()  # the count stands in the lower left corner
    assert not (np.asarray(without)[-14:, :100] == 255).all(axis=2).any()


def test_the_only_box_is_as_bright_as_its_color():
    image = Image.new("RGB", (PANEL_HEIGHT, PANEL_HEIGHT))
    marked, *_ = image_panels(image, np.zeros((1, 1), np.float32), np.array([[0, 0, 0, 0, 1.0]]), NO_VIEWS, [])
    assert tuple(np.asarray(marked)[0, 0]) == BOX_COLOR  # one point can be drawn


@pytest.mark.parametrize(("left", "top"), [(0.5, 0.5), (0.5, 0.0), (0.99, 0.5)])
def test_scores_are_written_at_their_boxes(left, top):
    image = Image.new("RGB", (PANEL_HEIGHT, PANEL_HEIGHT))
    heats = []
    for score in (0.25, 0.75, 0.75):
        boxes = np.array([[left, top, 1, 1, score]])
        heats.append(np.asarray(image_panels(image, np.zeros((1, 1), np.float32), boxes, NO_VIEWS, [])[1]).astype(int))
    changed = np.argwhere((heats[0] != heats[1]).any(axis=2))
    assert len(changed) > 10
    assert (heats[1] == heats[2]).all()
    row, column = changed.min(axis=0)
    assert abs(row - (0 if top == 0 else PANEL_HEIGHT // 2 - 8)) < 8
    assert abs(column - min(left * PANEL_HEIGHT, PANEL_HEIGHT - 30)) < 16  # from the first digit that changed
    assert changed.max(axis=0)[1] <= PANEL_HEIGHT - 3


def test_scores_do_not_cover_each_other():
    """Text has a translucent background: where two overlap, it is darker than one alone."""
    image, fed = Image.new("RGB", (PANEL_HEIGHT, PANEL_HEIGHT), "white"), [np.zeros((8, 8, 3), np.uint8)]
    left = 0.4 + np.arange(8) / 50
    boxes = np.stack([left, left, left + 0.05, left + 0.05, 1 - left], axis=1)
    darkest, written = [], []
    for drawn in (boxes[:1], boxes):
        heat = image_panels(image, np.ones((1, 1), np.float32), drawn, np.array([[0, 0, 2, 2]]), fed)[1]
        pixels = np.asarray(heat).astype(int).sum(axis=2)
        darkest.append(pixels.min())
        written.append((pixels == darkest[0]).sum())
    assert darkest[0] == darkest[1]
    assert written[1] > 2 * written[0]  # there is room for more than two


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((64, 64), (PANEL_HEIGHT, PANEL_HEIGHT)),
        ((30, 90), (PANEL_HEIGHT // 3 + 1, PANEL_HEIGHT)),
        ((400, 200), (2 * PANEL_HEIGHT, PANEL_HEIGHT)),
        ((1600, 400), (2 * PANEL_HEIGHT, PANEL_HEIGHT // 2)),
        ((4000, 1), (2 * PANEL_HEIGHT, 1)),
    ],
)
def test_pictures_keep_their_ratio(size, expected):
    marked, heat = image_panels(Image.new("RGB", size), np.zeros((2, 3), np.float32), NO_BOXES, NO_VIEWS, [])
    assert marked.size == heat.size == expected


def test_a_sheet_holds_every_panel():
    row = [Image.new("RGB", (PANEL_HEIGHT, PANEL_HEIGHT), color) for color in ("red", "lime", "blue", "white")]
    sheet = np.asarray(contact_sheet([row] * 5, "title", columns=2)).reshape(-1, 3)
    for color in ((255, 0, 0), (0, 255, 0), (0, 0, 255)):
        assert (sheet == color).all(1).sum() == 5 * PANEL_HEIGHT**2
    assert contact_sheet([row], "title", columns=1).height > PANEL_HEIGHT + HEADER


def test_the_legend_names_objects_only_where_there_are_annotations():
    row = [Image.new("RGB", (PANEL_HEIGHT, PANEL_HEIGHT))] * 4
    for annotated in (True, False):
        sheet = np.asarray(contact_sheet([row], "title", annotated=annotated))
        for color in ((70, 235, 90), (255, 70, 60)):  # of hit and of missed objects
            assert (sheet == color).all(2).any() == annotated
        assert (sheet == (255, 220, 0)).all(2).any()  # of boxes


def test_a_low_panel_stands_in_the_middle_of_its_row():
    high, low = Image.new("RGB", (60, PANEL_HEIGHT), "red"), Image.new("RGB", (40, 20), "blue")
    sheet = np.asarray(contact_sheet([[high, low, high, high], [low, high, high, high]], "", columns=1))
    rows, columns = np.nonzero((sheet == (0, 0, 255)).all(axis=2))
    first = rows < HEADER + PANEL_HEIGHT
    assert rows[first].min() - HEADER == (PANEL_HEIGHT - 20) // 2
    assert columns[first].min() == GAP + 60 + GAP + 10
    assert columns[~first].min() == GAP + 10
    assert first.sum() == (~first).sum() == 40 * 20


def test_bins_of_areas_are_tenths_of_a_decade():
    counts = area_histogram(np.array([0.0, 1e-6, 1.1e-4, 1.01e-2, 1.02e-2, 0.5, 0.99, 1.0]))
    assert len(counts) == 40
    assert {int(i): int(counts[i]) for i in counts.nonzero()[0]} == {0: 3, 20: 2, 36: 1, 39: 2}


def test_bars_stand_over_their_areas():
    width = 401  # 10 pixels a bin
    chart = np.asarray(area_chart(np.array([0.0101] * 4 + [0.99] * 2 + [1e-4]), width))
    assert chart.shape == (CHART_HEIGHT, width, 3)
    heights = (chart == BOX_COLOR).all(axis=2).sum(axis=0)
    bars = {int(i): int(heights[10 * i + 5]) for i in range(40) if heights[10 * i + 5]}
    assert set(bars) == {0, 20, 39}
    assert bars[20] > 90
    assert bars[39] == pytest.approx(bars[20] / 2, abs=1)
    assert bars[0] == pytest.approx(bars[20] / 4, abs=1)


def test_a_sheet_with_areas_has_the_chart_below_its_panels():
    row = [Image.new("RGB", (PANEL_HEIGHT, PANEL_HEIGHT)) for _ in range(4)]
    plain = contact_sheet([row], "title", 1)
    charted = contact_sheet([row], "title", 1, np.array([0.01, 0.5]))
    assert charted.size == (plain.width, plain.height + CHART_HEIGHT)
    below = np.asarray(charted)[plain.height :]
    assert (below[:, GAP:-GAP] == np.asarray(area_chart(np.array([0.01, 0.5]), plain.width - 2 * GAP))).all()


def test_a_chart_of_no_boxes_has_an_axis_only():
    chart = np.asarray(area_chart(np.zeros(0), 400))
    assert not (chart == BOX_COLOR).all(axis=2).any()
    assert (chart != BACKGROUND).any()
