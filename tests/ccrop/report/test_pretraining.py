"""What a page says about a pretraining run."""

import re

import pytest

from ccrop.backbones.builder import backbone_config
from ccrop.report.pretraining import network_name, region_knn


@pytest.mark.parametrize(
    ("backbone", "expected"),
    [
        (backbone_config("mmdet:resnet18"), "ResNet-18"),
        (backbone_config("timm:convnext_tiny"), "timm:convnext_tiny"),
        (backbone_config("torchvision:resnet50"), "torchvision:resnet50"),
        (dict(type="my.nets.PlainNet", width=32), "PlainNet"),
        ({}, ""),
    ],
)
def test_a_network_is_named_as_its_config_does(backbone: dict, expected: str):
    assert network_name(backbone) == expected


@pytest.mark.parametrize(
    ("steps", "moments", "small", "chart"),
    [
        ({0: 0.5, 10: 0.6, 20: 0.75}, "before training → after epoch 20", "50.0 → 75.0", "after epoch 20"),
        ({0: 0.5}, "before training", "50.0", "before training"),  # a run that ended early
        ({10: 0.6}, "after epoch 10", "60.0", "after epoch 10"),
    ],
)
def test_region_knn_says_when_it_was_measured(steps: dict[int, float], moments: str, small: str, chart: str):
    html = region_knn({"s8_small": steps, "s8_all": steps})
    assert f"%, {moments}; sizes" in html
    assert re.findall(r"<td[^>]*>(.*?)</td>", html)[2] == small
    assert f">{chart}</text>" in html
    assert region_knn({}) == ""


def test_sizes_without_objects_are_left_open():
    cells = re.findall(r"<td[^>]*>(.*?)</td>", region_knn({"s8_all": {0: 0.5, 4: 0.6}, "s8_large": {0: 0.5}}))
    assert cells == ["stride 8", "50.0 → 60.0", "– → –", "– → –", "50.0 → –"]
