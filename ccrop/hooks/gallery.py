"""Pictures of what a run saw: image, heatmap, boxes and the two views of a pair."""

from pathlib import Path

import numpy as np
from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.runner import Runner
from numpy.typing import NDArray

from ccrop.datasets.base import spread
from ccrop.files import written
from ccrop.hooks.localization import LocalizationHook
from ccrop.inference.contact_sheet import contact_sheet
from ccrop.inference.eval_mode import evaluating
from ccrop.inference.panels import annotated_objects, box_areas, look

AREA_QUANTILES = {"boxes/area_10": 0.1, "boxes/area_50": 0.5, "boxes/area_90": 0.9}


class GalleryHook(Hook):
    """After each localization, one PNG in ``gallery/`` of the work_dir, at half its size in the visualizer's backends.

    Below the images is a histogram of the areas of all boxes; the backends get their quantiles as
    ``boxes/area_10``, ``boxes/area_50`` and ``boxes/area_90``, in fractions of the image.

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
        picture = contact_sheet(rows, title, self.columns, areas, annotated=bool(self._objects))
        file = Path(runner.work_dir, "gallery", f"epoch_{runner.epoch:04d}_iter_{runner.iter:06d}.png")
        with written(file) as partial:
            picture.save(partial, compress_level=1)  # a quarter of the default's time for a tenth more bytes
        runner.visualizer.add_image("gallery", np.asarray(picture.reduce(2)), step=runner.epoch)
        if len(areas):
            scalars = {name: float(np.quantile(areas, share)) for name, share in AREA_QUANTILES.items()}
            runner.visualizer.add_scalars(scalars, step=runner.epoch)
        runner.logger.info(f"Gallery: {file}")
