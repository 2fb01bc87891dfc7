"""Hand-made detections and annotated objects, as pycocotools reads them."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from mmdet.datasets.api_wrappers import COCO
from numpy.typing import NDArray

Box = Sequence[float]  # x, y, width, height in pixels


def truth(objects: Iterable[tuple[int, int, Box]], names: Mapping[int, str], images: Iterable[int]) -> COCO:
    """Annotations of objects, each an image id, a category id and a box."""
    coco = COCO()
    coco.dataset = dict(
        images=[dict(id=image, width=400, height=400) for image in images],
        categories=[dict(id=number, name=name) for number, name in names.items()],
        annotations=[
            dict(id=i, image_id=image, category_id=category, bbox=list(box), area=box[2] * box[3], iscrowd=0)
            for i, (image, category, box) in enumerate(objects)
        ],
    )
    coco.createIndex()
    return coco


def found(detections: Iterable[tuple[int, int, Box, float]]) -> NDArray[np.float64]:
    """``(M, 7)`` of detections, each an image id, a category id, a box and a score."""
    rows = [[image, *box, score, category] for image, category, box, score in detections]
    return np.array(rows, dtype=float).reshape(-1, 7)


def some_scenes(
    seed: int, num_images: int = 12, noise: float = 1.5, missed: float = 0.25
) -> tuple[list[tuple[int, int, Box]], list[tuple[int, int, Box, float]]]:
    """Objects of two categories in some images, and what a detector with a given noise (px) finds of them.

    Every third object is larger than 32 x 32 px. Image 1 has no object. Scores differ.
    """
    rng = np.random.default_rng(seed)
    objects, detections = [], []
    for image in range(1, num_images + 1):
        for number in range(0 if image == 1 else int(rng.integers(1, 7))):
            side = rng.uniform(34, 60) if number % 3 == 2 else rng.uniform(9, 31)
            box = (*rng.uniform(0, 340, 2), side, side)
            category = int(rng.integers(1, 3))
            objects.append((image, category, box))
            if rng.random() >= missed:
                detections.append((image, category, tuple(box + rng.normal(0, noise, 4)), rng.uniform(0.2, 1)))
        for _ in range(3):
            box = (*rng.uniform(0, 340, 2), *rng.uniform(8, 50, 2))
            detections.append((image, int(rng.integers(1, 3)), box, rng.uniform(0, 0.7)))
    return objects, detections
