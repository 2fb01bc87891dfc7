"""What the pictures show."""

import numpy as np
import torch
from PIL import Image

from ccrop.hooks.gallery import BOX_COLOUR, HEADER, PANEL_HEIGHT, VIEW_COLOURS, _panels, contact_sheet


def test_panels_are_marked_where_box_and_crops_lie():
    image = Image.new("RGB", (2 * PANEL_HEIGHT, PANEL_HEIGHT))  # drawn pixel by pixel
    box = np.array([0.25, 0.25, 0.75, 0.75, 1.0])
    rectangles = [[10, 20, 60, 70], [100, 0, 200, 100]]
    views = [np.full((8, 8, 3), 99, dtype=np.uint8)] * 2
    marked, heat, *shown = _panels(image, torch.tensor([[0.0, 1.0]]), [box], rectangles, views)
    pixels = np.asarray(marked)
    assert tuple(pixels[PANEL_HEIGHT // 2, PANEL_HEIGHT // 2]) == BOX_COLOUR  # x0 of the box
    assert tuple(pixels[45, 10]) == VIEW_COLOURS[0]
    assert tuple(pixels[99, 150]) == VIEW_COLOURS[1]
    assert tuple(pixels[70, 71]) == (0, 0, 0)
    cold, hot = np.asarray(heat)[70, 5].astype(int), np.asarray(heat)[70, -6].astype(int)
    assert cold[2] > cold[0]
    assert hot[0] > hot[2]
    assert [panel.size for panel in shown] == [(PANEL_HEIGHT, PANEL_HEIGHT)] * 2
    assert tuple(np.asarray(shown[1])[0, 0]) == VIEW_COLOURS[1]
    assert tuple(np.asarray(shown[1])[20, 20]) == (99, 99, 99)


def test_boxes_of_one_point_can_be_drawn():
    image = Image.new("RGB", (64, 64))
    marked, *_ = _panels(image, torch.zeros(1, 1), [np.array([0, 0, 0, 0, 1.0])], [], [])
    assert tuple(np.asarray(marked)[0, 0]) == BOX_COLOUR


def test_a_sheet_holds_every_panel():
    row = [Image.new("RGB", (PANEL_HEIGHT, PANEL_HEIGHT), colour) for colour in ("red", "lime", "blue", "white")]
    sheet = np.asarray(contact_sheet([row] * 5, "title", columns=2)).reshape(-1, 3)
    for colour in ((255, 0, 0), (0, 255, 0), (0, 0, 255)):
        assert (sheet == colour).all(1).sum() == 5 * PANEL_HEIGHT**2
    assert contact_sheet([row], "title", columns=1).height > PANEL_HEIGHT + HEADER
