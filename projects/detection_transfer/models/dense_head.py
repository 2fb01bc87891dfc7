"""An anchor-free head that assigns the targets of a whole batch at once.

mmdet's heads assign the objects of one image at a time, which on small tiles costs as much as the network.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from mmcv.cnn import ConvModule
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmdet.utils import reduce_mean
from mmengine.model import BaseModule
from mmengine.structures import InstanceData
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence
from torchvision.ops import batched_nms

from ccrop.views import rectangles

PRIOR = 0.01  # score of every cell before training, so that the many empty ones weigh little
MIN_IOU = 0.05  # target of a cell whose box does not overlap its object yet
LIMITS = ("nms_pre", "max_per_img")  # of boxes, in test_cfg
FRACTIONS = ("score_thr", "iou_threshold")
LARGEST_EXPONENT = 4.0  # sides beyond e^4 strides from a cell are out of reach


class Cells(NamedTuple):
    """The locations of all levels' predictions.

    Attributes:
        centers: ``(P, 2)`` x, y in pixels of the image.
        strides: ``(P,)`` in pixels.
        sides: ``(P, 2)`` range of the longer sides, in pixels, of the objects that a cell's level learns.
    """

    centers: Tensor
    strides: Tensor
    sides: Tensor


class Candidates(NamedTuple):
    """The best cells of each image before NMS.

    Attributes:
        boxes: ``(N, T, 4)`` x0, y0, x1, y1 in pixels.
        scores, labels: ``(N, T)``.
    """

    boxes: Tensor
    scores: Tensor
    labels: Tensor


@MODELS.register_module()
class DenseHead(BaseModule):
    """FCOS's cells, scored by quality focal loss, with boxes by GIoU loss; no loop over images, no device sync.

    A cell learns an object whose box contains the cell and whose center is near (center sampling; FCOS, Tian et al.,
    TPAMI 2020), see :func:`assign`. Its score learns the IoU of its box (quality focal loss; GFL, Li et al.,
    NeurIPS 2020, equation 5), so no centerness is needed.

    Args:
        num_classes: categories.
        in_channels: of every level.
        feat_channels: of the towers.
        stacked_convs: 3x3 convolutions of a tower.
        separate_towers: scores and boxes have a tower each, instead of sharing one.
        strides: of the levels, in pixels.
        sides: boundaries between the ranges of the levels, in pixels of an object's longer side; one fewer than levels.
        radius: of center sampling, in strides.
        loss_weights: of scores and of boxes.
        test_cfg: ``nms_pre``, ``score_thr``, ``iou_threshold`` and ``max_per_img``.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        feat_channels: int = 32,
        stacked_convs: int = 1,
        separate_towers: bool = False,
        strides: Sequence[int] = (4,),
        sides: Sequence[float] = (),
        radius: float = 1.5,
        loss_weights: tuple[float, float] = (2.0, 2.0),
        train_cfg: dict | None = None,
        test_cfg: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if len(sides) != len(strides) - 1:
            raise ValueError(f"{len(strides)} levels need {len(strides) - 1} boundaries, got {list(sides)}")
        self.num_classes = num_classes
        self.strides = tuple(strides)
        self.ranges = tuple(zip((0.0, *sides), (*sides, math.inf), strict=True))
        self.radius = radius
        self.loss_weights = loss_weights
        self.test_cfg = test_cfg or {}
        for name, value in self.test_cfg.items():
            if name in LIMITS and value < 1:
                raise ValueError(f"model.test_cfg.{name} must be at least 1, got {value}")
            if name in FRACTIONS and not 0 <= value <= 1:
                raise ValueError(f"model.test_cfg.{name} must be from 0 to 1, got {value}")
        channels = [in_channels, *[feat_channels] * stacked_convs]
        self.tower = _tower(channels)
        self.box_tower = _tower(channels) if separate_towers else None
        self.classifier = nn.Conv2d(channels[-1], num_classes, 3, padding=1)
        self.regressor = nn.Conv2d(channels[-1], 4, 3, padding=1)
        for layer, bias in ((self.classifier, math.log(PRIOR / (1 - PRIOR))), (self.regressor, 0.0)):
            assert layer.bias is not None
            nn.init.normal_(layer.weight, std=0.01)
            nn.init.constant_(layer.bias, bias)

    def forward(self, maps: Sequence[Tensor]) -> tuple[Tensor, Tensor, Cells]:
        """Logits ``(N, P, K)``, boxes ``(N, P, 4)`` in pixels, and the cells of all levels ``(N, C, h, w)``."""
        predicted = [self._predicted(level).float() for level in maps]
        cells = cells_of([level.shape[2:] for level in predicted], self.strides, self.ranges, predicted[0].device)
        flat = torch.cat([level.flatten(2) for level in predicted], dim=2).transpose(1, 2)
        logits, sides = flat.split([self.num_classes, 4], dim=2)
        reach = 2 * cells.strides[:, None] * sides.clamp(-LARGEST_EXPONENT, LARGEST_EXPONENT).exp()
        boxes = torch.cat([cells.centers - reach[..., :2], cells.centers + reach[..., 2:]], dim=2)
        return logits, boxes, cells

    def _predicted(self, level: Tensor) -> Tensor:
        """Logits and logarithms of sides ``(N, K + 4, h, w)`` of one level ``(N, C, h, w)``."""
        seen = self.tower(level)
        if self.box_tower is not None:
            return torch.cat([self.classifier(seen), self.regressor(self.box_tower(level))], dim=1)
        # as one convolution: those with few output channels leave vector units idle
        layers = (self.classifier, self.regressor)
        weight, bias = (torch.cat([getattr(layer, name) for layer in layers]) for name in ("weight", "bias"))
        return F.conv2d(seen, weight, bias, padding=1)

    def loss(self, maps: Sequence[Tensor], samples: Sequence[DetDataSample]) -> dict[str, Tensor]:
        """``loss_cls`` and ``loss_bbox`` of a batch."""
        logits, boxes, cells = self(maps)
        objects, labels, exists = padded([each.gt_instances for each in samples])
        nothing = InstanceData(bboxes=objects.new_zeros(0, 4), labels=labels.new_zeros(0))
        ignored, _, to_ignore = padded([each.get("ignored_instances", nothing) for each in samples])
        owner = assign(cells, objects, exists, self.radius)
        positive = owner >= 0
        own = owner.clamp(min=0)
        iou, giou = overlaps(boxes, objects.gather(1, own[..., None].expand(-1, -1, 4)))
        quality = iou.detach().clamp(min=MIN_IOU) * positive
        classes = torch.arange(self.num_classes, device=labels.device)
        target = (labels.gather(1, own)[..., None] == classes) * quality[..., None]
        counted = positive | ~inside(cells.centers, ignored, to_ignore).any(dim=2)
        # no objects at all: only the loss of the background, divided by one
        positives = reduce_mean(positive.sum().float()).clamp(min=1)
        scores = (quality_focal_loss(logits, target) * counted[..., None]).sum() / positives
        places = ((1 - giou) * quality).sum() / reduce_mean(quality.sum()).clamp(min=MIN_IOU)
        return dict(loss_cls=self.loss_weights[0] * scores, loss_bbox=self.loss_weights[1] * places)

    def candidates(self, maps: Sequence[Tensor]) -> Candidates:
        """The ``nms_pre`` best pairs of cell and category of each image."""
        logits, boxes, _ = self(maps)
        scores, best = logits.flatten(1).sigmoid().topk(min(self.test_cfg["nms_pre"], logits[0].numel()), dim=1)
        cell = (best // self.num_classes)[..., None].expand(-1, -1, 4)
        return Candidates(boxes.gather(1, cell), scores, best % self.num_classes)

    def predict(
        self, maps: Sequence[Tensor], samples: Sequence[DetDataSample], rescale: bool = False
    ) -> list[InstanceData]:
        """Detections of each image, see :meth:`detections`."""
        return self.detections(self.candidates(maps), samples, rescale)

    def detections(
        self, candidates: Candidates, samples: Sequence[DetDataSample], rescale: bool = False
    ) -> list[InstanceData]:
        """``bboxes (M, 4)``, ``scores (M,)`` and ``labels (M,)`` of each image after NMS, best score first.

        Args:
            rescale: return boxes in pixels of the original image.
        """
        boxes, scores, labels = candidates
        shapes = boxes.new_tensor([each.img_shape[1::-1] for each in samples]).repeat(1, 2)[:, None]
        boxes = torch.minimum(boxes.clamp(min=0), shapes)
        sides = boxes[..., 2:] - boxes[..., :2]
        images, places = ((scores > self.test_cfg["score_thr"]) & (sides > 0).all(dim=2)).nonzero(as_tuple=True)
        boxes, scores, labels = boxes[images, places], scores[images, places], labels[images, places]
        kept = batched_nms(boxes, scores, images * self.num_classes + labels, self.test_cfg["iou_threshold"])
        found = []
        for number, sample in enumerate(samples):
            own = kept[images[kept] == number][: self.test_cfg["max_per_img"]]
            factor = boxes.new_tensor(sample.scale_factor).repeat(2) if rescale else 1.0
            found.append(InstanceData(bboxes=boxes[own] / factor, scores=scores[own], labels=labels[own]))
        return found


def _tower(channels: Sequence[int]) -> nn.Sequential:
    """3x3 convolutions between these numbers of channels, each with BN and ReLU."""
    return nn.Sequential(
        *(ConvModule(before, after, 3, padding=1, norm_cfg=dict(type="BN")) for before, after in pairwise(channels))
    )


def cells_of(
    shapes: Sequence[Sequence[int]],
    strides: Sequence[int],
    ranges: Sequence[tuple[float, float]],
    device: torch.device,
) -> Cells:
    """The centers of the cells of maps, level by level and row by row.

    Args:
        shapes: (h, w) of each level.
        strides: in pixels.
        ranges: of the sides of the objects that a level learns, in pixels.
    """
    centers, steps, sides = [], [], []
    for (height, width), stride, limits in zip(shapes, strides, ranges, strict=True):
        rows, columns = (stride * (torch.arange(side, device=device) + 0.5) for side in (height, width))
        y, x = torch.meshgrid(rows, columns, indexing="ij")
        centers.append(torch.stack([x, y], dim=-1).flatten(0, 1))
        steps.append(torch.full((height * width,), float(stride), device=device))
        sides.append(torch.stack([torch.full_like(steps[-1], limit) for limit in limits], dim=1))
    return Cells(torch.cat(centers), torch.cat(steps), torch.cat(sides))


def padded(instances: Sequence[InstanceData]) -> tuple[Tensor, Tensor, Tensor]:
    """Boxes ``(N, M, 4)``, labels ``(N, M)`` and which of them exist ``(N, M)``, M at least 1."""
    boxes = [each.bboxes for each in instances]
    counts = torch.tensor([len(each) for each in boxes], device=boxes[0].device)
    stacked = pad_sequence([F.pad(each, (0, 0, 0, not len(each))) for each in boxes], True)
    labels = pad_sequence([F.pad(each.labels, (0, not len(each.labels))) for each in instances], True)
    return stacked, labels, torch.arange(stacked.shape[1], device=counts.device) < counts[:, None]


def inside(points: Tensor, boxes: Tensor, exists: Tensor) -> Tensor:
    """Which points ``(P, 2)`` lie within which boxes ``(N, M, 4)`` that exist ``(N, M)``: ``(N, P, M)``."""
    low, high = boxes[:, None, :, :2], boxes[:, None, :, 2:]
    at = points[:, None]
    return ((at > low) & (at < high)).all(dim=3) & exists[:, None]


@torch.no_grad()
def assign(cells: Cells, boxes: Tensor, exists: Tensor, radius: float) -> Tensor:
    """The object ``(N, P)`` that each cell learns, by its place in ``boxes``; -1 for none.

    A cell claims an object of its level's sides whose box contains the cell's center and whose center is nearer than
    ``radius`` strides in x and in y. The cell nearest to a center also claims the object, so that none falls between
    the cells. A cell that claims several objects learns the smallest.

    Args:
        cells: P of them.
        boxes: ``(N, M, 4)`` x0, y0, x1, y1 in pixels.
        exists: ``(N, M)``; the others are padding.
    """
    sides = boxes[..., 2:] - boxes[..., :2]
    longer = sides.amax(dim=2)[:, None]
    of_level = (cells.sides[:, :1] <= longer) & (longer < cells.sides[:, 1:]) & exists[:, None]
    offsets = (cells.centers[:, None] - (boxes[:, None, :, :2] + boxes[:, None, :, 2:]) / 2).abs()
    near = offsets.amax(dim=3) < radius * cells.strides[:, None]
    distance = offsets.sum(dim=3).masked_fill(~of_level, math.inf)
    nearest = distance == distance.amin(dim=1, keepdim=True)
    claimed = of_level & (nearest | near & inside(cells.centers, boxes, exists))
    area, owner = sides.prod(dim=2)[:, None].masked_fill(~claimed, math.inf).min(dim=2)
    return owner.masked_fill(area == math.inf, -1)


def overlaps(boxes: Tensor, others: Tensor) -> tuple[Tensor, Tensor]:
    """IoU and generalized IoU (Rezatofighi et al., CVPR 2019) of boxes ``(..., 4)``, pair by pair: ``(...)``."""
    shared = rectangles.intersection(boxes, others)
    union = (rectangles.area(boxes) + rectangles.area(others) - shared).clamp(min=1e-6)
    low, high = torch.minimum(boxes[..., :2], others[..., :2]), torch.maximum(boxes[..., 2:], others[..., 2:])
    hull = rectangles.area(torch.cat([low, high], dim=-1)).clamp(min=1e-6)
    iou = shared / union
    return iou, iou - (hull - union) / hull


def quality_focal_loss(logits: Tensor, target: Tensor, beta: float = 2.0) -> Tensor:
    """|y - s|^beta BCE(s, y), element by element, s the sigmoid of the logits (GFL, Li et al., NeurIPS 2020, eq. 5)."""
    weight = (target - logits.sigmoid()).detach().abs() ** beta
    return weight * F.binary_cross_entropy_with_logits(logits, target, reduction="none")
