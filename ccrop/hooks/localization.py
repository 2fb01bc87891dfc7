"""Every few epochs, or iterations: where are the objects, as the backbone sees them now?"""

import time
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.registry import TASK_UTILS
from mmengine.runner import Runner

from ccrop.datasets import BoxStore, LocatedDataset, ShardedBatches
from ccrop.datasets.checkpointed_boxes import restore_boxes, saved_boxes
from ccrop.inference.eval_mode import evaluating
from ccrop.inference.locate import LocatedBatch, describe, located
from ccrop.models import Siamese

UNBOUND = 0.9  # fraction of whole images above which boxes bound nothing


class LocalizationHook(Hook):
    """Owns the schedule of localization, runs it over the ranks' shards and writes the data set's BoxStore.

    ContrastiveCrop (Peng et al., CVPR 2022, section 3.2): plain random crops for a warm-up, then boxes that are
    refreshed at an interval. Boxes come from the online encoder in eval mode on whole images. They are equal on
    every rank and part of every checkpoint. After each refresh other hooks' ``after_localization(runner)`` runs.

    Args:
        localizer: config of a localizer, see :mod:`ccrop.localization`.
        image_size: (height, width) in pixels at which images are looked at and the heatmap is evaluated.
        warmup: epochs (or iterations) before the first localization, 1 at least; a float is a fraction of the run.
        interval: epochs (or iterations) between refreshes; a float is a fraction of the whole run.
        by_epoch: count epochs, else iterations.
        batch_size: whole images per batch. With a ResNet-50, 64 images of 224 px take 0.7 GB and of 640 px 6 GB.
        num_workers: processes that decode whole images.
        keep_ratio: images keep their aspect ratio on a padded canvas of ``image_size``, see
            :class:`ccrop.views.WholeImage`; otherwise they are squashed, as in the published code.
    """

    priority = "NORMAL"

    def __init__(
        self,
        localizer: dict[str, Any],
        image_size: tuple[int, int] = (224, 224),
        warmup: float = 0.2,
        interval: float = 0.2,
        by_epoch: bool = True,
        batch_size: int = 64,
        num_workers: int = 2,
        keep_ratio: bool = False,
    ) -> None:
        if not (warmup >= 0 and interval > 0):
            raise ValueError(f"warmup must not be negative and interval must be positive, got {warmup} and {interval}")
        for name, value in (("warmup", warmup), ("interval", interval)):
            if isinstance(value, float) and value > 1:
                raise ValueError(
                    f"{name} as a float is a fraction of the run, at most 1.0; got {value}: write steps as int"
                )
        sides = tuple(image_size) if isinstance(image_size, Sequence) else (image_size,)
        if len(sides) != 2 or not all(isinstance(side, int) and side > 0 for side in sides):
            raise ValueError(f"image_size must be (height, width) in whole pixels, got {image_size}")
        if batch_size < 1 or num_workers < 0:
            raise ValueError(
                f"batch_size must be positive and num_workers not negative, got {batch_size} and {num_workers}"
            )
        self.localizer = TASK_UTILS.build(localizer)
        self.image_size = sides
        self.warmup = warmup
        self.interval = interval
        self.by_epoch = by_epoch
        self.batch_size = batch_size
        self.num_workers = num_workers
        self.keep_ratio = keep_ratio

    def before_run(self, runner: Runner) -> None:
        dataset = runner.train_dataloader.dataset
        dataset.boxes = BoxStore(len(dataset), self.localizer.max_boxes, dataset.fingerprint())

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        if "boxes" in checkpoint:
            restore_boxes(runner.train_dataloader.dataset.boxes, checkpoint["boxes"], runner.cfg.load_from)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        checkpoint["boxes"] = saved_boxes(runner.train_dataloader.dataset.boxes, runner.work_dir)

    def before_train(self, runner: Runner) -> None:
        """Look at a blank image, so that a localizer that does not suit the backbone fails before the warm-up.

        Raises:
            ValueError: from the localizer.
        """
        if not self.schedule(self._total(runner)):
            runner.logger.warning(
                f"No localization in a run of {self._total(runner)} {'epochs' if self.by_epoch else 'iterations'} with "
                f"warmup={self.warmup}: unless a checkpoint has boxes, all crops are plain random crops"
            )
        if self.localizer.uses_features:
            with evaluating(runner) as model:
                self.probe(model)

    def probe(self, model: Siamese) -> None:
        """Look at a blank image."""
        blank = torch.zeros(1, *self.image_size, model.data_preprocessor.channels, dtype=torch.uint8)
        features = model.extract_feat(model.data_preprocessor(dict(images=blank))["images"])
        self.localizer(features, self.image_size)

    def before_train_epoch(self, runner: Runner) -> None:
        if self.by_epoch and runner.epoch in self.schedule(runner.max_epochs):
            self.localize(runner)

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        if not self.by_epoch and runner.iter in self.schedule(runner.max_iters):
            self.localize(runner)

    def schedule(self, total: int) -> range:
        """Steps (epochs or iterations, from 0) of ``total`` before which boxes are refreshed."""
        warmup, interval = (
            max(1, round(value * total)) if isinstance(value, float) else value
            for value in (self.warmup, self.interval)
        )
        return range(warmup, total, interval)

    def _total(self, runner: Runner) -> int:
        return runner.max_epochs if self.by_epoch else runner.max_iters

    def localize(self, runner: Runner) -> None:
        """Look at all images and write their boxes to the store.

        Collective: every rank must call it.

        Raises:
            ValueError: the localizer gave an invalid box; names the image's file.
        """
        start = time.perf_counter()
        dataset = runner.train_dataloader.dataset
        with evaluating(runner) as model:
            dataset.fill_boxes(self.find(model, dataset, runner), ShardedBatches(len(dataset), self.batch_size))
        self.report(runner, dataset.boxes, time.perf_counter() - start)
        runner.call_hook("after_localization")

    def find(self, model: Siamese, dataset: LocatedDataset, runner: Runner) -> Iterator[LocatedBatch]:
        """Boxes of this rank's share, batch by batch."""
        return located(
            model, dataset, self.localizer, self.image_size, self.batch_size, self.num_workers, self.keep_ratio
        )

    def after_train_epoch(self, runner: Runner) -> None:
        store = runner.train_dataloader.dataset.boxes
        last_step = runner.epoch if self.by_epoch else runner.iter - 1
        if store.counts.any() or last_step >= self.schedule(self._total(runner)).start:
            for name, value in self.describe(store).items():
                runner.message_hub.update_scalar(f"epoch/{name}", value)

    def describe(self, store: BoxStore) -> dict[str, float]:
        """See :func:`describe`."""
        return describe(store, self.image_size)

    def report(self, runner: Runner, store: BoxStore, seconds: float) -> None:
        """Say in the log what was found."""
        found = self.describe(store)
        line = (
            f"Localized {len(store)} images in {seconds:.1f} s: {found['clusters']:.2f} boxes per image, "
            f"{found['no_box']:.1%} of the images have none and get plain random crops"
        )
        if "box_area" in found:
            area, whole = found["box_area"], found["whole_image"]
            runner.logger.info(f"{line}; mean area {area:.3f} of the image, {whole:.1%} of the boxes are whole images")
            if whole > UNBOUND:
                runner.logger.warning(
                    f"{whole:.1%} of the boxes are whole images, so they bound nothing and the views are nearly plain "
                    "random crops: for images with many objects, use the crop 'region' (tools/train.py --list)"
                )
        else:
            runner.logger.warning(line)
        silent = sum(int(((boxes[..., 4] == 0).all(1) & (counts > 0)).sum()) for boxes, counts in store.chunks())
        if silent:
            runner.logger.warning(
                f"{silent} of {len(store)} images have a constant or non-finite heatmap and got the whole image as "
                "their box: the backbone has collapsed or diverged on them"
            )
