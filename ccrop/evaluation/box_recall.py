"""Do the boxes of a localizer find the annotated objects? Box metrics, without a model."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from numpy.typing import NDArray
from torch import Tensor

from ccrop.evaluation.pairs import SIZES
from ccrop.views import rectangles

CHUNK = 256
CORLOC_IOU = 0.5


@dataclass(frozen=True)
class BoxQuality:
    """Metrics of one localizer's boxes over a set.

    Attributes:
        objects: number of objects by size: "small", "medium", "large" (COCO's limits) and "all".
        boxes: boxes per image.
        area: mean area of the first k boxes of the images by k, as a fraction of the image; NaN without boxes.
        corloc: fraction of the images with objects whose first box overlaps one of them with an IoU of at least 0.5
            (Deselaers et al., IJCV 2012).
        found: fraction of objects that one of the first k boxes finds, by measure, size and k; NaN if no object has
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
        objects: ``(N, M, 4)`` x0, y0, x1, y1 in fractions of the same images; those without area are ignored.
        object_counts: ``(N,)`` objects of each image.
        image_sizes: ``(N, 2)`` height, width in pixels, for the sizes of objects.
        ks: numbers of first boxes to evaluate.
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

    - "center hit": the box's center is on the object. Crops are drawn around that center. No box hits by being
      large, and n boxes anywhere hit only n times the object's fraction of the image.
    - "center inside": the object's center is in the box, which the whole image does for every object.
    - "IoU 0.3", "IoU 0.5": the two overlap by at least that.

    Args:
        boxes: ``(N, K, 4)`` with ``counts (N,)``.
        objects: ``(N, M, 4)`` with ``object_counts (N,)``.

    Returns:
        Indices ``(N, M)`` int64 of boxes; K where none finds the object, or if there is no object.
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


def pseudo_box_quality(boxes: Sequence[Tensor | NDArray], objects: Sequence[Tensor | NDArray]) -> dict[str, float]:
    """Recall and precision of pseudo-boxes at IoU 0.3 and 0.5, by COCO's sizes.

    Recall is the fraction of objects that any box overlaps by at least that much, precision the fraction of boxes that
    overlap any object by that much. Boxes and objects are not matched one to one: several boxes of one object, which
    training tolerates, all count as right, and no order of scores, on which a greedy match would depend, is needed.

    Args:
        boxes: of each image ``(n, 4)`` x0, y0, x1, y1 in pixels.
        objects: of each image ``(m, 4)``, in the same order of images.

    Returns:
        "recall_0.3", "recall_0.3_small", ..., "precision_0.5_large" in [0, 1]; recall by the size of the object,
        precision by that of the box. NaN if there is nothing of that size. "boxes" is their mean number per image.

    Raises:
        ValueError: boxes and objects belong to different numbers of images.
    """
    if len(boxes) != len(objects):
        raise ValueError(
            f"there are boxes for {len(boxes)} images and objects for {len(objects)}: give both for every image"
        )
    # areas, best overlaps
    sides: dict[str, tuple[list[Tensor], list[Tensor]]] = {"recall": ([], []), "precision": ([], [])}
    for pair in zip(boxes, objects, strict=True):
        given, real = (torch.as_tensor(each).double().reshape(-1, 4) for each in pair)
        overlap = torch.nn.functional.pad(rectangles.iou(real[:, None], given), (0, 1, 0, 1))  # nothing overlaps by 0
        for name, own, best in (
            ("recall", real, overlap.amax(dim=1)[:-1]),
            ("precision", given, overlap.amax(dim=0)[:-1]),
        ):
            sides[name][0].append(rectangles.area(own))
            sides[name][1].append(best)
    quality = {"boxes": sum(map(len, boxes)) / len(boxes) if boxes else float("nan")}
    for name, (areas, overlaps) in sides.items():
        area, best = (torch.cat([torch.zeros(0, dtype=torch.double), *each]) for each in (areas, overlaps))
        for limit in (0.3, 0.5):
            quality[f"{name}_{limit}"] = (best >= limit).double().mean().item()
            for size, (low, high) in SIZES.items():
                chosen = best[(area >= low) & (area < high)]
                quality[f"{name}_{limit}_{size}"] = (chosen >= limit).double().mean().item()
    return quality


def _up_to(counts: Tensor, length: int) -> Tensor:
    return torch.arange(length, device=counts.device) < counts[:, None]


def _center(boxes: Tensor) -> Tensor:
    return (boxes[..., :2] + boxes[..., 2:]) / 2


def _contains(boxes: Tensor, points: Tensor) -> Tensor:
    return ((points >= boxes[..., :2]) & (points <= boxes[..., 2:])).all(dim=-1)
