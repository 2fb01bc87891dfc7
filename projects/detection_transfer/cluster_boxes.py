"""Boxes of unlabeled images: clusters of features, snapped to what stands out, and those that resemble objects."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.config import Config
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from ccrop.available_cores import fitting_workers
from ccrop.datasets import CocoImages, read_image
from ccrop.evaluation.roi_knn import background_boxes
from ccrop.hooks.localization import LocalizationHook
from ccrop.inference import roi_features
from ccrop.inference.locate import gathered
from ccrop.long_work import with_progress
from ccrop.models import Siamese
from ccrop.pretrained import load_pretrained
from ccrop.projects.detection_transfer.images import ReadImage
from ccrop.projects.detection_transfer.pseudo_boxes import path_of, sizes_of
from ccrop.pseudo import objectness, snap
from ccrop.pseudo.feature_objectness import NEIGHBORS
from ccrop.views.transforms import to_tensor

STRIDES = (4, 8)  # of the maps that tell small objects from background


def looking(
    images: CocoImages, settings: dict[str, Any], init: str | None, backbone: str | None, seed: int
) -> tuple[Siamese, Config]:
    """The network that localizes clusters, in eval mode on the available device, and its config.

    Args:
        settings: ``config``, a pretraining config whose localizer and, without ``backbone``, whose network
            is used, ``options`` over it, and perhaps the ``backbone``'s name.
        init, backbone, seed: see :func:`ccrop.pretrained.load_pretrained`; ``backbone`` replaces that of the settings.
    """
    backbone = backbone or settings.get("backbone")
    options = dict(settings.get("options", {}), channels=images.channels, white=images.white)
    config, model = load_pretrained(None, settings["config"], images.data_root, options, seed, init, backbone)
    return model.to("cuda" if torch.cuda.is_available() else "cpu"), config


@torch.no_grad()
def clusters(model: Siamese, images: CocoImages, config: Config) -> list[NDArray[np.float32]]:
    """Clusters of each image, ``(n, 5)`` x0, y0, x1, y1 in pixels and a score.

    Args:
        model, config: see :func:`looking`.
    """
    hook = LocalizationHook(**{key: value for key, value in config.default_hooks.localization.items() if key != "type"})
    boxes, counts = gathered(hook.find(model, images, None), len(images), hook.localizer.max_boxes)
    return [
        own[:count].numpy() * np.array([width, height, width, height, 1], np.float32)
        for own, count, (width, height) in zip(boxes, counts.tolist(), sizes_of(images), strict=True)
    ]


class SnappedBoxes(Dataset):
    """Boxes of images, tight around what stands out within them; see :func:`ccrop.pseudo.snap`.

    Args:
        images: their files.
        boxes: of each ``(n, 5)`` x0, y0, x1, y1 in pixels and a score.
    """

    def __init__(self, images: CocoImages, boxes: Sequence[NDArray[np.float32]]) -> None:
        self.images = images
        self.boxes = boxes
        self.reader = ReadImage(images.channels, images.white)

    def __len__(self) -> int:
        return len(self.boxes)

    def __getitem__(self, index: int) -> NDArray[np.float32]:
        boxes = self.boxes[index]
        if not len(boxes):
            return boxes
        found = snap(self.reader.read(str(path_of(self.images, index))), boxes[:, :4])
        return np.column_stack([found.boxes, boxes[found.source, 4]])


def snapped(images: CocoImages, boxes: Sequence[NDArray[np.float32]]) -> list[NDArray[np.float32]]:
    """Boxes of all images, see :class:`SnappedBoxes`."""
    return [np.asarray(each) for each in with_progress(_loader(SnappedBoxes(images, boxes)), "snapping")]


class PlacesOfImages(Dataset):
    """Images, each with its boxes and equally many background places of the same sizes.

    An item is the pixels ``(1, H, W, C)`` uint8, the boxes ``(n, 4)`` and the places ``(m, 4)``, m <= n, in fractions
    of the image; ``None`` for an image without boxes.
    """

    def __init__(self, images: CocoImages, boxes: Sequence[NDArray[np.float32]]) -> None:
        self.images = images
        self.boxes = boxes

    def __len__(self) -> int:
        return len(self.boxes)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, Tensor] | None:
        boxes = self.boxes[index]
        if not len(boxes):
            return None
        pixels = to_tensor(read_image(path_of(self.images, index), self.images.channels, self.images.white))[None]
        height, width = pixels.shape[1:3]
        own = boxes[:, :4] / np.array([width, height, width, height], np.float32)
        places = background_boxes(own, np.random.default_rng(index))
        return pixels, torch.from_numpy(own), torch.from_numpy(places).float()


@torch.no_grad()
def objects_alone(
    model: Siamese, images: CocoImages, boxes: Sequence[NDArray[np.float32]], min_objectness: float
) -> list[NDArray[np.float32]]:
    """The boxes whose features resemble those of boxes of other images, see :func:`ccrop.pseudo.objectness`.

    Each is compared with its 50 nearest neighbors, or as many as a tenth of all boxes.

    Args:
        model: in eval mode; its maps of strides 4 and 8 are compared, or its finest where it has neither.
        boxes: of each image ``(n, 5)``.
        min_objectness: in [0, 1]; 0 keeps all without reading images.
    """
    if min_objectness <= 0:
        return list(boxes)
    levels = [level for level, stride in enumerate(model.backbone.strides) if stride in STRIDES] or [0]
    features: list[Tensor] = []
    sources: list[Tensor] = []  # the image of each
    others: list[Tensor] = []  # of background
    other_sources: list[Tensor] = []
    with model.backbone.first_levels(max(levels) + 1):
        strides = [model.backbone.strides[level] for level in levels]
        loader = _loader(PlacesOfImages(images, boxes))
        for index, item in enumerate(with_progress(loader, "comparing boxes")):
            if item is None:
                continue
            pixels, own, places = item
            found = roi_features(model, pixels, torch.cat([own, places]))
            joined = torch.cat([F.normalize(found[stride], dim=1) for stride in strides], dim=1)
            of_boxes, of_places = joined.half().split([len(own), len(places)])
            features.append(of_boxes)
            sources.append(torch.full((len(own),), index, device=joined.device))
            others.append(of_places)
            other_sources.append(torch.full((len(places),), index, device=joined.device))
    if not features:
        return list(boxes)
    known, known_in, background, background_in = map(torch.cat, (features, sources, others, other_sources))
    neighbors = min(NEIGHBORS, max(1, len(known) // 10))
    alike = objectness(known, known_in, background, background_in, neighbors).cpu().numpy()
    kept, start = list(boxes), 0
    for part in sources:
        index = int(part[0])
        kept[index] = boxes[index][alike[start : start + len(part)] >= min_objectness]
        start += len(part)
    return kept


def _loader(dataset: Dataset) -> DataLoader:
    return DataLoader(dataset, batch_size=None, num_workers=fitting_workers(4), collate_fn=None)
