"""Data sets that live on the device, decoded once: batches of views without workers and copies."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np
import torch
from mmengine.dist import get_rank, is_main_process
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader
from tqdm import tqdm

from ccrop.datasets.base import ImageDataset
from ccrop.datasets.samplers import SeededSampler
from ccrop.views.crops import ContrastiveCrop, RandomCrop
from ccrop.views.resampling import resized_crops
from ccrop.views.transforms import CropViews, to_tensor

CROPS = (RandomCrop, ContrastiveCrop)
ROOM = 0.5  # of the device's free memory that the images may take


class Pixels:
    """A step of a pipeline: the image as a tensor, ``(H, W, C)`` uint8, and its index."""

    def __call__(self, sample: dict[str, Any]) -> tuple[Tensor, int]:
        return to_tensor(sample["image"]), sample["index"]


class ResidentBatches:
    """Takes the place of a DataLoader of views: images and views are tensors on the device.

    Crops are drawn for a whole batch at once from (seed, epoch, number of the batch), by
    :meth:`ccrop.views.RandomCrop.of_batch`: different random numbers than image by image, with the same distribution. A
    batch is the same as from a DataLoader of :class:`ccrop.views.CropViews` gives.

    Args:
        loader: over images of one size, with views by random crops or by ContrastiveCrop.
        device: where the images live.

    Attributes:
        images: ``(N, C, H, W)`` uint8.

    Raises:
        ValueError: the views are unsupported, or augmented in the workers; the images differ in size, or do not fit.
    """

    def __init__(self, loader: DataLoader, device: torch.device | str) -> None:
        self.sizes, self.crop = _views_of(loader.dataset)
        assert isinstance(loader.dataset, ImageDataset)
        if type(loader.sampler) is not SeededSampler:
            raise ValueError("train_dataloader.resident takes only ccrop.datasets.SeededSampler: set it False")
        assert loader.batch_size is not None
        self.dataset = loader.dataset
        self.sampler, self.batch_size, self.drop_last = loader.sampler, loader.batch_size, loader.drop_last
        self.images = _decoded(loader.dataset, loader.num_workers, torch.device(device))

    def __len__(self) -> int:
        number = len(self.sampler)
        return number // self.batch_size if self.drop_last else -(-number // self.batch_size)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        keys = iter(self.sampler)
        for number in range(len(self)):
            seed, epoch, indices = zip(*islice(keys, self.batch_size), strict=True)
            rng = np.random.default_rng((seed[0], epoch[0], number, get_rank()))
            yield self._batch(torch.tensor(indices), rng)

    def _batch(self, indices: Tensor, rng: np.random.Generator) -> dict[str, Any]:
        boxes: NDArray[np.floating] = np.zeros((len(indices), 1, 5))
        counts: NDArray[np.integer] = np.zeros(len(indices), dtype=np.int64)
        if self.dataset.boxes is not None:
            boxes, counts = self.dataset.boxes.of_batch(indices)
        height, width = self.images.shape[2:]
        rectangles = torch.from_numpy(self.crop.of_batch(rng, (height, width), boxes, counts, len(self.sizes)))
        images = self.images[indices.to(self.images.device, non_blocking=True)]
        moved = rectangles.to(images.device, non_blocking=True)
        views = [resized_crops(images, moved[:, view], side) for view, side in enumerate(self.sizes)]
        return dict(views=views, rectangles=rectangles, index=indices)


def _views_of(dataset: Any) -> tuple[list[int], RandomCrop]:
    """Sides and crop of the views, the only pipeline step that can run on a device."""
    steps = dataset.pipeline.transforms if isinstance(dataset, ImageDataset) else []
    crop = steps[0].crop if len(steps) == 1 and isinstance(steps[0], CropViews) else None
    if isinstance(crop, RandomCrop) and type(crop) in CROPS:
        if steps[0].augment is None:
            return steps[0].sizes, crop
        raise ValueError("train_dataloader.resident has no workers to augment in: set augment='device'")
    raise ValueError(
        "train_dataloader.resident takes only images, with the crops rcrop, single and simccrop: set it False"
    )


def _decoded(dataset: ImageDataset, num_workers: int, device: torch.device) -> Tensor:
    """All images of a data set on the device."""
    images: Tensor | None = None
    pixels: DataLoader = DataLoader(dataset.with_pipeline([Pixels()]), batch_size=None, num_workers=num_workers)
    shown = tqdm(pixels, "decoding once", leave=False, disable=None if is_main_process() else True)
    for place, (image, index) in enumerate(shown):
        image = image.permute(2, 0, 1)
        if images is None:
            needed, free = len(dataset) * image.numel(), _free(device)
            if needed > ROOM * free:
                raise ValueError(
                    f"{len(dataset)} images of {tuple(image.shape[1:])} px take {needed / 1e9:.1f} GB, more than "
                    f"half of the free memory of {device} ({free / 1e9:.1f} GB): set train_dataloader.resident=False"
                )
            images = torch.empty((len(dataset), *image.shape), dtype=torch.uint8, device=device)
        if image.shape != images.shape[1:]:
            info = dataset.get_data_info(index)
            name = dataset.path(info) if "path" in info else f"image {index}"
            raise ValueError(
                f"{name} has {tuple(image.shape[1:])} px and the images before it {tuple(images.shape[2:])} px, but "
                "train_dataloader.resident takes images of one size: resize them, or set it False"
            )
        images[place] = image
    assert images is not None
    return images


def _free(device: torch.device) -> float:
    """Bytes available on a device; no limit on the CPU, whose memory the operating system manages."""
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else float("inf")
