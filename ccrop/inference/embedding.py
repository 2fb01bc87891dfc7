"""Embeddings of whole images, or of boxes in them, and the files that hold them."""

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch
from mmengine.logging import MMLogger
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader

from ccrop.available_cores import fitting_workers
from ccrop.datasets import ImageDataset, UnreadableImage
from ccrop.files import written
from ccrop.inference.roi_features import roi_features
from ccrop.long_work import with_progress
from ccrop.models import Siamese
from ccrop.views import WholeImage
from ccrop.views.transforms import to_tensor

SUFFIXES = (".npz", ".parquet")


@dataclass(frozen=True)
class Embedding:
    """Vectors, and what each belongs to.

    Attributes:
        vectors: ``(N, C)`` float32.
        files: ``(N,)`` paths relative to the data's root.
        boxes: ``(N, 4)`` x0, y0, x1, y1 in pixels; None for whole images.
        labels: ``(N,)`` names of the categories of annotated boxes; None if there are none.
        scores: ``(N,)`` of clusters; None if there are none.
    """

    vectors: NDArray[np.float32]
    files: NDArray[np.str_]
    boxes: NDArray[np.float32] | None = None
    labels: NDArray[np.str_] | None = None
    scores: NDArray[np.float32] | None = None

    def write(self, out: Path) -> None:
        """Write the existing arrays, by name, to ``.npz``, or as columns to ``.parquet``.

        Raises:
            ValueError: the suffix is unknown.
            ImportError: pyarrow is missing.
        """
        check_out(out)
        arrays = {field.name: getattr(self, field.name) for field in fields(self)}
        arrays = {name: array for name, array in arrays.items() if array is not None}
        with written(out) as partial:
            if out.suffix == ".npz":
                np.savez_compressed(partial, **arrays)
                return
            from pyarrow import FixedSizeListArray, array, parquet, table

            columns = {
                name: FixedSizeListArray.from_arrays(array(values.ravel()), values.shape[1])
                if values.ndim == 2
                else array(values)
                for name, values in arrays.items()
            }
            parquet.write_table(table(columns), partial)


def check_out(out: Path) -> None:
    """Refuse a file that :meth:`Embedding.write` could not write.

    Raises:
        ValueError, ImportError: see there.
    """
    if out.suffix not in SUFFIXES:
        raise ValueError(f"{out} must end in {' or '.join(SUFFIXES)}")
    if out.suffix == ".parquet" and importlib.util.find_spec("pyarrow") is None:
        raise ImportError("a .parquet file needs pyarrow: pip install 'ccrop[export]', or write .npz")


@torch.no_grad()
def embed_images(model: Siamese, dataset: ImageDataset, image_size: tuple[int, int], num_workers: int = 2) -> Embedding:
    """The global average of the coarsest map of every image, unreadable ones left out.

    Args:
        model: in eval mode.
        image_size: (height, width) in pixels, to which images are scaled.

    Raises:
        UnreadableFile: no image is readable.
    """
    found: dict[int, NDArray[np.float32]] = {}
    loader: DataLoader = DataLoader(
        dataset.with_pipeline([WholeImage(image_size)]), 64, num_workers=fitting_workers(num_workers)
    )
    for batch in with_progress(loader, "images"):
        images = model.data_preprocessor(dict(images=batch["images"]))["images"]
        vectors = model.pooled(images).float().cpu().numpy()
        found |= dict(
            zip(batch["index"].tolist(), vectors, strict=True)
        )  # unreadable ones are replaced by others, which come twice
    indices = sorted(found)
    _say_unreadable(dataset, sorted({*range(len(dataset))} - found.keys()))
    return Embedding(np.stack([found[index] for index in indices]), _files(dataset, indices))


@torch.no_grad()
def embed_boxes(
    model: Siamese, dataset: ImageDataset, boxes: Sequence[NDArray[np.floating]], stride: int
) -> tuple[Embedding, NDArray[np.int_]]:
    """RoIAlign of boxes, in images at their own size, from the map of one stride; unreadable images are left out.

    Args:
        model: in eval mode; its backbone gives that map.
        boxes: of each image ``(M_i, 4)``, in fractions of it.
        stride: in pixels.

    Returns:
        Vectors of 4 bins and all channels, and which of all boxes they are of, ``(N,)``.

    Raises:
        ValueError: no readable image has a box.
    """
    vectors: list[Tensor] = []
    pixels, owners, chosen, unreadable = [], [], [], []
    start = 0
    for index, own in enumerate(with_progress(boxes, "boxes")):
        numbers, start = np.arange(start, start + len(own)), start + len(own)
        if not len(own):
            continue
        try:
            image = dataset.read(dataset.get_data_info(index))
        except UnreadableImage:
            unreadable.append(index)
            continue
        found = roi_features(model, to_tensor(image)[None], torch.from_numpy(np.asarray(own, dtype=np.float32)))
        vectors.append(found[stride].cpu())
        pixels.append(own * np.tile([image.width, image.height], 2))
        owners += [index] * len(own)
        chosen.append(numbers)
    if not vectors:
        raise ValueError(f"no readable image of {dataset.data_root} has a box")
    _say_unreadable(dataset, unreadable)
    files = _files(dataset, owners)
    corners = np.concatenate(pixels).astype(np.float32)
    return Embedding(torch.cat(vectors).numpy(), files, corners), np.concatenate(chosen)


def _files(dataset: ImageDataset, indices: Sequence[int]) -> NDArray[np.str_]:
    return np.array([dataset.get_data_info(index)["path"] for index in indices])


def _say_unreadable(dataset: ImageDataset, indices: Sequence[int]) -> None:
    if indices:
        MMLogger.get_current_instance().warning(
            f"{len(indices)} of {len(dataset)} images were left out, the first is {dataset.why_unreadable(indices[0])}"
        )
