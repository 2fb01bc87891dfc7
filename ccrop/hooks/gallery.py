"""Pictures of what a run saw: image, heatmap, boxes and the two views of a pair."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.runner import Runner
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from ccrop.datasets import BoxStore, CocoImages, ImageDataset, InvalidAnnotations, MissingData, UnreadableImage
from ccrop.datasets.base import NO_BOXES, spread
from ccrop.datasets.channel_stack import as_rgb, from_array
from ccrop.datasets.coco import annotated_boxes, find_split
from ccrop.files import written
from ccrop.hooks.contact_sheet import contact_sheet, image_panels
from ccrop.hooks.inference import evaluating
from ccrop.hooks.localization import LocalizationHook, Localizer
from ccrop.localization.heatmap import upsampled
from ccrop.models import Siamese
from ccrop.views import WholeImage, rectangles

AREA_QUANTILES = {"boxes/area_10": 0.1, "boxes/area_50": 0.5, "boxes/area_90": 0.9}


class GalleryHook(Hook):
    """After each localisation, one PNG in ``gallery/`` of the work_dir and the same in the visualiser's backends.

    Below the images stands a histogram of the areas of all boxes; the backends get their quantiles as
    ``boxes/area_10``, ``boxes/area_50`` and ``boxes/area_90``, in shares of the image.

    Args:
        num_images: evenly spaced over the data set, the same each time.
        columns: images side by side.
    """

    priority = "LOW"

    def __init__(self, num_images: int = 12, columns: int = 2) -> None:
        self.num_images = num_images
        self.columns = columns
        self._objects: dict[int, NDArray[np.float64]] | None = None

    @master_only
    def before_train(self, runner: Runner) -> None:
        dataset = runner.train_dataloader.dataset
        self._objects = annotated_objects(dataset, spread(len(dataset), self.num_images))

    @master_only
    def after_localization(self, runner: Runner) -> None:
        dataset = runner.train_dataloader.dataset
        localization = next(hook for hook in runner.hooks if isinstance(hook, LocalizationHook))
        indices = spread(len(dataset), self.num_images)
        draw = (runner.seed, runner.epoch)
        with evaluating(runner) as model:
            rows = look(
                model,
                dataset,
                localization.localizer,
                localization.image_size,
                indices,
                draw,
                localization.keep_ratio,
                self._objects,
            )
        if not rows:
            return
        title = f"{runner.cfg.experiment}, before epoch {runner.epoch + 1} of {runner.max_epochs}"
        areas = box_areas(dataset.boxes)
        picture = contact_sheet(rows, title, self.columns, areas)
        file = Path(runner.work_dir, "gallery", f"epoch_{runner.epoch:04d}_iter_{runner.iter:06d}.png")
        with written(file) as partial:
            picture.save(partial)
        runner.visualizer.add_image("gallery", np.asarray(picture), step=runner.epoch)
        if len(areas):
            scalars = {name: float(np.quantile(areas, share)) for name, share in AREA_QUANTILES.items()}
            runner.visualizer.add_scalars(scalars, step=runner.epoch)
        runner.logger.info(f"Gallery: {file}")


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
    """The panels of some images: image with boxes and crops, heatmap, and every view as the model is fed it.

    Args:
        model: in eval mode.
        dataset: with the boxes that the crops are drawn from, and a pipeline that gives ``views`` and their
            ``rectangles (V, 4)`` in pixels; images that cannot be read are left out.
        localizer: gives the heatmap.
        image_size: (height, width) in pixels at which the model looks at whole images.
        draw: (seed, epoch), which decide the crops.
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
        heatmap = localizer.heatmap(model.extract_feat(prepared), valid)
        with torch.random.fork_rng():
            torch.manual_seed(index)
            fed = model.data_preprocessor(dict(views=[view[None] for view in sample["views"]]), training=True)["views"]
        views = [np.asarray(as_rgb(from_array(model.data_preprocessor.to_uint8(view)[0].numpy()))) for view in fed]
        boxes = NO_BOXES if dataset.boxes is None else dataset.boxes[index]
        heatmap = image_heatmap(heatmap, image_size, valid)[0].cpu().numpy()
        own = objects.get(index) if objects is not None else None
        rows.append(image_panels(as_rgb(image), heatmap, boxes, sample["rectangles"].numpy(), views, own))
    return rows


def annotated_objects(dataset: ImageDataset, indices: Sequence[int]) -> dict[int, NDArray[np.float64]] | None:
    """Annotated boxes ``(M, 4)`` of some images in fractions of each; None where there are no usable annotations."""
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
    """Areas of all boxes of all images, as shares of the image."""
    used = torch.arange(store.max_boxes) < store.counts[:, None]
    return rectangles.area(store.boxes[used][:, :4]).numpy()
