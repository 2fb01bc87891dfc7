"""mmdet's ResNet without the rest of mmdet, which finds the same classes later."""

import subprocess
import sys

import pytest

ALL_OF_MMDET = "from ccrop.compat.mmcv_ext import install_mmcv_ext\ninstall_mmcv_ext()\nimport mmdet.models\n"
CODE = """
import sys
import torch
from ccrop.backbones import ResNet
print('mmdet.models' in sys.modules, 'mmdet.models.detectors' in sys.modules, 'matplotlib' in sys.modules)

import mmdet.models
import mmdet.models.backbones.resnet as module
import mmdet.models.layers.res_layer as layer
from mmdet.models.layers import ResLayer
from mmdet.registry import MODELS
assert mmdet.models.ResNet is module.ResNet is MODELS.get('ResNet') is ResNet.__mro__[2]
assert layer.ResLayer is ResLayer
from mmdet.utils import ConfigType, imshow_mot_errors
assert layer.ConfigType is ConfigType
assert 'FCOS' in MODELS
assert ResNet(18)(torch.rand(1, 3, 64, 64))[0].shape == (1, 512, 2, 2)
"""


@pytest.mark.parametrize(("first", "loaded"), [("", False), (ALL_OF_MMDET, True)])
def test_detectors_are_imported_later_and_have_the_same_resnet(first: str, loaded: bool):
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", first + CODE], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.split() == [str(loaded)] * 3
