"""mmdet's detectors around other backbones: they train and predict, or it is said what does not fit."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from jobs import ROOT
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.structures import InstanceData
from torch import nn

from ccrop.projects.detection_transfer.finetune import load_config, trained_parts
from ccrop.projects.detection_transfer.replaced_backbone import check_strides, head_strides

FASTER_RCNN = ROOT / "projects/detection_transfer/configs/faster-rcnn_r18_fpn_small.py"
FCOS = Path(__file__).parent / "configs/fcos_tiny.py"
NARROW = {"model.backbone.base_channels": 8, "model.backbone.stem_channels": 8}
CONVNEXT = {"model.backbone.depths": (1, 1, 1, 1), "model.backbone.dims": (8, 16, 24, 32)}
VIT = {"model.backbone.depth": 1, "model.backbone.embed_dim": 24}
ONE_MAP = {
    "model.neck.num_outs": 1,
    "model.bbox_head.strides": [16],
    "model.bbox_head.regress_ranges": ((-1, 1e8),),
}


@pytest.fixture(autouse=True)
def scope() -> Iterator[None]:
    with DefaultScope.overwrite_default_scope("mmdet"):
        yield


def batch() -> dict[str, Any]:
    objects = InstanceData(bboxes=torch.tensor([[10.0, 12, 30, 40], [50, 60, 62, 70]]), labels=torch.tensor([0, 1]))
    shape = dict(img_shape=(64, 96), ori_shape=(64, 96), batch_input_shape=(64, 96), scale_factor=(1.0, 1.0), img_id=0)
    generator = torch.Generator().manual_seed(0)
    images = [(255 * torch.rand(3, 64, 96, generator=generator)).byte() for _ in range(2)]
    return dict(inputs=images, data_samples=[DetDataSample(gt_instances=objects, metainfo=shape) for _ in images])


def built(config: Config) -> nn.Module:
    torch.manual_seed(0)
    return MODELS.build(config.model)


@pytest.mark.parametrize(
    ("file", "backbone", "options", "channels"),
    [
        (FASTER_RCNN, None, NARROW, [8, 16, 32]),
        (FASTER_RCNN, None, NARROW | {"model.backbone.depth": 50}, [32, 64, 128]),
        (FASTER_RCNN, "mmdet:resnet18", NARROW, [8, 16, 32]),
        (FASTER_RCNN, "timm:tf_efficientnet_lite0", {}, [24, 40, 112]),
        (FCOS, "timm:convnext_atto", CONVNEXT, [8, 16, 24]),
        (FCOS, "torchvision:mobilenet_v3_small", {}, [72, 96, 288]),
        (FCOS, "timm:vit_tiny_patch16_224", VIT | ONE_MAP, [24]),
    ],
)
def test_a_detector_around_another_backbone_trains_and_predicts(
    demo_root: Path, file: Path, backbone: str | None, options: dict[str, Any], channels: list[int]
):
    config = load_config(file, demo_root, options, backbone)
    assert config.model.neck.in_channels == channels
    detector = built(config)
    check_strides(detector)
    data = detector.data_preprocessor(batch(), training=True)
    loss, _ = detector.parse_losses(detector.train()(**data, mode="loss"))
    loss.backward()
    first = next(detector.backbone.parameters())
    assert torch.isfinite(loss)
    assert first.grad.abs().sum() > 0
    with torch.no_grad():
        (found, _) = (result.pred_instances for result in detector.eval().test_step(batch()))
    assert torch.isfinite(found.bboxes).all()


def test_images_are_normalized_for_the_network_and_the_log_says_so(demo_root: Path):
    config = load_config(FCOS, demo_root, None, "timm:tf_efficientnet_lite0")
    assert config.model.data_preprocessor.mean == config.model.data_preprocessor.std == [127.5] * 3
    assert config.model.data_preprocessor.bgr_to_rgb
    assert config.notes == [
        "Backbone timm:tf_efficientnet_lite0 gives maps of stride 4, 8, 16, the config's gives 4, 8, 16",
        "Images are normalized by mean 127.5, 127.5, 127.5 and std 127.5, 127.5, 127.5, as published weights of "
        "timm:tf_efficientnet_lite0 expect it",
    ]


def test_a_config_that_keeps_its_backbone_keeps_its_neck(demo_root: Path):
    config = load_config(FCOS, demo_root, {"model.neck.in_channels": [1, 2, 3]})
    assert config.model.neck.in_channels == [1, 2, 3]
    assert "notes" not in config


def test_a_backbone_without_any_of_the_strides_is_refused(demo_root: Path):
    message = "timm:vit_tiny_patch14_dinov2 has maps of stride 14, but this detector uses stride 4, 8, 16"
    with pytest.raises(ValueError, match=message.replace("tiny", "small")):
        load_config(FCOS, demo_root, None, "timm:vit_small_patch14_dinov2")


@pytest.mark.parametrize(
    ("file", "head"), [(FASTER_RCNN, "rpn_head"), (FCOS, "bbox_head")], ids=["Faster R-CNN", "FCOS"]
)
def test_a_head_that_takes_maps_for_others_is_refused(demo_root: Path, file: Path, head: str):
    config = load_config(file, demo_root, VIT, "timm:vit_tiny_patch16_224")
    message = rf"model\.{head} expects maps of stride 4, 8, 16.* but gets 16, 32, .*: set its strides and"
    with pytest.raises(ValueError, match=message):
        check_strides(built(config))


def test_strides_are_found_wherever_a_detector_keeps_them(demo_root: Path):
    detector = built(load_config(FASTER_RCNN, demo_root, NARROW))
    assert head_strides(detector) == {"rpn_head": [4, 8, 16, 32], "roi_head.bbox_roi_extractor": [4, 8, 16]}
    assert head_strides(built(load_config(FCOS, demo_root, NARROW))) == {"bbox_head": [4, 8, 16]}


@pytest.mark.parametrize(
    ("backbone", "options", "line"),
    [
        (None, NARROW, "0 stages of the backbone frozen, its BN statistics trained"),
        (
            None,
            NARROW | {"model.backbone.frozen_stages": 2, "model.backbone.norm_eval": True},
            "2 stages of the backbone frozen, its BN statistics frozen",
        ),
        ("timm:convnext_atto", CONVNEXT, "0 stages of the backbone frozen"),
    ],
)
def test_the_log_says_what_is_trained(demo_root: Path, backbone: str | None, options: dict[str, Any], line: str):
    config = load_config(FCOS, demo_root, options, backbone)
    assert trained_parts(MODELS.build(config.model.backbone)) == line
