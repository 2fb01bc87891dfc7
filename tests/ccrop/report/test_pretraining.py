"""What a page says about a pretraining run."""

import pytest

from ccrop.backbones.builder import backbone_config
from ccrop.report.pretraining import network_name


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
