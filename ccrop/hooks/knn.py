"""kNN accuracy during training, wherever labels exist."""

from typing import Any

import torch
from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.registry import DATASETS
from mmengine.runner import Runner
from torch import Tensor
from torch.utils.data import DataLoader

from ccrop.available_cores import fitting_workers
from ccrop.datasets import ImageDataset, InvalidAnnotations, MissingData, UnreadableFile
from ccrop.datasets.base import require_same_classes
from ccrop.evaluation import knn_accuracy
from ccrop.evaluation.knn import note_on_unknown
from ccrop.inference.eval_mode import evaluating
from ccrop.long_work import with_progress
from ccrop.views import WholeImage


class KNNHook(Hook):
    """Weighted kNN (Wu et al., CVPR 2018) on globally pooled features, before training and every few epochs.

    Images are decoded once and kept as uint8, so bound the data sets with ``subset``. If a data set has
    no usable labels, the hook says so once and does nothing.

    Args:
        bank, queries: configs of labeled data sets.
        image_size: (height, width) in pixels of the images.
        k, temperature: see :func:`ccrop.evaluation.knn_predict`.
        interval: epochs between evaluations; the last epoch is always evaluated.
        batch_size: images per batch.
        num_workers: processes that decode.
    """

    priority = "NORMAL"

    def __init__(
        self,
        bank: dict[str, Any],
        queries: dict[str, Any],
        image_size: tuple[int, int],
        k: int = 200,
        temperature: float = 0.07,
        interval: int = 1,
        batch_size: int = 128,
        num_workers: int = 2,
    ) -> None:
        self.configs = (bank, queries)
        self.image_size = tuple(image_size)
        self.k = k
        self.temperature = temperature
        self.interval = interval
        self.batch_size = batch_size
        self.num_workers = num_workers
        self._data: list[tuple[Tensor, Tensor]] = []

    @master_only
    def before_train(self, runner: Runner) -> None:
        try:
            bank, queries = (self._dataset(config) for config in self.configs)
            require_same_classes(bank, queries)
            self._data = [self._load(dataset) for dataset in (bank, queries)]
        except MissingData as error:
            runner.logger.info(f"No kNN accuracy in this run, for lack of labels: {str(error).splitlines()[0]}")
            return
        except (InvalidAnnotations, UnreadableFile) as error:
            runner.logger.warning(f"The run continues without kNN accuracy: {error}")
            return
        (_, bank_labels), (_, labels) = self._data
        if note := note_on_unknown(bank_labels, labels):
            runner.logger.warning(note)
        if runner.epoch == 0:
            accuracy = self._evaluate(runner)
            runner.visualizer.add_scalar("epoch/knn", accuracy, step=0)
            largest = labels.unique(return_counts=True)[1].max() / len(labels)
            runner.logger.info(
                f"kNN accuracy before training: {accuracy:.2%} (bank and queries: {len(bank_labels)} and "
                f"{len(labels)}; {largest:.1%} of the queries are of the largest class)"
            )

    @master_only
    def after_train_epoch(self, runner: Runner) -> None:
        if self._data and (self.every_n_epochs(runner, self.interval) or self.is_last_train_epoch(runner)):
            self._evaluate(runner)

    def _evaluate(self, runner: Runner) -> float:
        (bank, bank_labels), (queries, labels) = ((self._features(runner, images), y) for images, y in self._data)
        bank_labels, labels = bank_labels.to(bank.device), labels.to(bank.device)
        accuracy = knn_accuracy(bank, bank_labels, queries, labels, self.k, self.temperature)
        runner.message_hub.update_scalar("epoch/knn", accuracy)
        return accuracy

    def _features(self, runner: Runner, images: Tensor) -> Tensor:
        features = []
        with evaluating(runner) as model:
            for batch in with_progress(images.split(self.batch_size), "kNN features"):
                batch = model.data_preprocessor(dict(images=batch))["images"]
                features.append(model.pooled(batch).float())
        return torch.cat(features)

    def _dataset(self, config: dict[str, Any]) -> ImageDataset:
        dataset = DATASETS.build(config | dict(pipeline=[dict(type=WholeImage, size=self.image_size)]))
        if "label" not in dataset.get_data_info(0):
            raise MissingData(f"{dataset.data_root} has no labels")
        return dataset

    def _load(self, dataset: ImageDataset) -> tuple[Tensor, Tensor]:
        """Images ``(N, H, W, channels)`` uint8 and labels ``(N,)``."""
        loader: DataLoader = DataLoader(dataset, self.batch_size, num_workers=fitting_workers(self.num_workers))
        batches = list(with_progress(loader, "kNN images"))
        return torch.cat([batch["images"] for batch in batches]), torch.cat([batch["label"] for batch in batches])
