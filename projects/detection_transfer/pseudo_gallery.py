"""A picture of what a detector is trained on: boxes on whole images, and its input."""

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import DATASETS
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torchvision.transforms.functional import to_pil_image
from torchvision.utils import draw_bounding_boxes

from ccrop.files import written

NUMBER = 12  # of images, and of samples of the training pipeline
COLUMNS = 6
SIDE = 320  # pixels of a panel's longer side
GAP = 4
HEADING = 40
BACKGROUND = (24, 24, 28)
COLOR = "#ffdc00"
HEADING_OF_IMAGES = "Training images and the pseudo-boxes that the detector learns"
HEADING_OF_SAMPLES = "Training samples as the detector gets them"


def save_gallery(config: Config, file: str | Path) -> None:
    """Draw images with their boxes in the upper rows, and training samples in the lower ones.

    Args:
        config: of a detector, with its data determined.
        file: of the picture (.png).
    """
    settings = copy.deepcopy(config.train_dataloader.dataset)
    steps = [step for step in settings.pipeline if step["type"] != "PackDetInputs"]
    loads = 1 + max(
        place for place, step in enumerate(steps) if "Annotations" in step["type"] or "Image" in step["type"]
    )
    pasted = any(step["type"] == "PastePieces" for step in steps)
    samples = HEADING_OF_SAMPLES + (", with pieces of other images pasted in" if pasted else "")
    parts = []
    for heading, pipeline in ((HEADING_OF_IMAGES, steps[:loads]), (samples, steps)):
        dataset = DATASETS.build(dict(settings, pipeline=pipeline, _scope_="mmdet"))
        places = np.linspace(0, len(dataset) - 1, min(NUMBER, len(dataset))).round().astype(int)
        parts.append(sheet(heading, [panel(dataset[place], config.get("channels", 3)) for place in places]))
    gallery = Image.new("RGB", (parts[0].width, sum(part.height for part in parts)), BACKGROUND)
    gallery.paste(parts[0])
    gallery.paste(parts[1], (0, parts[0].height))
    with written(file) as partial:
        gallery.save(partial)


def sheet(heading: str, panels: Sequence[Image.Image]) -> Image.Image:
    """Panels in rows of six below a heading; a row is as high as the highest panel."""
    height = max(each.height for each in panels) + GAP
    rows = -(-len(panels) // COLUMNS)
    found = Image.new("RGB", (COLUMNS * (SIDE + GAP) + GAP, HEADING + rows * height), BACKGROUND)
    ImageDraw.Draw(found).text((GAP, 8), heading, fill="white", font=ImageFont.load_default(20))
    for place, each in enumerate(panels):
        row, column = divmod(place, COLUMNS)
        found.paste(each, (GAP + column * (SIDE + GAP), HEADING + row * height))
    return found


def panel(sample: dict[str, Any], channels: int) -> Image.Image:
    """A sample of an mmdet pipeline with its boxes, ``SIDE`` pixels long."""
    image: NDArray[np.uint8] = np.atleast_3d(sample["img"])
    image = image[..., ::-1] if channels == 3 else image[..., :3] if channels > 3 else image[..., :1].repeat(3, 2)
    picture = Image.fromarray(np.ascontiguousarray(image))
    boxes = sample["gt_bboxes"]
    boxes = boxes.tensor if hasattr(boxes, "tensor") else torch.from_numpy(boxes)
    factor = SIDE / max(picture.size)
    width, height = (round(factor * side) for side in picture.size)
    picture = picture.resize((width, height), Image.Resampling.BILINEAR)
    if not len(boxes):
        return picture
    pixels = torch.from_numpy(np.array(picture)).permute(2, 0, 1)
    return to_pil_image(draw_bounding_boxes(pixels, factor * boxes, colors=COLOR))
