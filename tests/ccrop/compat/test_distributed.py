"""BN of several processes: every norm is synchronized, and none loses its activation."""

import timm
import torch
from torch import nn

from ccrop.compat.distributed import with_synchronized_bn


def test_timms_bn_keeps_its_activation():
    torch.manual_seed(0)
    network = timm.create_model("test_efficientnet", num_classes=0).eval()
    images = torch.rand(2, 3, 64, 64)
    norms = sum(isinstance(module, nn.BatchNorm2d) for module in network.modules())
    with torch.no_grad():
        expected = network(images)
        converted = with_synchronized_bn(network)
        torch.testing.assert_close(converted(images), expected)
    assert sum(isinstance(module, nn.SyncBatchNorm) for module in converted.modules()) == norms > 0
    assert not any(isinstance(module, nn.BatchNorm2d) for module in converted.modules())


def test_plain_bn_is_converted_by_mmengine():
    norm = nn.BatchNorm2d(4)
    (converted,) = with_synchronized_bn(nn.Sequential(norm))
    assert type(converted) is nn.SyncBatchNorm
    assert converted.weight is norm.weight
