"""pairs: what the two views of a pair have in common."""

import argparse
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ccrop.datasets import MissingData
from ccrop.datasets.base import spread
from ccrop.datasets.coco import AnnotatedImage, annotated_boxes
from ccrop.evaluation import pair_statistics
from ccrop.localization import SingleObject
from ccrop.tools.evaluations.common import annotated_set, load, look, own_localizer, print_table, stacked
from ccrop.views import ContrastiveCrop, MultiObjectCrop, RandomCrop
from ccrop.views.transforms import Crop

CROPS = {
    "one box around all, alpha 0.1": ContrastiveCrop(0.1),
    "one box around all, alpha 0.6": ContrastiveCrop(0.6),
    "one object, its size": MultiObjectCrop(scene_prob=0),
    "one object, its size, 20 % scenes": MultiObjectCrop(),
}


def pairs(args: argparse.Namespace) -> None:
    """Print a Markdown table, one row a crop."""
    if args.checkpoint or args.config:
        config, model = load(args)
        dataset, images = annotated_set(config.data_root, args.split, args.images, model.data_preprocessor.channels)
        localizer, settings = own_localizer(config)
        found, counts = look(model, dataset, localizer or SingleObject(), **settings)
        clusters = [boxes[:count].numpy() for boxes, count in zip(found, counts, strict=True)]
    elif args.data_root:
        every, clusters = annotated_boxes(args.data_root, args.split), None
        images = [every[number] for number in spread(len(every), args.images or len(every))]
    else:
        raise ValueError("name a --data-root, or a checkpoint")
    some = [number for number, image in enumerate(images) if len(image.boxes)]
    images = [images[number] for number in some]
    root = args.data_root or config.data_root
    if not images:
        raise MissingData(f"{root} annotates no object in split {args.split!r}")
    print(f"{len(images)} annotated images of {root}, {args.draws} pairs each, seed {args.seed}\n")

    objects = [np.column_stack([image.boxes, np.ones(len(image.boxes))]).astype(np.float32) for image in images]
    crops = {"random crop": (RandomCrop(), objects)} | {name: (crop, objects) for name, crop in CROPS.items()}
    if clusters is not None:
        for name, crop in CROPS.items():
            name = name.replace("around all", "around all clusters").replace("object", "cluster")
            crops[name] = (crop, [clusters[number] for number in some])
    pixels, counts = stacked([image.boxes * np.tile(image.size[::-1], 2) for image in images])
    repeated = [each.repeat_interleave(args.draws, dim=0) for each in (pixels, counts)]
    rows = []
    for name, (crop, boxes) in crops.items():
        statistics = pair_statistics(drawn_views(images, boxes, crop, args.draws, args.seed), *repeated)
        shares = [f"{share:.2%}" for share in statistics.view_share.values()]
        rows.append([name, f"{statistics.common:.3f}", f"{statistics.iou:.3f}", *shares])
    print_table(["crop", "common object", "IoU of views", "its share of a view: small", "medium", "large"], rows)


def drawn_views(
    images: Sequence[AnnotatedImage], boxes: Sequence[NDArray[np.float32]], crop: Crop, draws: int, seed: int
) -> Tensor:
    """Views ``(N * draws, 2, 4)`` in pixels around boxes ``(K, 5)`` of each image, or around them all."""
    rng = np.random.default_rng(seed)
    views = []
    for image, own in zip(images, boxes, strict=True):
        if isinstance(crop, ContrastiveCrop) and len(own):
            own = np.concatenate([own[:, :2].min(axis=0), own[:, 2:].max(axis=0)])[None]
        views.append([crop(rng, image.size, own, 2) for _ in range(draws)])
    return torch.from_numpy(np.array(views)).flatten(0, 1)
