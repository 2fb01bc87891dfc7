"""A training step of a detector on 128 px tiles."""

import copy
from collections.abc import Iterator
from typing import Any

import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.structures import InstanceData

from ccrop.compat.mmcv_ext import install_mmcv_ext
from ccrop.config_names import config_file
from ccrop.tools.benchmarks.timing import Call, Comparison

TILES, SIDE, OBJECTS, CLASSES = 32, 128, 8, 80
HEAD = dict(  # FCOS's, as wide and as deep as ours
    type="FCOSHead",
    num_classes=CLASSES,
    in_channels=64,
    feat_channels=64,
    stacked_convs=1,
    strides=[4],
    regress_ranges=((-1, 1e8),),
    norm_cfg=dict(type="BN"),
    center_sampling=True,
    loss_bbox=dict(type="GIoULoss", loss_weight=1.0),
)


def comparisons() -> Iterator[Comparison]:
    install_mmcv_ext()
    from mmdet.registry import MODELS

    config = Config.fromfile(config_file("tiles_r18"))
    with DefaultScope.overwrite_default_scope("mmdet"):
        ours, theirs = (MODELS.build(copy.deepcopy(config.model) | head) for head in ({}, dict(bbox_head=HEAD)))
    yield Comparison(
        f"detector's step, tiles of {SIDE} px",
        stepper(ours),
        {"mmdet's FCOSHead on the same network": stepper(theirs)},
        "ms per tile",
        TILES,
    )


def stepper(model: Any) -> Call:
    """Loss and gradients of a batch of random tiles, with an mmdet detector."""
    from mmdet.structures import DetDataSample

    generator = torch.Generator().manual_seed(0)
    images = torch.randn(TILES, 3, SIDE, SIDE, generator=generator)
    samples = []
    for _ in range(TILES):
        corner = torch.rand(OBJECTS, 2, generator=generator) * (SIDE - 32)
        boxes = torch.cat([corner, corner + 8 + 24 * torch.rand(OBJECTS, 2, generator=generator)], dim=1)
        labels = torch.randint(CLASSES, (OBJECTS,), generator=generator)
        objects = InstanceData(bboxes=boxes, labels=labels)
        samples.append(DetDataSample(gt_instances=objects, metainfo=dict(img_shape=(SIDE, SIDE))))
    model.train()

    def step() -> None:
        loss, _ = model.parse_losses(model(images, samples, mode="loss"))
        model.zero_grad()
        loss.backward()

    return step
