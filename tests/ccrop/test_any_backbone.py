"""What looks at maps takes any backbone: methods, localization, regions, kNN, RoI-kNN and the gallery."""

from pathlib import Path

import pytest
import torch

from ccrop.backbones import ResNet, TimmBackbone
from ccrop.datasets import CocoImages
from ccrop.inference.annotated_regions import annotated_regions
from ccrop.inference.locate import locate
from ccrop.inference.panels import look
from ccrop.localization import MultiObject, SingleObject
from ccrop.models import CenterHeatmapLoss, RegionPairs, Siamese, SimCLR, ViewPreprocessor
from ccrop.views import CropViews, RandomCrop

SIZE = (96, 64)  # height and width of whole images in pixels
# a config, and the strides of its maps
BACKBONES = {
    "ResNet": (
        dict(type=ResNet, depth=18, base_channels=8, stem_channels=8, out_indices=(0, 1, 2, 3)),
        (4, 8, 16, 32),
    ),
    "EfficientNet-Lite0": (dict(type=TimmBackbone, name="tf_efficientnet_lite0"), (4, 8, 16, 32)),
    "ConvNeXt": (
        dict(type=TimmBackbone, name="convnext_atto", depths=(1, 1, 1, 1), dims=(8, 16, 24, 32)),
        (4, 8, 16, 32),
    ),
    "ViT": (dict(type=TimmBackbone, name="vit_tiny_patch16_224", depth=2, embed_dim=24), (16,)),
}
every_backbone = pytest.mark.parametrize("name", BACKBONES)


def model_of(name: str, **settings) -> Siamese:
    torch.manual_seed(0)
    backbone, _ = BACKBONES[name]
    return SimCLR(backbone, channels=16, out_channels=8, data_preprocessor=dict(type=ViewPreprocessor), **settings)


@pytest.fixture(scope="module")
def models() -> dict[str, Siamese]:
    return {name: model_of(name).eval() for name in BACKBONES}


@pytest.fixture(scope="module")
def images(demo_root: Path) -> CocoImages:
    return CocoImages(demo_root, "val", subset=3, pipeline=[dict(type=CropViews, crop=dict(type=RandomCrop), size=32)])


@every_backbone
def test_whole_views_and_windows_with_a_heatmap_train_every_weight_that_has_a_part(name: str):
    strides = BACKBONES[name][1]
    regions = dict(
        type=RegionPairs, levels=tuple(range(len(strides))), num_objects=2, num_background=1,
        heatmap=dict(type=CenterHeatmapLoss, channels=4),
    )  # fmt: skip
    views = [torch.rand(4, 3, 64, 64) for _ in range(2)]
    boxes = torch.tensor([[0.2, 0.2, 0.8, 0.8, 1]]).expand(4, 1, 5)
    scene = dict(transforms=[torch.eye(2, 3).expand(4, 2, 3)] * 2, boxes=boxes, counts=torch.ones(4, dtype=torch.long))
    for settings, batch in ((dict(), {}), (dict(regions=regions), scene)):
        model = model_of(name, **settings).train()
        losses = model(views, **batch)
        sum(losses.values()).backward()
        assert torch.isfinite(losses["loss"])
        without = {key for key, weight in model.named_parameters() if weight.grad is None}
        behind = {"conv_head", "bn2", "head"}
        assert {key.split(".")[2] for key in without} <= behind, "only what is behind the last map"


@every_backbone
@torch.no_grad()
def test_objects_are_found_on_every_map(models: dict[str, Siamese], images: CocoImages, name: str):
    for localizer in (SingleObject(), MultiObject(max_boxes=4, levels=0, response="distance")):
        boxes, counts = locate(models[name], images, localizer, SIZE, batch_size=2, keep_ratio=True)
        assert (counts >= 1).all()
        for index in range(len(images)):  # in its own row is what an image gives when it is used alone
            alone, number = locate(models[name], images.get_subset([index]), localizer, SIZE, keep_ratio=True)
            assert number[0] == counts[index]
            torch.testing.assert_close(alone[0], boxes[index], atol=1e-4, rtol=0)
    assert len(boxes[:, 0].unique(dim=0)) == 3, "every image has its own, by place or by score"
    assert models[name].backbone.strides == BACKBONES[name][1], "all maps are given again"


@every_backbone
@torch.no_grad()
def test_regions_have_features_of_every_stride(models: dict[str, Siamese], demo_root: Path, name: str):
    found = annotated_regions(models[name], demo_root, "val", 2)
    assert tuple(found.features) == BACKBONES[name][1]
    for channels, features in zip(models[name].backbone.channels, found.features.values(), strict=True):
        assert features.shape == (len(found.categories), 4 * channels)
        assert features.std(dim=0).mean() > 0


@every_backbone
@torch.no_grad()
def test_whole_images_become_vectors_and_pictures(models: dict[str, Siamese], images: CocoImages, name: str):
    model = models[name]
    assert model.pooled(torch.rand(2, 3, *SIZE)).shape == (2, model.backbone.channels[-1])
    panels = look(model, images, MultiObject(levels=0), SIZE, [0], keep_ratio=True)
    assert len(panels) == 1
    assert len(panels[0]) == 4, "image, heatmap and two views"
