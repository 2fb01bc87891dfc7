"""A picture of an image with detections: boxes, names and scores, and a legend of the colors."""

from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

from ccrop.inference.text_places import Rectangle, free_place
from ccrop.projects.detection_transfer.inference import ImageDetections

COLORS = (
    *("#ffd400", "#00d5ff", "#ff5fd2", "#6dff5a", "#ff8a1f", "#9d8cff", "#ff4b4b", "#00e5a8", "#d8b58a", "#c3f73a"),
)
BACKGROUND = "#18181c"
SIDE = 1280  # pixels of the longer side
MOST_ENLARGED = 4
FONT_SIZE = 14
GAP = 8


def picture(image: Image.Image, detections: ImageDetections, classes: Sequence[str]) -> Image.Image:
    """The image, enlarged or reduced, with all boxes; the most confident get their scores as space permits.

    A line below the image has the categories with their colors and numbers.

    Args:
        image: RGB.
        detections: most confident first, boxes in pixels of the image.
        classes: names of the labels.
    """
    scale = min(SIDE / max(image.size), MOST_ENLARGED)
    size = (max(1, round(scale * image.width)), max(1, round(scale * image.height)))
    labels = detections.labels.tolist()
    legend = _legend([(classes[label], labels.count(label), _color(label)) for label in sorted(set(labels))], size[0])
    canvas = Image.new("RGB", (size[0], size[1] + legend.height), BACKGROUND)
    canvas.paste(image.resize(size, Image.Resampling.BICUBIC))
    canvas.paste(legend, (0, size[1]))
    pen = ImageDraw.Draw(canvas)
    boxes = [tuple(scale * value for value in box) for box in detections.boxes.tolist()]
    for box, label in zip(boxes[::-1], labels[::-1], strict=True):
        pen.rectangle(box, outline=_color(label), width=2)
    taken: list[Rectangle] = []
    for box, score, label in zip(boxes, detections.scores.tolist(), labels, strict=True):
        texts = [f"{score:.2f}"] if len(classes) == 1 else [f"{classes[label]} {score:.2f}", f"{score:.2f}"]
        _write(pen, box, texts, _color(label), size, taken, [each for each in boxes if each is not box])
    return canvas


def _write(
    pen: ImageDraw.ImageDraw,
    box: Rectangle,
    texts: Sequence[str],
    color: str,
    size: tuple[int, int],
    taken: list[Rectangle],
    others: Sequence[Rectangle],
) -> None:
    """Write the first text that fits next to its box, clear of earlier texts and other boxes; none if none does."""
    font = ImageFont.load_default(FONT_SIZE)
    for text in texts:
        place = free_place(box, (pen.textlength(text, font=font) + 4, FONT_SIZE + 3), size, (*taken, *others))
        if place:
            taken.append(place)
            pen.rectangle(place, fill=color)
            pen.text((place[0] + 2, place[1]), text, fill="black", font=font)
            return


def _legend(entries: Sequence[tuple[str, int, str]], width: int) -> Image.Image:
    """Names, numbers and colors in lines of a width; "nothing found" if there is none."""
    font = ImageFont.load_default(FONT_SIZE)
    pen = ImageDraw.Draw(Image.new("RGB", (1, 1)))
    x: float = GAP
    y, placed = GAP, []
    for name, number, color in entries or [("nothing found", 0, "#bbbbbb")]:
        text = f"{name} ({number})" if number else name
        length = pen.textlength(text, font=font)
        if x > GAP and x + length > width - GAP:
            x, y = GAP, y + FONT_SIZE + GAP
        placed.append((x, y, text, color))
        x += length + 2 * GAP
    strip = Image.new("RGB", (width, y + FONT_SIZE + GAP), BACKGROUND)
    for left, top, text, color in placed:
        ImageDraw.Draw(strip).text((left, top), text, fill=color, font=font)
    return strip


def _color(label: int) -> str:
    return COLORS[label % len(COLORS)]
