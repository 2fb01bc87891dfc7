"""pairs: how much the two views of a pair have in common."""

import argparse
from collections.abc import Sequence

import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import DATASETS
from numpy.typing import NDArray
from torch import Tensor

from ccrop.datasets import BoxStore, MissingData
from ccrop.datasets.base import spread
from ccrop.datasets.coco import AnnotatedImage, annotated_boxes
from ccrop.datasets.reading import WHITE
from ccrop.evaluation import judge_pairs, pair_statistics, partners_found
from ccrop.inference.locate import describe
from ccrop.localization import SingleObject
from ccrop.models import Siamese
from ccrop.tools.evaluations.common import annotated_set, load, look, own_localizer, print_table, stacked
from ccrop.views import ContrastiveCrop, MultiObjectCrop, RandomCrop
from ccrop.views.crop_protocol import Crop

CROPS = {
    "single, alpha 0.1": ContrastiveCrop(0.1),
    "single, alpha 0.6": ContrastiveCrop(0.6),
    "objects": MultiObjectCrop(scene_prob=0),
    "objects, 20 % scenes": MultiObjectCrop(),
}
Crops = dict[str, tuple[Crop, Sequence[NDArray[np.float32]]]]  # with the boxes (K, 5) of each image to draw around
VIEWS = 128  # pairs among which each view looks for its partner


def pairs(args: argparse.Namespace) -> None:
    """Print a Markdown table with one row per crop, and a verdict for a checkpoint's unannotated images."""
    if args.checkpoint or args.config:
        config, model = load(args)
        pixels = model.data_preprocessor.channels, config.get("white", WHITE)
        try:
            dataset, images = annotated_set(config.data_root, args.split, args.images, *pixels)
        except MissingData as error:
            pairs_of_clusters(args, config, model, str(error).split("; expected layout")[0])
            return
        localizer, settings = own_localizer(config)
        found, counts = look(model, dataset, localizer or SingleObject(), **settings)
        clusters = [boxes[:count].numpy() for boxes, count in zip(found, counts, strict=True)]
    elif args.data_root:
        every, clusters = annotated_boxes(args.data_root, args.split), None
        images = [every[number] for number in spread(len(every), args.images or len(every))]
    else:
        raise ValueError("pass a --data-root or a checkpoint")
    some = [number for number, image in enumerate(images) if len(image.boxes)]
    images = [images[number] for number in some]
    root = args.data_root or config.data_root
    if not images:
        raise MissingData(f"{root} annotates no objects in split {args.split!r}")
    print(f"{len(images)} annotated images of {root}, {args.draws} pairs each, seed {args.seed}\n")

    objects = [np.column_stack([image.boxes, np.ones(len(image.boxes))]).astype(np.float32) for image in images]
    crops: Crops = {name: (crop, objects) for name, crop in {"rcrop": RandomCrop(), **CROPS}.items()}
    if clusters is not None:
        crops |= {name: (crop, [clusters[number] for number in some]) for name, crop in cluster_crops().items()}
    corners, counts = stacked([image.boxes * np.tile(image.size[::-1], 2) for image in images])
    print_statistics(args, images, crops, corners, counts, "object")


def pairs_of_clusters(args: argparse.Namespace, config: Config, model: Siamese, why: str) -> None:
    """Clusters replace annotated objects, and a verdict says whether they and the features are healthy.

    Raises:
        ValueError: no image has a cluster.
    """
    settings = config.train_dataloader.dataset
    if "split" in settings:
        settings.split = args.split
    dataset = DATASETS.build(settings)
    dataset = dataset.get_subset(spread(len(dataset), args.images or len(dataset)))
    localizer, looks = own_localizer(config)
    boxes, counts = look(model, dataset, localizer or SingleObject(), **looks)
    dataset.boxes = BoxStore(len(dataset), boxes.shape[1], dataset.fingerprint())
    dataset.update_boxes(boxes, counts)
    images, clusters = [], []
    for index in range(len(dataset)):
        if counts[index]:
            picture = dataset.read(dataset.get_data_info(index))
            own = boxes[index, : counts[index], :4].numpy()
            unnamed = np.zeros(len(own), np.int64)
            images.append(AnnotatedImage("", (picture.height, picture.width), own, unnamed))
            clusters.append(dataset.boxes[index])
    if not images:
        raise ValueError(f"none of {len(dataset)} images has a cluster: pairs are plain random crops")
    print(f"No annotations ({why}): using clusters instead\n")
    print(f"{len(images)} of {len(dataset)} images with clusters, {args.draws} pairs each, seed {args.seed}\n")
    pixels, numbers = stacked([image.boxes * np.tile(image.size[::-1], 2) for image in images])
    crops: Crops = {name: (crop, clusters) for name, crop in {"rcrop": RandomCrop(), **cluster_crops()}.items()}
    common = print_statistics(args, images, crops, pixels, numbers, "cluster")
    described = describe(dataset.boxes, looks["image_size"])
    views = [dataset[args.seed, 0, index]["views"][:2] for index in spread(len(dataset), VIEWS)]
    verdict = judge_pairs(
        described["clusters"],
        described["no_box"],
        described["whole_image"],
        common["objects, around clusters"],
        common["rcrop"],
        partners_found(*(view_features(model, [pair[side] for pair in views]) for side in (0, 1))),
        len(views),
    )
    print(f"\n{verdict}")


def cluster_crops() -> dict[str, Crop]:
    """:data:`CROPS` around clusters, by name."""
    return {f"{name}, around clusters": crop for name, crop in CROPS.items()}


def view_features(model: Siamese, views: Sequence[Tensor]) -> Tensor:
    """Pooled features ``(N, C)`` of views ``(H, W, channels)`` uint8, without augmentation."""
    batches = torch.stack(list(views)).split(32)
    return torch.cat([model.pooled(model.data_preprocessor(dict(images=batch))["images"]).float() for batch in batches])


def print_statistics(
    args: argparse.Namespace,
    images: Sequence[AnnotatedImage],
    crops: Crops,
    pixels: Tensor,
    counts: Tensor,
    unit: str,
) -> dict[str, float]:
    """Print one row per crop, and return the fraction of pairs that share an object or a cluster, by crop.

    Args:
        crops: by name, see :data:`Crops`.
        pixels, counts: what pairs may share, ``(N, M, 4)`` in pixels and ``(N,)``.
        unit: what these are.
    """
    pixels, counts = (each.repeat_interleave(args.draws, dim=0) for each in (pixels, counts))
    rows, common = [], {}
    for name, (crop, boxes) in crops.items():
        statistics = pair_statistics(drawn_views(images, boxes, crop, args.draws, args.seed), pixels, counts)
        common[name] = statistics.common
        shares = ["–" if share != share else f"{share:.2%}" for share in statistics.view_share.values()]
        rows.append([name, f"{statistics.common:.3f}", f"{statistics.iou:.3f}", *shares])
    print_table(["crop", f"shared {unit}", "IoU of views", "its fraction of a view: small", "medium", "large"], rows)
    return common


def drawn_views(
    images: Sequence[AnnotatedImage], boxes: Sequence[NDArray[np.float32]], crop: Crop, draws: int, seed: int
) -> Tensor:
    """Views ``(N * draws, 2, 4)`` in pixels around boxes ``(K, 5)`` of each image, or around all of them."""
    rng = np.random.default_rng(seed)
    views = []
    for image, own in zip(images, boxes, strict=True):
        if isinstance(crop, ContrastiveCrop) and len(own):
            own = np.concatenate([own[:, :2].min(axis=0), own[:, 2:].max(axis=0)])[None]
        views.append([crop(rng, image.size, own, 2) for _ in range(draws)])
    return torch.from_numpy(np.array(views)).flatten(0, 1)
