"""Data sets that live on the device, decoded once: batches of views without workers and copies."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np
import torch
from mmengine.dist import get_rank
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader

from ccrop.available_memory import available_memory
from ccrop.datasets.base import ImageDataset
from ccrop.datasets.samplers import SeededSampler
from ccrop.long_work import with_progress
from ccrop.views import ContrastiveCrop, MultiObjectCrop, RandomCrop, ScenePair, SceneViews
from ccrop.views.transforms import CropViews, to_tensor

STEPS = (CropViews, SceneViews)
CROPS = (RandomCrop, ContrastiveCrop, MultiObjectCrop, ScenePair)
ROOM = 0.5  # of the device's free memory that the images may take


class Pixels:
    """A step of a pipeline: the image as a tensor, ``(H, W, C)`` uint8, and its index."""

    def __call__(self, sample: dict[str, Any]) -> tuple[Tensor, int]:
        return to_tensor(sample["image"]), sample["index"]


class ResidentBatches:
    """Takes the place of a DataLoader of views: images and views are tensors on the device.

    Crops are drawn for a whole batch at once from (seed, epoch, number of the batch): different random numbers than
    image by image, with the same distribution. A batch is the same as from a DataLoader of these views.

    Args:
        loader: over images, with views by one of :data:`CROPS`.
        device: where the images live.

    Attributes:
        images: ``(N, C, H, W)`` uint8, each in the top left corner, as high and as wide as the largest.
        image_sizes: ``(N, 2)`` height, width in pixels.
        sources: ``(N,)`` the index of the file that each is from, the next readable one where its own is unreadable.

    Raises:
        ValueError: the views are unsupported, or augmented in the workers; or the images do not fit.
    """

    def __init__(self, loader: DataLoader, device: torch.device | str) -> None:
        self.views = _views_of(loader.dataset)
        assert isinstance(loader.dataset, ImageDataset)
        if type(loader.sampler) is not SeededSampler:
            raise ValueError(
                "train_dataloader.resident works only with ccrop.datasets.SeededSampler: use that sampler, or set it "
                "to False"
            )
        assert loader.batch_size is not None
        self.dataset = loader.dataset
        self.sampler, self.batch_size, self.drop_last = loader.sampler, loader.batch_size, loader.drop_last
        self.images, self.image_sizes, self.sources = _decoded(loader.dataset, loader.num_workers, torch.device(device))

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
        boxes: NDArray[np.floating] = np.zeros((len(indices), 1, 5), dtype=np.float32)
        counts: NDArray[np.integer] = np.zeros(len(indices), dtype=np.int64)
        sources = self.sources[indices]
        if self.dataset.boxes is not None:
            boxes, counts = self.dataset.boxes.of_batch(sources)
        images = self.images[indices.to(self.images.device, non_blocking=True)]
        sizes = self.image_sizes[indices.numpy()]  # a tensor of one index would be taken for a number
        return self.views.of_batch(rng, images, sizes, boxes, counts) | dict(index=sources)


def _views_of(dataset: Any) -> CropViews:
    """The views, the only step of a pipeline that can be computed on a device."""
    steps = dataset.pipeline.transforms if isinstance(dataset, ImageDataset) else []
    if len(steps) == 1 and type(steps[0]) in STEPS and type(steps[0].crop) in CROPS:
        if steps[0].augment is None:
            return steps[0]
        raise ValueError("train_dataloader.resident has no workers to augment in: set augment='device'")
    raise ValueError(
        "train_dataloader.resident takes only images, with one of ccrop's own crops as the only pipeline step: set it "
        "to False"
    )


def _decoded(dataset: ImageDataset, num_workers: int, device: torch.device) -> tuple[Tensor, NDArray[np.int64], Tensor]:
    """All images of a data set on the device, their sizes ``(N, 2)``, and the indices ``(N,)`` of their files."""
    decoded: list[Tensor] = []
    sources: list[int] = []
    largest = torch.zeros(3, dtype=torch.long)
    free = _free(device)
    pixels: DataLoader = DataLoader(dataset.with_pipeline([Pixels()]), batch_size=None, num_workers=num_workers)
    shown = with_progress(pixels, "decoding once")
    for image, source in shown:
        decoded.append(image.permute(2, 0, 1))
        sources.append(source)
        largest = largest.maximum(torch.tensor(decoded[-1].shape))
        needed = len(dataset) * int(largest.prod())
        if needed > ROOM * free:
            raise ValueError(
                f"{len(dataset)} images of up to {largest[1]} x {largest[2]} px take {needed / 1e9:.1f} GB, more than "
                f"half of the free memory of {device} ({free / 1e9:.1f} GB): set train_dataloader.resident to False, "
                "or pack smaller images with tools/pack.py"
            )
    images = torch.zeros((len(decoded), *largest.tolist()), dtype=torch.uint8, device=device)
    for place, image in enumerate(decoded):
        images[place, :, : image.shape[1], : image.shape[2]] = image
    return images, np.array([image.shape[1:] for image in decoded]), torch.tensor(sources)


def _free(device: torch.device) -> float:
    """Bytes available on a device, on the CPU those of :func:`.available_memory`."""
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else available_memory()
