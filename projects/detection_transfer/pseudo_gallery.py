"""A picture of what a detector is taught: its boxes on whole images, and what it is fed."""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import DATASETS
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torchvision.transforms.functional import to_pil_image
from torchvision.utils import draw_bounding_boxes, make_grid

from ccrop.files import written

NUMBER = 12  # of images, and of samples of the training pipeline
SIDE = 320  # pixels of a panel
COLOR = "#ffdc00"


def save_gallery(config: Config, file: str | Path) -> None:
    """Draw images with their boxes in the upper rows, and samples as they are trained on in the lower ones.

    Args:
        config: of a detector whose data are settled.
        file: of the picture (.png).
    """
    settings = copy.deepcopy(config.train_dataloader.dataset)
    steps = [step for step in settings.pipeline if step["type"] != "PackDetInputs"]
    loads = 1 + max(
        place for place, step in enumerate(steps) if "Annotations" in step["type"] or "Image" in step["type"]
    )
    panels = []
    for pipeline in (steps[:loads], steps):
        dataset = DATASETS.build(dict(settings, pipeline=pipeline, _scope_="mmdet"))
        places = np.linspace(0, len(dataset) - 1, min(NUMBER, len(dataset))).round().astype(int)
        panels += [panel(dataset[place], config.get("channels", 3)) for place in places]
    with written(file) as partial:
        to_pil_image(make_grid(panels, nrow=6, padding=4, pad_value=24)).save(partial)


def panel(sample: dict[str, Any], channels: int) -> Tensor:
    """A sample of an mmdet pipeline with its boxes, ``(3, SIDE, SIDE)`` uint8, padded where it is not square."""
    image: NDArray[np.uint8] = np.atleast_3d(sample["img"])
    image = image[..., ::-1] if channels == 3 else image[..., :3] if channels > 3 else image[..., :1].repeat(3, 2)
    picture = Image.fromarray(np.ascontiguousarray(image))
    boxes = sample["gt_bboxes"]
    boxes = boxes.tensor if hasattr(boxes, "tensor") else torch.from_numpy(boxes)
    factor = SIDE / max(picture.size)
    width, height = (round(factor * side) for side in picture.size)
    canvas = Image.new("RGB", (SIDE, SIDE))
    canvas.paste(picture.resize((width, height), Image.Resampling.BILINEAR))
    pixels = torch.from_numpy(np.array(canvas)).permute(2, 0, 1)
    return draw_bounding_boxes(pixels, factor * boxes, colors=COLOR) if len(boxes) else pixels
