"""Do the boxes of a localizer find the annotated objects? Measures of boxes, without a model."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ccrop.evaluation.pairs import SIZES
from ccrop.views import rectangles

CHUNK = 256
CORLOC_IOU = 0.5


@dataclass(frozen=True)
class BoxQuality:
    """Of one localizer's boxes over a set.

    Attributes:
        objects: number of objects by size: "small", "medium", "large" (COCO's limits) and "all".
        boxes: boxes an image.
        area: mean area of the first k boxes of the images by k, as a share of the image; NaN without boxes.
        corloc: share of the images with objects whose first box overlaps one of them with an IoU of at least 0.5
            (Deselaers et al., IJCV 2012).
        found: share of objects that one of the first k boxes finds, by measure, size and k; NaN where no object has
            that size. The measures are the keys of :func:`first_finds`.
    """

    objects: dict[str, int]
    boxes: float
    area: dict[int, float]
    corloc: float
    found: dict[str, dict[str, dict[int, float]]]


def box_quality(
    boxes: Tensor, counts: Tensor, objects: Tensor, object_counts: Tensor, image_sizes: Tensor, ks: Sequence[int]
) -> BoxQuality:
    """Compare boxes with the annotated objects of their images.

    Args:
        boxes: ``(N, K, 5)`` x0, y0, x1, y1 in fractions of the image, score; the best first.
        counts: ``(N,)`` boxes of each image.
        objects: ``(N, M, 4)`` x0, y0, x1, y1 in fractions of the same images; those without area are left out.
        object_counts: ``(N,)`` objects of each image.
        image_sizes: ``(N, 2)`` height, width in pixels, for the sizes of objects.
        ks: numbers of boxes to look at.
    """
    finds = [
        first_finds(*part)
        for part in zip(*(each.split(CHUNK) for each in (boxes[..., :4], counts, objects, object_counts)), strict=True)
    ]
    first = {measure: torch.cat([find[measure] for find in finds]) for measure in finds[0]}
    fraction = rectangles.area(objects.double())
    exists = _up_to(object_counts, objects.shape[1]) & (fraction > 0)
    pixels = fraction * image_sizes.double().prod(dim=1)[:, None]
    of_size = {name: exists & (pixels >= low) & (pixels < high) for name, (low, high) in SIZES.items()}
    of_size["all"] = exists

    used = _up_to(counts, boxes.shape[1])
    areas = rectangles.area(boxes[..., :4].double())
    located = ((first[f"IoU {CORLOC_IOU}"] == 0) & exists).any(dim=1)
    return BoxQuality(
        objects={size: int(chosen.sum()) for size, chosen in of_size.items()},
        boxes=counts.double().mean().item(),
        area={k: areas[:, :k][used[:, :k]].mean().item() for k in ks},
        corloc=located[exists.any(dim=1)].double().mean().item(),
        found={
            measure: {
                size: {k: (rank[chosen] < min(k, boxes.shape[1])).double().mean().item() for k in ks}
                for size, chosen in of_size.items()
            }
            for measure, rank in first.items()
        },
    )


def first_finds(boxes: Tensor, counts: Tensor, objects: Tensor, object_counts: Tensor) -> dict[str, Tensor]:
    """Which box is the first to find each object, by four measures; all boxes in the same unit.

    - "center hit": the box's center lies on the object. Crops are drawn around that center. No box hits by being
      large, and n boxes anywhere hit only n times the object's share of the image.
    - "center inside": the object's center lies in the box, which the whole image does for every object.
    - "IoU 0.3", "IoU 0.5": the two overlap by at least that.

    Args:
        boxes: ``(N, K, 4)`` with ``counts (N,)``.
        objects: ``(N, M, 4)`` with ``object_counts (N,)``.

    Returns:
        Indices ``(N, M)`` int64 of boxes; K where none finds the object, or where there is no object.
    """
    each_box, each_object = boxes.double()[:, :, None], objects.double()[:, None]
    iou = rectangles.iou(each_box, each_object)
    finds = {
        "center hit": _contains(each_object, _center(each_box)),
        "center inside": _contains(each_box, _center(each_object)),
        "IoU 0.3": iou >= 0.3,
        "IoU 0.5": iou >= 0.5,
    }
    both = _up_to(counts, boxes.shape[1])[:, :, None] & _up_to(object_counts, objects.shape[1])[:, None]
    number = torch.arange(boxes.shape[1], device=boxes.device)[:, None]
    return {measure: number.where(found & both, boxes.shape[1]).amin(dim=1) for measure, found in finds.items()}


def _up_to(counts: Tensor, length: int) -> Tensor:
    return torch.arange(length, device=counts.device) < counts[:, None]


def _center(boxes: Tensor) -> Tensor:
    return (boxes[..., :2] + boxes[..., 2:]) / 2


def _contains(boxes: Tensor, points: Tensor) -> Tensor:
    return ((points >= boxes[..., :2]) & (points <= boxes[..., 2:])).all(dim=-1)
