"""torchvision's classifiers as backbones give what their own heads see."""

import pytest
import torch
import torchvision
from torch import Tensor

from ccrop.backbones import TorchvisionBackbone


@pytest.fixture(scope="module")
def images() -> Tensor:
    return torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))


@torch.no_grad()
def test_the_last_map_is_what_the_classifier_sees(images: Tensor):
    torch.manual_seed(0)
    classifier = torchvision.models.resnet18().eval()
    backbone = TorchvisionBackbone("resnet18").eval()
    left = backbone.network.load_state_dict(classifier.state_dict(), strict=False)
    assert (left.missing_keys, left.unexpected_keys) == ([], ["fc.weight", "fc.bias"])
    scores = classifier.fc(backbone(images)[-1].mean(dim=(2, 3)))
    torch.testing.assert_close(scores, classifier(images), atol=1e-5, rtol=1e-5)


def test_it_is_built_to_train(images: Tensor):
    """BN and stochastic depth follow the mode, though the graph was traced in evaluation mode."""
    backbone = TorchvisionBackbone("efficientnet_b0")
    assert all(module.training for module in backbone.modules())
    drops = [module for module in backbone.modules() if isinstance(module, torchvision.ops.StochasticDepth)]
    assert drops
    for drop in drops:
        drop.p = 1.0 - 1e-9  # nearly every residual branch is dropped
    torch.manual_seed(0)
    dropped = backbone(images)[-1]
    for drop in drops:
        drop.p = 0.0
    assert not torch.equal(dropped, backbone(images)[-1])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("vit_b_32", "vit_b_32 works on tokens and has no feature maps: use timm's"),
        ("squeezenet1_1", "no feature map of stride 32: use timm's"),
    ],
)
def test_networks_without_maps_are_named(name: str, message: str):
    with pytest.raises(ValueError, match=message):
        TorchvisionBackbone(name)
