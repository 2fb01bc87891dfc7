"""Another backbone in a config: which maps it gives, and who looks at which of them."""

from pathlib import Path

import pytest
from jobs import ROOT
from mmengine.config import Config
from mmengine.registry import MODELS
from torch import nn

from ccrop.backbones import ModuleBackbone, ResNet
from ccrop.backbones.replacement import normalize_as, replace_backbone
from ccrop.config import load_config
from ccrop.localization import MultiObject
from ccrop.models import CenterHeatmapLoss, RegionPairs, SimCLR, ViewPreprocessor


def config_of(out_indices: tuple[int, ...], regions: dict | None = None, levels: object = None) -> Config:
    """SimCLR on a ResNet, with a localizer at some of its maps."""
    model = dict(
        type=SimCLR,
        backbone=dict(type=ResNet, depth=18, base_channels=8, out_indices=out_indices),
        channels=16,
        data_preprocessor=dict(type=ViewPreprocessor),
        regions=regions,
    )
    localizer = dict(type=MultiObject) if levels is None else dict(type=MultiObject, levels=levels)
    return Config(dict(model=model, default_hooks=dict(localization=dict(localizer=localizer))))


@pytest.mark.parametrize(
    ("name", "out_indices", "new_indices", "regions", "new_regions", "levels", "new_levels"),
    [
        # as many levels: nothing changes
        ("timm:test_convnext", (0, 1, 2, 3), (0, 1, 2, 3), (1, 2, 3), (1, 2, 3), 0, (0,)),
        ("timm:test_convnext", (0, 1, 2), (0, 1, 2), (1, 2), (1, 2), (0, 2), (0, 2)),
        ("timm:test_convnext", (1, 3), (1, 3), (0, 1), (0, 1), -1, (1,)),
        # a ViT has stride 16 alone, which is its last level too
        ("timm:test_vit", (0, 1, 2, 3), (0,), (1, 2, 3), (0,), 0, (0,)),
        ("timm:test_vit", (0, 1), (0,), (0, 1), (0,), (0, 1), (0,)),
        ("timm:test_vit", (3,), (0,), None, None, None, None),
        # strides 16, 32 and 64: the last stands for the last
        ("timm:efficientvit_m0", (0, 1, 2, 3), (0, 2), (1, 2, 3), (0, 1), 0, (0,)),
    ],
)
def test_who_looks_at_which_maps(name, out_indices, new_indices, regions, new_regions, levels, new_levels):
    config = config_of(out_indices, regions and dict(type=RegionPairs, levels=regions), levels)
    replace_backbone(config, name)
    assert config.model.backbone.out_indices == new_indices
    assert (config.model.regions and config.model.regions.levels) == new_regions
    assert config.default_hooks.localization.localizer.get("levels") == new_levels
    model = MODELS.build(config.model)
    channels = [model.backbone.levels[index].channels for index in new_indices]
    assert model.projector[0].in_features == sum(channels[each] for each in new_regions or (-1,))


def test_the_heatmap_looks_at_the_nearest_stride():
    regions = dict(type=RegionPairs, levels=(1, 2), heatmap=dict(type=CenterHeatmapLoss, level=1, channels=4))
    config = config_of((0, 1, 2), regions)
    replace_backbone(config, "timm:efficientvit_m0")
    assert config.model.regions.heatmap.level == 0
    assert "their heatmap is learned at stride 16" in config.notes[0]
    assert MODELS.build(config.model).regions.heatmap.head[0].in_channels == 64


def test_the_log_says_what_came_of_it(tmp_path: Path):
    config = load_config(
        ROOT / "configs/simsiam_region_demo.py", tmp_path, {"model.backbone.depth": 1}, "timm:test_vit"
    )
    settings = dict(name="test_vit", out_indices=(0,), depth=1)
    assert config.model.backbone == dict(type="ccrop.backbones.TimmBackbone", **settings)
    assert config.notes == [
        "Backbone timm:test_vit gives maps of stride 16, the config's gives 4, 8, 16, 32; "
        "regions are pooled at stride 16; objects are localized at stride 16",
        "Images are normalized by mean 0.500, 0.500, 0.500 and std 0.500, 0.500, 0.500, as published weights of "
        "timm:test_vit expect it",
    ]
    assert config.model.data_preprocessor.mean == config.model.data_preprocessor.std == (0.5, 0.5, 0.5)
    assert len(MODELS.build(config.model).backbone.network.blocks) == 1


def test_images_stay_normalized_where_nobody_says_what_a_network_expects():
    preprocessor = dict(mean=(0.1, 0.2, 0.3))
    backbone = ModuleBackbone(nn.Conv2d(3, 4, 8, stride=8))
    assert normalize_as(backbone, "mine", preprocessor).startswith("Images are normalized as the config says")
    assert preprocessor == dict(mean=(0.1, 0.2, 0.3))


def test_a_model_of_sweeps_has_no_place_for_it(tmp_path: Path):
    sweeps = ROOT / "projects/lidar_bev/configs/simsiam_ccrop_bev_demo.py"
    with pytest.raises(ValueError, match="timm:test_vit takes images, but the model of this config has no"):
        load_config(sweeps, tmp_path, None, "timm:test_vit")
