"""Drawing what a run saw: panels of an image, and a sheet of many with a histogram of the boxes' areas."""

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from ccrop.inference.text_places import Rectangle, free_place
from ccrop.views import rectangles

BOX_COLOR = (255, 220, 0)
VIEW_COLORS = ((0, 220, 255), (255, 60, 220))
HIT_COLOR, MISSED_COLOR = (70, 235, 90), (255, 70, 60)
BACKGROUND = (24, 24, 28)
FAINT = (150, 150, 158)
PANEL_HEIGHT = 176
GAP = 6
HEADER = 72
MAX_BOXES = 8  # drawn on a picture
CHART_HEIGHT = 150
TEXT_HEIGHT = 14
AREA_EDGES = np.logspace(-4, 0, 41)


def shown_box(boxes: Tensor, views: Tensor, visible: float = 0.5) -> int | None:
    """The largest box that every view shows enough of: most likely the one that the views were drawn around.

    For pairs by :class:`ccrop.views.MultiObjectCrop` in scenes of up to eight overlapping boxes, this is so in 95 %.

    Args:
        boxes: ``(K, 4)`` x0, y0, x1, y1.
        views: ``(V, 4)`` in the same unit.
        visible: fraction of a box that a view must show.

    Returns:
        Index of the box; None if there is no such box.
    """
    area = rectangles.area(boxes)
    shown = rectangles.intersection(boxes[:, None], views) >= visible * area[:, None]
    shown = shown.all(dim=1) & (area > 0)
    return int(area.where(shown, -1).argmax()) if shown.any() else None


def image_panels(
    image: Image.Image,
    heatmap: NDArray[np.float32],
    boxes: NDArray[np.floating],
    views: NDArray[np.integer],
    shown: Sequence[NDArray[np.uint8]],
    objects: NDArray[np.floating] | None = None,
) -> list[Image.Image]:
    """Image with views and boxes, heatmap with boxes and their scores, and every view as fed to the model.

    The box that all views show, see :func:`shown_box`, has a thick outline. At most :data:`MAX_BOXES` are drawn, that
    one and those with the best scores; scores are written where they cover no other. Annotated objects are green where
    the center of any box is on them and red where none is, and the image says how many were hit.

    Args:
        heatmap: ``(h, w)`` in [0, 1], of the image without padding.
        boxes: ``(K, 5)`` x0, y0, x1, y1 in fractions of the image, and a score.
        views: ``(V, 4)`` left, top, right, bottom in pixels of the image.
        shown: V views ``(H, W, 3)``.
        objects: ``(M, 4)`` x0, y0, x1, y1 in fractions of the image; None if the set has no annotations.
    """
    marked = _fit(image)
    heat = Image.fromarray(np.ascontiguousarray(heatmap, dtype=np.float32)).resize(marked.size, _BILINEAR)
    levels = (np.asarray(heat) * 255).round().astype(np.uint8)
    colors = cv2.applyColorMap(levels, cv2.COLORMAP_TURBO)[..., ::-1]  # from BGR
    heat = Image.blend(marked, Image.fromarray(np.ascontiguousarray(colors)), 0.6)

    pixels = boxes[:, :4] * np.array([*marked.size, *marked.size])
    corners = views * np.array([marked.width / image.width, marked.height / image.height] * 2)
    chosen = shown_box(torch.from_numpy(pixels), torch.from_numpy(corners))
    on_image, on_heat = ImageDraw.Draw(marked, "RGBA"), ImageDraw.Draw(heat, "RGBA")
    drawn = best_boxes(boxes[:, 4], chosen)
    if objects is not None:
        hits = hit_objects(boxes, objects)
        for box, hit in zip(objects * np.array([*marked.size, *marked.size]), hits, strict=True):
            on_image.rectangle(_corners(box), outline=HIT_COLOR if hit else MISSED_COLOR)
    for box in pixels[drawn]:
        on_image.rectangle(_corners(box), outline=(*BOX_COLOR, 255 if len(boxes) == 1 else 130))
        on_heat.rectangle(_corners(box), outline="white")
    for view, color in zip(corners, _view_colors(len(views)), strict=True):
        on_image.rectangle(_corners(view), outline=color, width=2)
    if chosen is not None:
        for pen in (on_image, on_heat):
            pen.rectangle(_corners(pixels[chosen]), outline=BOX_COLOR, width=3)
    _write_scores(on_heat, pixels[drawn], boxes[drawn, 4])
    if objects is not None and len(objects):
        text = f"{hits.sum()} of {len(hits)} objects hit"
        _write(on_image, (0, marked.height - TEXT_HEIGHT), text, _text_width(on_image, text))

    panels = [marked, heat]
    for view, color in zip(shown, _view_colors(len(views)), strict=True):
        panel = _fit(Image.fromarray(view))
        ImageDraw.Draw(panel).rectangle((0, 0, panel.width - 1, panel.height - 1), outline=color, width=2)
        panels.append(panel)
    return panels


def best_boxes(scores: NDArray[np.floating], chosen: int | None) -> list[int]:
    """Indices of at most :data:`MAX_BOXES` boxes, best score first; ``chosen`` is always among them."""
    best = np.argsort(-scores, kind="stable").tolist()
    if chosen in best[MAX_BOXES:]:
        best.insert(MAX_BOXES - 1, chosen)
    return best[:MAX_BOXES]


def hit_objects(boxes: NDArray[np.floating], objects: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Which objects ``(M, 4)`` contain the center of any box ``(K, 4 or more)``, both in the same unit."""
    centers = (boxes[:, None, :2] + boxes[:, None, 2:4]) / 2
    inside = (centers >= objects[:, :2]) & (centers <= objects[:, 2:])
    return np.any(np.all(inside, axis=2), axis=0)


def contact_sheet(
    rows: list[list[Image.Image]],
    title: str,
    columns: int = 2,
    areas: NDArray[np.floating] | None = None,
    annotated: bool = True,
) -> Image.Image:
    """All panels on one sheet, some images side by side, below a legend of the colors.

    Args:
        rows: the panels of each image, equally many.
        areas: of all boxes, as fractions of their images, for a histogram at the bottom.
        annotated: panels show annotated objects, so that the legend names their colors.
    """
    widths = [max(row[i].width for row in rows) for i in range(len(rows[0]))]
    cell_width = sum(widths) + GAP * len(widths) + 3 * GAP
    lines = -(-len(rows) // columns)
    height = HEADER + lines * (PANEL_HEIGHT + GAP)
    chart = 0 if areas is None else CHART_HEIGHT
    sheet = Image.new("RGB", (cell_width * columns - 2 * GAP, height + chart), BACKGROUND)
    starts = [number * cell_width + GAP for number in range(min(columns, len(rows)))]
    _write_header(sheet, title, widths, starts, annotated)
    for number, row in enumerate(rows):
        x = (number % columns) * cell_width + GAP
        y = HEADER + (number // columns) * (PANEL_HEIGHT + GAP)
        for panel, width in zip(row, widths, strict=True):
            sheet.paste(panel, (x + (width - panel.width) // 2, y + (PANEL_HEIGHT - panel.height) // 2))
            x += width + GAP
    if areas is not None:
        sheet.paste(area_chart(areas, sheet.width - 2 * GAP), (GAP, height))
    return sheet


def area_histogram(areas: NDArray[np.floating]) -> NDArray[np.int64]:
    """Number of boxes with an area between the :data:`AREA_EDGES`; smaller ones count for the first bin."""
    return np.histogram(areas.clip(AREA_EDGES[0], 1), AREA_EDGES)[0]


def area_chart(areas: NDArray[np.floating], width: int) -> Image.Image:
    """Histogram of areas as fractions of the image, on a logarithmic axis; ``width x CHART_HEIGHT`` pixels."""
    chart = Image.new("RGB", (width, CHART_HEIGHT), BACKGROUND)
    pen, font = ImageDraw.Draw(chart), ImageFont.load_default(12)
    text = f"areas of all {len(areas)} boxes, in fractions of the image"
    if len(areas):
        text += f": median {_percent(np.median(areas))}, middle half {_percent(np.quantile(areas, 0.25))} to "
        text += _percent(np.quantile(areas, 0.75))
    pen.text((0, 2), text, fill="white", font=font)
    top, bottom = 26, CHART_HEIGHT - 22
    counts = area_histogram(areas)
    edges = np.linspace(0, width - 1, len(counts) + 1)
    for decade in range(5):
        x, anchor = edges[10 * decade], ("la", "ma", "ma", "ma", "ra")[decade]
        pen.line((x, top, x, bottom + 3), fill=(60, 60, 66))
        pen.text((x, bottom + 5), _percent(10.0 ** (decade - 4)), fill=FAINT, font=font, anchor=anchor)
    for count, left, right in zip(counts, edges, edges[1:], strict=False):
        if count:
            height = max(1, round((bottom - top) * count / counts.max()))
            pen.rectangle((round(left) + 1, bottom - height, round(right) - 1, bottom - 1), fill=BOX_COLOR)
    pen.line((0, bottom, width, bottom), fill=FAINT)
    return chart


_BILINEAR = Image.Resampling.BILINEAR


def _fit(image: Image.Image) -> Image.Image:
    """The image at :data:`PANEL_HEIGHT`, or lower where it would become more than twice as wide."""
    scale = min(PANEL_HEIGHT / image.height, 2 * PANEL_HEIGHT / image.width)
    return image.resize((max(1, round(image.width * scale)), max(1, round(image.height * scale))), _BILINEAR)


def _view_colors(number: int) -> list[tuple[int, int, int]]:
    return [VIEW_COLORS[view % len(VIEW_COLORS)] for view in range(number)]


def _corners(box: NDArray[np.floating]) -> tuple[float, float, float, float]:
    """Corners of at least one pixel, inclusive, as the pen needs them."""
    left, top, right, bottom = box.tolist()
    return left, top, max(left, right - 1), max(top, bottom - 1)


def _write_scores(pen: ImageDraw.ImageDraw, boxes: NDArray[np.floating], scores: NDArray[np.floating]) -> None:
    """Scores next to boxes ``(K, 4)`` in pixels, the first ones first; what would cover another is left out."""
    taken: list[Rectangle] = []
    for box, score in zip(boxes, scores, strict=True):
        text = f"{score:.2f}"
        width = _text_width(pen, text)
        place = free_place(_corners(box), (width, TEXT_HEIGHT), pen.im.size, taken)
        if place:
            taken.append(place)
            _write(pen, place[:2], text, width)


def _write(pen: ImageDraw.ImageDraw, corner: tuple[float, float], text: str, width: float) -> None:
    """White on black, from its upper left corner, ``width x TEXT_HEIGHT`` pixels."""
    left, top = corner
    pen.rectangle((left, top, left + width - 1, top + TEXT_HEIGHT - 1), fill=(0, 0, 0, 190))
    pen.text((left + 2, top - 1), text, fill="white", font=ImageFont.load_default(12))


def _text_width(pen: ImageDraw.ImageDraw, text: str) -> float:
    """Pixels, with a margin of two at either side."""
    return pen.textlength(text, font=ImageFont.load_default(12)) + 4


def _write_header(
    sheet: Image.Image, title: str, widths: Sequence[int], starts: Sequence[int], annotated: bool
) -> None:
    """The title, what the colors mean, and over each column what it shows."""
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(12)
    x: float = GAP
    pen.text((GAP, 5), title, fill="white", font=ImageFont.load_default(16))
    num_views = len(widths) - 2
    texts = [
        (f"the best {MAX_BOXES} boxes, thick where all views overlap", BOX_COLOR),
        *((f"view {i + 1}", color) for i, color in enumerate(_view_colors(num_views))),
    ]
    if annotated:
        texts += [("object hit by the center of a box, drawn or not", HIT_COLOR), ("object missed", MISSED_COLOR)]
    for text, color in texts:
        pen.rectangle((x, 32, x + 9, 41), outline=color, width=2)
        pen.text((x + 14, 29), text, fill=color, font=font)
        x += pen.textlength(text, font=font) + 34
    headings = ["image, boxes, views", "heatmap, scores", *(f"view {i + 1}" for i in range(num_views))]
    for start in starts:
        x = start
        for heading, width in zip(headings, widths, strict=True):
            pen.text((x + width / 2, HEADER - 5), heading, fill="white", font=ImageFont.load_default(13), anchor="ms")
            x += width + GAP


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"
