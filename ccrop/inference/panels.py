"""What a model sees of some images: heatmap, boxes, and the views that it is fed."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from ccrop.datasets import BoxStore, CocoImages, ImageDataset, InvalidAnnotations, MissingData, UnreadableImage
from ccrop.datasets.base import NO_BOXES, spread
from ccrop.datasets.channel_stack import AnyImage, as_rgb, from_array
from ccrop.datasets.coco import annotated_boxes, find_split
from ccrop.inference.contact_sheet import image_panels
from ccrop.inference.locate import levels_read
from ccrop.localization import Localizer
from ccrop.localization.feature_heatmap import upsampled
from ccrop.models import Siamese, ViewPreprocessor
from ccrop.views import WholeImage, rectangles

AT_ONCE = 16  # images
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
    rows = []
    for start in range(0, len(indices), AT_ONCE):
        images = readable(dataset, indices[start : start + AT_ONCE])
        if not images:
            continue
        samples = [dataset[(*draw, index)] for index in images]
        heatmaps = image_heatmaps(model, localizer, list(images.values()), image_size, keep_ratio)
        fed = fed_views(model.data_preprocessor, [sample["views"] for sample in samples], seed=next(iter(images)))
        for (index, image), heatmap, sample, views in zip(images.items(), heatmaps, samples, fed, strict=True):
            boxes = NO_BOXES if dataset.boxes is None else dataset.boxes[index]
            own = objects.get(index) if objects is not None else None
            rows.append(image_panels(as_rgb(image), heatmap, boxes, sample["rectangles"].numpy(), views, own))
    return rows


def readable(dataset: ImageDataset, indices: Sequence[int]) -> dict[int, AnyImage]:
    """Those of the images that can be read, by index."""
    images = {}
    for index in indices:
        with suppress(UnreadableImage):
            images[index] = dataset.read(dataset.get_data_info(index))
    return images


def image_heatmaps(
    model: Siamese, localizer: Localizer, images: Sequence[AnyImage], image_size: tuple[int, int], keep_ratio: bool
) -> list[NDArray[np.float32]]:
    """Of each image its heatmap ``(H, W)``, upsampled to the image's part of a canvas of ``image_size``."""
    whole = WholeImage(image_size, keep_ratio)
    canvases = [whole(dict(image=image, index=index)) for index, image in enumerate(images)]
    pixels = torch.stack([canvas["images"] for canvas in canvases])
    prepared = model.data_preprocessor(dict(images=pixels))["images"]
    valid = torch.stack([canvas["valid"] for canvas in canvases]).to(prepared.device) if keep_ratio else None
    with levels_read(model, localizer):
        small = localizer.heatmap(model.extract_feat(prepared), valid)
    parts = [None] * len(images) if valid is None else valid.split(1)
    return [
        image_heatmap(heatmap, image_size, part)[0].cpu().numpy()
        for heatmap, part in zip(small.split(1), parts, strict=True)
    ]


def fed_views(
    preprocessor: ViewPreprocessor, samples: Sequence[Sequence[Tensor]], seed: int
) -> list[list[NDArray[np.uint8]]]:
    """Of each sample its views ``(H, W, C)`` as the model is fed them; the random state is left as it was."""
    views = [torch.stack(of_view) for of_view in zip(*samples, strict=True)]
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        fed = preprocessor(dict(views=views), training=True)["views"]
    shown = [preprocessor.to_uint8(view).numpy() for view in fed]
    return [[np.asarray(as_rgb(from_array(view[number]))) for view in shown] for number in range(len(samples))]


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
