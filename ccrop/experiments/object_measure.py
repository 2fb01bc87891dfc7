"""Pretraining runs measured by annotated objects: RoI-kNN, object-kNN, and whether the boxes find the objects."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from mmengine.config import Config
from torch.nn.utils.rnn import pad_sequence

from ccrop.datasets import ImageDataset, MissingData
from ccrop.datasets.coco import annotated_boxes, find_annotations
from ccrop.evaluation import box_quality, knn_predict
from ccrop.evaluation.pairs import SIZES
from ccrop.evaluation.roi_knn import balanced_accuracy
from ccrop.experiments.pretrainings import schema_of
from ccrop.experiments.schema import Schema
from ccrop.inference.annotated_regions import annotated_regions, roi_knn
from ccrop.inference.features import object_features
from ccrop.models import Siamese

STRIDES = (8, 16, 32)
COLUMNS = (
    *("hit_small", "hit_all"),
    *(f"roi_s{stride}_{size}" for stride in STRIDES for size in ("all", *SIZES)),
    *(f"object_{size}" for size in ("all", *SIZES)),
)
SHOWN = {
    "roi_s8_small": "RoI-kNN at stride 8, small",
    "roi_s8_all": "at stride 8, all",
    "roi_s16_small": "at stride 16, small",
    "roi_s16_all": "at stride 16, all",
    "object_small": "object-kNN, small",
    "object_all": "object-kNN, all",
    "hit_small": "small objects hit",
}


@dataclass(frozen=True)
class ObjectMeasure:
    """RoI-kNN and object-kNN on the val split, and how well a run's boxes find the objects of the train split.

    Args:
        bank: train images of RoI-kNN.
        queries: val images of RoI-kNN.
        min_queries: RoI-kNN ignores rarer categories.
        objects: of each side of object-kNN.
    """

    bank: int = 300
    queries: int = 500
    min_queries: int = 50
    objects: int = 1000

    schema: ClassVar[Schema] = schema_of(COLUMNS, SHOWN, ("roi_s8_small", "roi_s16_small"))

    def fits(self, config: Config) -> bool:
        """Whether the data consists of annotated images."""
        try:
            find_annotations(Path(config.train_dataloader.dataset.data_root), "val")
        except MissingData:
            return False
        return True

    @torch.no_grad()
    def of_model(self, config: Config, model: Siamese) -> dict[str, float]:
        """RoI-kNN by stride and size, and balanced accuracy of object-kNN by size."""
        root = config.train_dataloader.dataset.data_root
        known = annotated_regions(model, root, "train", self.bank)
        asked = annotated_regions(model, root, "val", self.queries)
        recall = roi_knn(known, asked, min_queries=self.min_queries)
        row = {f"roi_s{stride}_{size}": share for stride in recall for size, share in recall[stride].items()}
        bank, bank_labels, _ = object_features(model, root, "train", self.objects, (64, 64), 0)
        queries, labels, areas = object_features(model, root, "val", self.objects, (64, 64), 0)
        correct = knn_predict(bank, bank_labels, queries, k=20) == labels
        for size, (low, high) in ({"all": (0, float("inf"))} | SIZES).items():
            chosen = (areas >= low) & (areas < high)
            row[f"object_{size}"] = balanced_accuracy(correct[chosen], labels[chosen])
        return {name: share for name, share in row.items() if name in COLUMNS and share == share}

    def of_dataset(self, dataset: ImageDataset) -> dict[str, float]:
        """The fraction of annotated objects whose center a box of the run hits."""
        store = dataset.boxes
        if store is None or not store.counts.any():
            return {}
        known = {image.file_name: image for image in annotated_boxes(dataset.data_root, dataset.split)}
        images = [known[dataset.path(dataset.get_data_info(index)).name] for index in range(len(dataset))]
        objects = pad_sequence([torch.tensor(image.boxes) for image in images], True)
        sizes = torch.tensor([image.size for image in images])
        counts = torch.tensor([len(image.boxes) for image in images])
        hit = box_quality(store.boxes, store.counts, objects, counts, sizes, [store.max_boxes]).found["center hit"]
        return {f"hit_{size}": hit[size][store.max_boxes] for size in ("small", "all")}
