"""Pictures of detections: colors that are there, texts that cover neither boxes nor each other."""

import numpy as np
import torch
from PIL import Image, ImageColor

from ccrop.projects.detection_transfer.inference import ImageDetections
from ccrop.projects.detection_transfer.pictures import COLORS, FONT_SIZE, picture


def pixels(image: Image.Image, color: str) -> np.ndarray:
    """Where ``(H, W)`` a picture has exactly this color."""
    return (np.asarray(image) == ImageColor.getrgb(color)).all(axis=-1)


def found(boxes: list[list[float]], scores: list[float], labels: list[int]) -> ImageDetections:
    return ImageDetections(
        torch.tensor(boxes).reshape(-1, 4), torch.tensor(scores), torch.tensor(labels, dtype=torch.long)
    )


def test_boxes_have_their_places_and_colors_at_the_pictures_scale():
    image = Image.new("RGB", (100, 50), "black")
    shown = picture(image, found([[10, 20, 40, 40], [70, 25, 90, 45]], [0.9, 0.8], [0, 2]), ("a", "b", "c"))
    assert shown.width == 400  # enlarged four times at most
    assert shown.height > 200  # the legend is below the image
    for number, (x0, y0, x1, y1) in ((0, (40, 80, 160, 160)), (2, (280, 100, 360, 180))):
        there = pixels(shown, COLORS[number])[:200]
        for x, y in ((x0, y0), (x1, y0), (x0, y1), (x1, y1)):
            assert there[y, x]
        assert not there[y0 + 4 : y1 - 3, x0 + 4 : x1 - 3].any()
    assert not pixels(shown, COLORS[1]).any()  # nothing of b was found
    assert pixels(shown, COLORS[0])[200:].any()
    assert picture(Image.new("RGB", (3000, 1000)), found([], [], []), ("a",)).width == 1280


def test_texts_leave_boxes_free():
    """Boxes of 72 x 32 px in the picture, too small for a text inside, 8 px apart."""
    boxes = [
        [20.0 * column, 10.0 * row + 10, 20.0 * column + 18, 10.0 * row + 18] for row in range(3) for column in range(4)
    ]
    shown = picture(Image.new("RGB", (80, 45), "black"), found(boxes, [0.5] * 12, [0] * 12), ("a",))
    filled = pixels(shown, COLORS[0])
    for x0, y0, x1, y1 in (np.array(boxes) * 4).astype(int):
        assert not filled[y0 + 3 : y1 - 2, x0 + 3 : x1 - 2].any()
    assert filled[40 - FONT_SIZE : 36].any()  # the first row has room above it
