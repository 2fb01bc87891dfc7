"""Features of whole images and of cut-out objects, for kNN and a linear probe."""

from collections.abc import Sequence

import torch
from mmengine.config import Config
from mmengine.registry import DATASETS
from torch import Tensor
from torch.utils.data import DataLoader

from ccrop.available_cores import fitting_workers
from ccrop.datasets import ImageDataset, MissingData, ObjectCrops, ShardedBatches
from ccrop.datasets.base import require_same_classes, say_once
from ccrop.evaluation.knn import note_on_unknown
from ccrop.long_work import with_progress
from ccrop.models import Siamese
from ccrop.views import WholeImage


def whole_images(
    dataset: ImageDataset, size: tuple[int, int], batch_size: int, num_workers: int, keep_ratio: bool = False
) -> DataLoader:
    """This rank's part of the data set, whole images of ``size`` (height, width) pixels, in whole batches.

    See :class:`ccrop.views.WholeImage` for what a batch holds.
    """
    return DataLoader(
        dataset.with_pipeline([dict(type=WholeImage, size=size, keep_ratio=keep_ratio)]),
        batch_sampler=ShardedBatches(len(dataset), batch_size),
        num_workers=fitting_workers(num_workers),
        pin_memory=torch.cuda.is_available(),
    )


def image_features(
    model: Siamese, dataset: ImageDataset, image_size: tuple[int, int], batch_size: int = 128, num_workers: int = 2
) -> tuple[Tensor, Tensor]:
    """Features ``(N, C)`` and classes ``(N,)`` of whole images of a labeled data set, on the model's device.

    Args:
        model: in eval mode, called without gradients.
        image_size: (height, width) in pixels.

    Raises:
        MissingData: the data set has no labels.
    """
    if "label" not in dataset.get_data_info(0):
        raise MissingData(f"{dataset.data_root} has no labels")
    loader = whole_images(dataset, image_size, batch_size, num_workers)
    features, labels = [], []
    for batch in with_progress(loader, "features"):
        images = model.data_preprocessor(dict(images=batch["images"]))["images"]
        features.append(model.pooled(images).float())
        labels.append(batch["label"].to(images.device))
    return torch.cat(features), torch.cat(labels)


def class_features(
    config: Config, model: Siamese, images: int | None = None, image_size: Sequence[int] | None = None
) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor], tuple[str, ...]]:
    """Features and labels of the sets of a run's kNN, training and test images; names of the classes.

    Args:
        images: of each side; default: as many as the config says.
        image_size: (height, width) in pixels; default: the config's.

    Raises:
        ValueError: the config has no kNN, or the sets' labels count different classes.
    """
    hook = config.default_hooks.get("knn")
    if not hook:
        raise ValueError("the config has no kNN hook, which defines the sets with classes")
    subset = {} if images is None else dict(subset=images)
    sets = [DATASETS.build(side | subset) for side in (hook.bank, hook.queries)]
    require_same_classes(*sets)
    size = tuple(image_size or hook.image_size)
    bank, queries = (image_features(model, dataset, size) for dataset in sets)
    if note := note_on_unknown(bank[1], queries[1]):
        say_once(note)
    number = int(torch.cat([bank[1], queries[1]]).max()) + 1
    return bank, queries, sets[0].classes or tuple(map(str, range(number)))


def object_features(
    model: Siamese, root: str, split: str, subset: int, image_size: tuple[int, int], num_workers: int = 2
) -> tuple[Tensor, Tensor, Tensor]:
    """Features ``(N, C)``, classes ``(N,)`` and areas in pixels ``(N,)`` of annotated objects, cut out and scaled.

    Args:
        model: in eval mode, called without gradients.
        root, split, subset: see :class:`ccrop.datasets.ObjectCrops`.
        image_size: (height, width) in pixels of the cut-outs.
    """
    pipeline = [dict(type=WholeImage, size=image_size)]
    dataset = ObjectCrops(root, split, subset=subset, pipeline=pipeline, channels=model.data_preprocessor.channels)
    found = []
    loader: DataLoader = DataLoader(dataset, 128, num_workers=fitting_workers(num_workers))
    for batch in with_progress(loader, f"objects of {split}"):
        sides = torch.tensor([dataset.get_data_info(int(index))["box"][2:] for index in batch["index"]])
        images = model.data_preprocessor(dict(images=batch["images"]))["images"]
        found.append((model.pooled(images).float().cpu(), batch["label"], sides.prod(dim=1)))
    features, labels, areas = (torch.cat(parts) for parts in zip(*found, strict=True))
    return features, labels, areas
