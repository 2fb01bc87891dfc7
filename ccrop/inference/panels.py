"""What a model sees of some images: heatmap, boxes, and the views that it is fed."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from ccrop.datasets import BoxStore, CocoImages, ImageDataset, InvalidAnnotations, MissingData, UnreadableImage
from ccrop.datasets.base import NO_BOXES, spread
from ccrop.datasets.channel_stack import as_rgb, from_array
from ccrop.datasets.coco import annotated_boxes, find_split
from ccrop.inference.contact_sheet import image_panels
from ccrop.localization import Localizer
from ccrop.localization.feature_heatmap import upsampled
from ccrop.models import Siamese
from ccrop.views import WholeImage, rectangles

MANY = 2**18  # images, of which statistics are drawn


def look(
    model: Siamese,
    dataset: ImageDataset,
    localizer: Localizer,
    image_size: tuple[int, int],
    indices: Sequence[int],
    draw: tuple[int, int] = (0, 0),
    keep_ratio: bool = False,
    objects: Mapping[int, NDArray[np.float64]] | None = None,
) -> list[list[Image.Image]]:
    """The panels of some images: image with boxes and crops, heatmap, and every view as fed to the model.

    Args:
        model: in eval mode.
        dataset: with the boxes that the crops are drawn from, and a pipeline that gives ``views`` and their
            ``rectangles (V, 4)`` in pixels; images that cannot be read are left out.
        localizer: gives the heatmap.
        image_size: (height, width) in pixels at which the model looks at whole images.
        draw: (seed, epoch), which determine the crops.
        keep_ratio: the model looks at images with their aspect ratio, see :class:`ccrop.views.WholeImage`.
        objects: annotated boxes ``(M, 4)`` of the images, see :func:`annotated_objects`.
    """
    whole = WholeImage(image_size, keep_ratio)
    rows = []
    for index in indices:
        try:
            image = dataset.read(dataset.get_data_info(index))
        except UnreadableImage:
            continue
        sample = dataset[(*draw, index)]
        batch = whole(dict(image=image, index=index))
        prepared = model.data_preprocessor(dict(images=batch["images"][None]))["images"]
        valid = batch["valid"][None].to(prepared.device) if keep_ratio else None
        small = localizer.heatmap(model.extract_feat(prepared), valid)
        with torch.random.fork_rng():
            torch.manual_seed(index)
            fed = model.data_preprocessor(dict(views=[view[None] for view in sample["views"]]), training=True)["views"]
        views = [np.asarray(as_rgb(from_array(model.data_preprocessor.to_uint8(view)[0].numpy()))) for view in fed]
        boxes = NO_BOXES if dataset.boxes is None else dataset.boxes[index]
        heatmap = image_heatmap(small, image_size, valid)[0].cpu().numpy()
        own = objects.get(index) if objects is not None else None
        rows.append(image_panels(as_rgb(image), heatmap, boxes, sample["rectangles"].numpy(), views, own))
    return rows


def annotated_objects(dataset: ImageDataset, indices: Sequence[int]) -> dict[int, NDArray[np.float64]] | None:
    """Annotated boxes ``(M, 4)`` of some images in fractions of each; None if there are no usable annotations."""
    if not isinstance(dataset, CocoImages):
        return None
    try:
        known = {image.file_name: image.boxes for image in annotated_boxes(dataset.data_root, dataset.split)}
    except (MissingData, InvalidAnnotations):
        return None
    folder = Path(dataset.data_root, find_split(Path(dataset.data_root), dataset.split))
    names = {index: dataset.path(dataset.get_data_info(index)) for index in indices}
    return {index: known[name] for index, path in names.items() if (name := str(path.relative_to(folder))) in known}


def image_heatmap(heatmap: Tensor, image_size: tuple[int, int], valid: Tensor | None) -> Tensor:
    """A heatmap ``(1, h, w)`` of one canvas, upsampled to ``image_size`` and cut to the image on it, ``(1, H, W)``."""
    heatmap = upsampled(heatmap, image_size, valid)
    if valid is None:
        return heatmap
    height, width = image_size
    left, top, right, bottom = (valid[0] * valid.new_tensor([width, height, width, height])).round().int().tolist()
    return heatmap[:, top:bottom, left:right]


def box_areas(store: BoxStore) -> NDArray[np.float32]:
    """Areas of all boxes, as fractions of the image; of a large set those of :data:`MANY` evenly spaced images."""
    boxes, counts = store.of_batch(torch.tensor(spread(len(store), MANY)))
    return rectangles.area(torch.from_numpy(boxes[np.arange(store.max_boxes) < counts[:, None], :4])).numpy()
