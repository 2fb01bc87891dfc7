"""Crops for scenes of many objects: all views of a pair show the same one, and their size follows it."""

import math
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ccrop.views import rectangles
from ccrop.views.centers import BetaCenters
from ccrop.views.crops import TRIES, RandomCrop

SCENE = (0.2, 1.0)


class Centers(Protocol):
    """Draws positions in a box; see :mod:`ccrop.views.centers`."""

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float64]: ...


class PairNoise(NamedTuple):
    """The random numbers of ``N`` images with ``V`` views each, float64 in [0, 1].

    Attributes:
        cluster: ``(N,)``, uniform: which cluster.
        area: ``(N, V, TRIES)``, uniform: position in the area range, per try.
        aspect: ``(N, V, TRIES)``, uniform: position in the log aspect range, per try.
        center: ``(N, V, TRIES, 2)``: horizontal and vertical position in the cluster's box, per try.
    """

    cluster: Tensor
    area: Tensor
    aspect: Tensor
    center: Tensor

    @classmethod
    def draw(cls, rng: np.random.Generator, num_images: int, num_views: int, centers: Centers) -> "PairNoise":
        shape = (num_images, num_views, TRIES)
        numbers = (rng.random(num_images), rng.random(shape), rng.random(shape), centers.draw(rng, shape))
        return cls(*(torch.from_numpy(number) for number in numbers))


def choose_cluster(boxes: Tensor, counts: Tensor, position: Tensor, evenness: float) -> Tensor:
    """One cluster of each image, with probability proportional to (score x area)^(1 - evenness).

    Args:
        boxes: ``(N, K, 5)`` x0, y0, x1, y1, score.
        counts: ``(N,)``, at least 1.
        position: ``(N,)`` in [0, 1), uniform.
        evenness: 0 draws by score, 1 draws every cluster equally often.

    Returns:
        Indices ``(N,)``.
    """
    x0, y0, x1, y1, score = boxes.double().unbind(-1)
    weights = (score * (x1 - x0) * (y1 - y0)).clamp(min=1e-12) ** (1 - evenness)
    weights = weights.where(torch.arange(boxes.shape[1], device=boxes.device) < counts[:, None], 0)
    reached = weights.cumsum(dim=1) <= position[:, None] * weights.sum(dim=1, keepdim=True)
    return torch.minimum(reached.sum(dim=1), counts - 1)


def cluster_crops(
    image_sizes: Tensor,
    boxes: Tensor,
    noise: PairNoise,
    scale: Tensor,
    ratio: tuple[float, float] = (3 / 4, 4 / 3),
    min_side: int = 24,
    min_visible: float = 0.5,
    iou: tuple[float, float] | None = None,
    fallback: Tensor | None = None,
) -> Tensor:
    """Views ``(N, V, 4)`` of one cluster per image, for a whole batch on any device.

    Areas and aspect ratios as in RandomResizedCrop, centers and rounding as in ContrastiveCrop
    (:func:`ccrop.views.contrastive_crops`). The first try that fits into the image and shows enough of the cluster
    counts; if none does, the view is centered on the cluster, with the first size that fits, or else with
    the largest one that ``ratio`` allows.

    Args:
        image_sizes: ``(N, 2)`` height, width in pixels.
        boxes: ``(N, 4)`` x0, y0, x1, y1 in fractions of the image, one cluster per image.
        scale: ``(N, V, 2)`` smallest and largest area of each view as a fraction of the image, see :func:`area_ranges`.
        ratio: smallest and largest width / height.
        min_side: shortest side of a view in pixels.
        min_visible: fraction of the cluster's box that each view shows.
        iou: range of the overlap of the first two views; if no try has it, any overlap will do.
        fallback: ``(N, 4)`` boxes to center on where no try counts, instead of the clusters.

    Returns:
        left, top, right, bottom in whole pixels, int64.
    """
    height, width = (size.double()[:, None, None] for size in image_sizes.unbind(-1))
    low, high = scale.double()[:, :, None].unbind(-1)
    area = height * width * (low + (high - low) * noise.area)
    log_low, log_high = math.log(ratio[0]), math.log(ratio[1])
    aspect = torch.exp(log_low + (log_high - log_low) * noise.aspect)
    widths = torch.maximum(torch.sqrt(area * aspect).round(), width.clamp(max=min_side))
    heights = torch.maximum(torch.sqrt(area / aspect).round(), height.clamp(max=min_side))
    fits = (widths > 0) & (widths <= width) & (heights > 0) & (heights <= height)
    widths, heights = torch.minimum(widths, width), torch.minimum(heights, height)

    x0, y0, x1, y1 = (edge[:, None, None] for edge in boxes.unbind(-1))
    left = _suppressed_start(width, widths, x0, x1, noise.center[..., 0])
    top = _suppressed_start(height, heights, y0, y1, noise.center[..., 1])
    views = torch.stack([left, top, left + widths, top + heights], dim=-1)

    pixels = torch.stack([x0 * width, y0 * height, x1 * width, y1 * height], dim=-1)
    valid = fits & (rectangles.intersection(views, pixels) >= min_visible * rectangles.area(pixels))
    if iou is not None:
        overlap = rectangles.iou(views[:, 0], views[:, 1])
        together = valid.all(dim=1) & (overlap >= iou[0]) & (overlap <= iou[1])
        valid = torch.where(together.any(dim=1)[:, None, None], together[:, None], valid)

    chosen = _first(views, valid)
    fitting = _first(torch.stack([widths, heights], dim=-1), fits)
    whole = torch.cat([width, height], dim=-1)
    limits = torch.cat([(height * ratio[1]).round(), (width / ratio[0]).round()], dim=-1)
    largest = torch.minimum(whole, limits)
    size = torch.where(fits.any(dim=2)[..., None], fitting, largest.clamp(min=1))
    middle = (boxes if fallback is None else fallback)[:, None]
    start = _suppressed_start(whole, size, middle[..., :2], middle[..., 2:], torch.full_like(size, 0.5))
    return torch.where(valid.any(dim=2)[..., None], chosen, torch.cat([start, start + size], dim=-1)).long()


def _first(tries: Tensor, valid: Tensor) -> Tensor:
    """The first valid one of ``(N, V, TRIES, D)``, or the first where none is: ``(N, V, D)``."""
    return tries.take_along_dim(valid.int().argmax(dim=2)[..., None, None], dim=2).squeeze(2)


def area_ranges(
    image_sizes: Tensor,
    boxes: Tensor,
    scale: Tensor,
    narrowest: float = 3 / 4,
    min_visible: float = 0.5,
) -> Tensor:
    """Range of each view's area as a fraction of the image, ``(N, V, 2)``, following the cluster's.

    ``scale`` times the box's area, or times that of the narrowest view that shows ``min_visible`` of a long box;
    never more than the image. A cluster that fills much of the image gets the range of scenes, 0.2 to 1, as long as
    a view can still show enough of it.

    Args:
        image_sizes: ``(N, 2)`` height, width in pixels.
        boxes: ``(N, 4)`` x0, y0, x1, y1 in fractions of the image.
        scale: ``(V, 2)`` smallest and largest area of a view in areas of the box.
        narrowest: smallest shorter side / longer side of a view.
    """
    sides = ((boxes[:, 2:] - boxes[:, :2]) * image_sizes.flip(-1)).double()
    needed = torch.maximum(sides.prod(dim=-1), (min_visible * sides.amax(dim=-1)) ** 2 / narrowest)
    area = (needed / image_sizes.double().prod(dim=-1))[:, None]
    high = (scale[:, 1] * area).clamp(max=1)
    low = torch.minimum(scale[:, 0] * area, (min_visible * area).clamp(min=SCENE[0]))
    return torch.stack([torch.minimum(low, high), high], dim=-1)


def _suppressed_start(length: Tensor, sizes: Tensor, low: Tensor, high: Tensor, position: Tensor) -> Tensor:
    """First pixel of crops of ``sizes`` along one axis, their centers between two fractions of ``length``."""
    slack = length - sizes
    half = (sizes / 2).floor()
    first = torch.minimum(((length * low).floor() - half).clamp(min=0), slack)
    last = torch.minimum(((length * high).floor() - half).clamp(min=0), slack)
    return first + ((last - first) * position).floor()


class MultiObjectCrop(RandomCrop):
    """All views of a pair show one cluster of the image, and their size follows it.

    With probability ``scene_prob`` a pair is a plain random crop of the scene, because objects without any context
    lose accuracy. An image without clusters gives exactly :class:`ccrop.views.RandomCrop`. With one cluster,
    ``cluster_scale=None``, ``scene_prob=0`` and ``min_visible=0`` the crops are those of ContrastiveCrop.

    Args:
        cluster_scale: smallest and largest area of a view in areas of the cluster's box, for all views alike or one
            pair per view; None for ``scale`` of the image instead, as in ContrastiveCrop.
        centers: center suppression, :class:`ccrop.views.BetaCenters` or :class:`ccrop.views.GaussianCenters`.
        evenness: 0 draws clusters by score, 1 every cluster equally often; see :func:`choose_cluster`.
        scene_prob: fraction of pairs that are plain random crops.
        min_side, min_visible, iou: see :func:`cluster_crops`.
        scale, ratio: of the random crops, as in :class:`ccrop.views.RandomCrop`.
    """

    def __init__(
        self,
        cluster_scale: Sequence[float] | Sequence[Sequence[float]] | None = (1.0, 4.0),
        centers: Centers | None = None,
        evenness: float = 0.5,
        scene_prob: float = 0.2,
        min_side: int = 24,
        min_visible: float = 0.5,
        iou: tuple[float, float] | None = None,
        scale: tuple[float, float] = SCENE,
        ratio: tuple[float, float] = (3 / 4, 4 / 3),
    ) -> None:
        super().__init__(scale, ratio)
        for name, value in (("evenness", evenness), ("scene_prob", scene_prob), ("min_visible", min_visible)):
            if not 0 <= value <= 1:
                raise ValueError(f"{name} must be in [0, 1], got {value}")
        self.cluster_scale = None if cluster_scale is None else torch.tensor(cluster_scale, dtype=torch.float64)
        if self.cluster_scale is not None and not (self.cluster_scale[..., 0] <= self.cluster_scale[..., 1]).all():
            raise ValueError(f"cluster_scale must be (low, high) with low <= high, got {cluster_scale}")
        self.centers = centers or BetaCenters()
        self.evenness = evenness
        self.scene_prob = scene_prob
        self.min_side = min_side
        self.min_visible = min_visible
        self.iou = iou

    def __call__(
        self, rng: np.random.Generator, image_size: tuple[int, int], boxes: NDArray[np.floating], num_views: int
    ) -> NDArray[np.int64]:
        if len(boxes) == 0 or (self.scene_prob > 0 and rng.random() < self.scene_prob):
            return super().__call__(rng, image_size, boxes, num_views)
        noise = PairNoise.draw(rng, 1, num_views, self.centers)
        views = self.batch(torch.tensor([image_size]), torch.from_numpy(boxes)[None], torch.tensor([len(boxes)]), noise)
        return views[0].numpy()

    def of_batch(
        self,
        rng: np.random.Generator,
        image_sizes: NDArray[np.integer],
        boxes: NDArray[np.floating],
        counts: NDArray[np.integer],
        num_views: int,
    ) -> NDArray[np.int64]:
        anywhere = super().of_batch(rng, image_sizes, boxes, counts, num_views)
        scene = (counts == 0) | (rng.random(len(counts)) < self.scene_prob)
        noise = PairNoise.draw(rng, len(counts), num_views, self.centers)
        numbers = torch.from_numpy(counts).long().clamp(min=1)
        around = self.batch(torch.from_numpy(image_sizes), torch.from_numpy(boxes), numbers, noise)
        return np.where(scene[:, None, None], anywhere, around.numpy())

    def batch(self, image_sizes: Tensor, boxes: Tensor, counts: Tensor, noise: PairNoise) -> Tensor:
        """Views ``(N, V, 4)`` around clusters, for a whole batch on any device.

        Args:
            image_sizes: ``(N, 2)`` height, width in pixels.
            boxes: ``(N, K, 5)`` with ``counts (N,)`` of at least 1.
        """
        chosen = choose_cluster(boxes, counts, noise.cluster, self.evenness)
        box = boxes.take_along_dim(chosen[:, None, None], dim=1)[:, 0, :4]
        views = noise.area.shape[1]
        if self.cluster_scale is not None:
            scale = self.cluster_scale.to(box.device).expand(views, 2)
            narrowest = min(self.ratio[0], 1 / self.ratio[1])
            scale = area_ranges(image_sizes, box, scale, narrowest, self.min_visible)
            return cluster_crops(image_sizes, box, noise, scale, self.ratio, self.min_side, self.min_visible, self.iou)
        scale = box.new_tensor(self.scale, dtype=torch.float64).expand(len(box), views, 2)
        whole = box.new_tensor([0, 0, 1, 1]).expand(len(box), 4)
        return cluster_crops(image_sizes, box, noise, scale, self.ratio, 0, self.min_visible, self.iou, whole)
