"""Detectors of mmdet build, train a step and predict without compiled operators."""

from collections.abc import Iterator
from pathlib import Path

import mmdet
import numpy as np
import pytest
import torch
from jobs import ROOT
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmdet.structures.mask import BitmapMasks
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.structures import InstanceData

from ccrop.compat.mmdet_positions import keep_positions
from ccrop.projects.detection_transfer.finetune import without_sync_bn

keep_positions()

CONFIGS = ROOT / "projects/detection_transfer/configs"
OWN = sorted(file.stem for file in CONFIGS.glob("*.py"))
ZOO = Path(mmdet.__file__).parent / ".mim/configs"
OTHERS = {"atss": "atss/atss_r50_fpn_1x_coco.py", "centernet": "centernet/centernet_r18_8xb16-crop512-140e_coco.py"}


def config_of(name: str) -> Config:
    config = Config.fromfile(CONFIGS / f"{name}.py" if name in OWN else ZOO / OTHERS[name])
    backbone = config.model.backbone
    if backbone.type == "ResNet":  # mmdet's own
        backbone.update(init_cfg=None, frozen_stages=-1)
    if backbone.get("depth") == 50:  # a narrow one is as good a test
        backbone.update(base_channels=8, stem_channels=8)
        config.model.neck.in_channels = [32, 64, 128, 256]
    if "rpn_proposal" in (config.model.get("train_cfg") or {}):  # fewer regions
        config.model.train_cfg.rpn_proposal.max_per_img = config.model.test_cfg.rpn.max_per_img = 50
        config.model.train_cfg.rcnn.sampler.num = 32
    if not torch.cuda.is_available():
        without_sync_bn(config)
    return config


@pytest.fixture(autouse=True)
def scope() -> Iterator[None]:
    with DefaultScope.overwrite_default_scope("mmdet"):
        yield


@pytest.mark.parametrize("name", OWN)
def test_no_variable_of_a_config_is_what_mmengine_reads_in_several_processes(name: str):
    assert Config.fromfile(CONFIGS / f"{name}.py").get("sync_bn") in (None, "torch", "mmcv")


def batch(masks: bool) -> dict:
    generator = torch.Generator().manual_seed(0)
    samples = []
    for _ in range(2):
        objects = InstanceData(bboxes=torch.tensor([[10.0, 12, 30, 40], [50, 60, 62, 70]]), labels=torch.tensor([0, 1]))
        if masks:
            planes = np.zeros((2, 128, 128), np.uint8)
            planes[0, 12:40, 10:30] = planes[1, 60:70, 50:62] = 1
            objects.masks = BitmapMasks(planes, 128, 128)
        meta = dict(
            img_shape=(128, 128), ori_shape=(128, 128), scale_factor=(1.0, 1.0), batch_input_shape=(128, 128), img_id=0
        )
        samples.append(DetDataSample(gt_instances=objects, metainfo=meta | dict(border=(0, 128, 0, 128))))
    images = [(255 * torch.rand(3, 128, 128, generator=generator)).byte() for _ in range(2)]
    return dict(inputs=images, data_samples=samples)


@pytest.mark.parametrize("name", [*OWN, *OTHERS])
def test_detector_trains_a_step_and_predicts(name: str):
    torch.manual_seed(0)
    config = config_of(name)
    model = MODELS.build(config.model)
    model.init_weights()
    model.train()
    data = model.data_preprocessor(batch(masks="mask" in name), training=True)
    loss, _ = model.parse_losses(model(**data, mode="loss"))
    loss.backward()
    assert torch.isfinite(loss)
    stem = next(model.backbone.parameters())
    assert stem.grad.abs().sum() > 0  # all of the backbone is trained, or a frozen stem would have no gradient

    model.eval()
    with torch.no_grad():
        results = model.test_step(batch(masks=False))
    assert len(results) == 2
    for result in results:
        found = result.pred_instances
        assert found.bboxes.shape == (len(found.scores), 4)
        assert torch.isfinite(found.bboxes).all()
        assert ((found.labels >= 0) & (found.labels < 80)).all()


def test_boxes_found_under_autocast_are_not_rounded():
    torch.manual_seed(0)
    config = config_of("faster-rcnn_r18_fpn_small")
    config.model.test_cfg.rcnn.score_thr = 0.0  # an untrained detector is sure of nothing
    model = MODELS.build(config.model).eval()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        (result, _) = model.test_step(batch(masks=False))
    boxes = result.pred_instances.bboxes
    assert len(boxes) > 0
    assert boxes.dtype == torch.float32
    assert not torch.equal(boxes, boxes.bfloat16().float())


def gradients_of_a_step(dtype: torch.dtype | None) -> tuple[float, torch.Tensor]:
    """Faster R-CNN's loss, and the gradient of all weights as one vector; autocast computes in dtype, if any."""
    torch.manual_seed(0)
    model = MODELS.build(config_of("faster-rcnn_r18_fpn_small").model)
    model.init_weights()
    model.train()
    data = model.data_preprocessor(batch(masks=False), training=True)
    with torch.autocast("cpu", dtype, enabled=dtype is not None):
        loss, _ = model.parse_losses(model(**data, mode="loss"))
    loss.backward()
    gradients = [each.grad for each in model.parameters() if each.grad is not None]
    return loss.item(), torch.cat([each.flatten() for each in gradients])


def test_regions_train_in_bf16_as_in_float32():
    loss, exact = gradients_of_a_step(None)
    rounded_loss, rounded = gradients_of_a_step(torch.bfloat16)
    assert rounded_loss == pytest.approx(loss, rel=0.02)
    assert rounded.isfinite().all()
    # rounded scores order other proposals first, so that others are sampled
    assert torch.cosine_similarity(exact, rounded, dim=0) > 0.9


@pytest.mark.parametrize("name", [name for name in OWN if "1x" in name])
def test_benchmark_trains_all_of_the_backbone_with_synchronised_bn(name: str):
    config = Config.fromfile(CONFIGS / f"{name}.py")
    assert config.model.backbone.frozen_stages == -1
    assert config.model.backbone.norm_eval is False
    assert config.model.backbone.norm_cfg.type == config.model.neck.norm_cfg.type == "SyncBN"
    assert config.train_cfg.max_iters == (24000 if "voc" in name else 90000)
    assert config.auto_scale_lr == dict(enable=True, base_batch_size=16)
