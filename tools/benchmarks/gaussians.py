"""Gaussian center heatmaps, the targets of CenterNet and CenterPoint."""

from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor

from ccrop.compat.mmcv_ext import install_mmcv_ext
from ccrop.localization import center_heatmaps, gaussian_radius
from ccrop.tools.benchmarks.timing import Call, Comparison

IMAGES, CELLS = 16, 128


def comparisons() -> Iterator[Comparison]:
    for objects, classes in ((10, 80), (100, 10)):
        generator = torch.Generator().manual_seed(0)
        centers = torch.rand(IMAGES, objects, 2, generator=generator) * CELLS
        sizes = 2 + torch.rand(IMAGES, objects, 2, generator=generator) * 20
        labels = torch.randint(classes, (IMAGES, objects), generator=generator)
        yield Comparison(
            f"Gaussian targets, {objects} objects in {classes} maps of {CELLS}x{CELLS}",
            partial(at_once, centers, sizes, labels, classes),
            {"mmdet's loop": one_by_one(centers, sizes, labels, classes)},
            "ms per image",
            IMAGES,
        )


def at_once(centers: Tensor, sizes: Tensor, labels: Tensor, classes: int) -> Tensor:
    images = torch.arange(IMAGES).repeat_interleave(labels.shape[1])
    radii = gaussian_radius(sizes.flatten(0, 1), formula="corrected")  # as in mmdet
    return center_heatmaps(centers.flatten(0, 1), radii, images, labels.flatten(), (IMAGES, classes, CELLS, CELLS))


def one_by_one(centers: Tensor, sizes: Tensor, labels: Tensor, classes: int) -> Call | None:
    try:
        install_mmcv_ext()
        from mmdet.models.utils import gaussian_radius as radius_of
        from mmdet.models.utils import gen_gaussian_target
    except ImportError:
        return None

    def draw() -> Tensor:
        maps = torch.zeros(IMAGES, classes, CELLS, CELLS)  # anew for each batch, as CenterNetHead.get_targets does
        for image in range(IMAGES):
            for center, size, label in zip(centers[image], sizes[image], labels[image], strict=True):
                radius = max(2, int(radius_of(size, min_overlap=0.1)))
                gen_gaussian_target(maps[image, label], center.int(), radius)
        return maps

    return draw
