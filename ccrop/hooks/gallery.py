"""Pictures of what a run saw: image, heatmap, boxes and the two views of a pair."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
import torch
from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.runner import Runner
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from ccrop.datasets import ImageDataset, UnreadableImage
from ccrop.datasets.base import spread
from ccrop.hooks.inference import evaluating
from ccrop.hooks.localization import LocalizationHook, Localizer
from ccrop.models import Siamese
from ccrop.views import WholeImage

BOX_COLOUR = (255, 220, 0)
VIEW_COLOURS = ((0, 220, 255), (255, 60, 220))
BACKGROUND = (24, 24, 28)
PANEL_HEIGHT = 144
GAP = 6
HEADER = 30


class GalleryHook(Hook):
    """After each localisation, one PNG in ``gallery/`` of the work_dir and the same in the visualiser's backends.

    Args:
        num_images: evenly spaced over the data set, the same each time.
        columns: images side by side.
    """

    priority = "LOW"

    def __init__(self, num_images: int = 12, columns: int = 2) -> None:
        self.num_images = num_images
        self.columns = columns

    @master_only
    def after_localization(self, runner: Runner) -> None:
        dataset = runner.train_dataloader.dataset
        localization = next(hook for hook in runner.hooks if isinstance(hook, LocalizationHook))
        indices = spread(len(dataset), self.num_images)
        with evaluating(runner) as model:
            rows = look(
                model, dataset, localization.localizer, localization.image_size, indices, (runner.seed, runner.epoch)
            )
        if not rows:
            return
        title = f"{runner.cfg.experiment}, before epoch {runner.epoch + 1} of {runner.max_epochs}"
        picture = contact_sheet(rows, title, self.columns)
        file = Path(runner.work_dir, "gallery", f"epoch_{runner.epoch:04d}_iter_{runner.iter:06d}.png")
        file.parent.mkdir(exist_ok=True)
        picture.save(file)
        runner.visualizer.add_image("gallery", np.asarray(picture), step=runner.epoch)
        runner.logger.info(f"Gallery: {file}")


def look(
    model: Siamese,
    dataset: ImageDataset,
    localizer: Localizer,
    image_size: tuple[int, int],
    indices: Sequence[int],
    draw: tuple[int, int] = (0, 0),
) -> list[list[Image.Image]]:
    """The panels of some images: image with boxes and crops, heatmap, and every view as the model is fed it.

    Args:
        model: in eval mode.
        dataset: with the boxes that the crops are drawn from; images that cannot be read are left out.
        localizer: gives the heatmap.
        image_size: (height, width) in pixels at which the model looks at whole images.
        draw: (seed, epoch), which decide the crops.
    """
    whole = WholeImage(image_size)
    rows = []
    for index in indices:
        try:
            image = dataset.read(dataset.get_data_info(index))
        except UnreadableImage:
            continue
        sample = dataset[(*draw, index)]
        batch = whole(dict(image=image, index=index))["images"][None]
        prepared = model.data_preprocessor(dict(images=batch))["images"]
        heatmap = localizer.heatmap(model.extract_feat(prepared))[0].cpu()
        with torch.random.fork_rng():
            torch.manual_seed(index)
            fed = model.data_preprocessor(dict(views=[view[None] for view in sample["views"]]), training=True)["views"]
        views = [model.data_preprocessor.to_uint8(view)[0].numpy() for view in fed]
        boxes = dataset.boxes[index] if dataset.boxes is not None else ()
        rows.append(_panels(image, heatmap, boxes, sample["rectangles"].tolist(), views))
    return rows


def _panels(
    image: Image.Image,
    heatmap: Tensor,
    boxes: Sequence[NDArray[np.floating]],
    rectangles: list[list[int]],
    views: list[NDArray[np.uint8]],
) -> list[Image.Image]:
    scale = PANEL_HEIGHT / image.height
    width = min(max(1, round(image.width * scale)), 2 * PANEL_HEIGHT)
    marked = image.resize((width, PANEL_HEIGHT), Image.Resampling.BILINEAR)
    heat = Image.fromarray((matplotlib.colormaps["turbo"](heatmap.numpy())[..., :3] * 255).astype(np.uint8))
    heat = Image.blend(marked, heat.resize(marked.size, Image.Resampling.BILINEAR), 0.6)

    across, down = width / image.width, PANEL_HEIGHT / image.height
    pen = ImageDraw.Draw(marked)
    for (left, top, right, bottom), colour in zip(rectangles, VIEW_COLOURS * len(rectangles), strict=False):
        pen.rectangle((left * across, top * down, right * across - 1, bottom * down - 1), outline=colour, width=2)
    for x0, y0, x1, y1, *_ in boxes:
        corners = (x0 * width, y0 * PANEL_HEIGHT, x1 * width - 1, y1 * PANEL_HEIGHT - 1)
        pen.rectangle(_ordered(corners), outline=BOX_COLOUR, width=2)

    panels = [marked, heat]
    for view, colour in zip(views, VIEW_COLOURS * len(views), strict=False):
        panel = Image.fromarray(view).resize((PANEL_HEIGHT, PANEL_HEIGHT), Image.Resampling.BILINEAR)
        ImageDraw.Draw(panel).rectangle((0, 0, PANEL_HEIGHT - 1, PANEL_HEIGHT - 1), outline=colour, width=2)
        panels.append(panel)
    return panels


def contact_sheet(rows: list[list[Image.Image]], title: str, columns: int = 2) -> Image.Image:
    """All panels on one sheet, some images side by side, with a line that says what the colours mean."""
    widths = [max(row[i].width for row in rows) for i in range(len(rows[0]))]
    cell_width = sum(widths) + GAP * (len(widths) + 1)
    lines = -(-len(rows) // columns)
    sheet = Image.new("RGB", (cell_width * columns, HEADER + lines * (PANEL_HEIGHT + GAP)), BACKGROUND)
    _write_header(sheet, title)
    for number, row in enumerate(rows):
        x = (number % columns) * cell_width + GAP
        y = HEADER + (number // columns) * (PANEL_HEIGHT + GAP)
        for panel, width in zip(row, widths, strict=True):
            sheet.paste(panel, (x + (width - panel.width) // 2, y))
            x += width + GAP
    return sheet


def _write_header(sheet: Image.Image, title: str) -> None:
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(15)
    x = GAP
    texts = [(title, "white"), ("box", BOX_COLOUR), ("view 1", VIEW_COLOURS[0]), ("view 2", VIEW_COLOURS[1])]
    for text, colour in texts:
        pen.text((x, 6), text, fill=colour, font=font)
        x += pen.textlength(text, font=font) + 18


def _ordered(corners: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
    """Corners of at least one pixel, as the pen wants them."""
    left, top, right, bottom = corners
    return left, top, max(left, right), max(top, bottom)
