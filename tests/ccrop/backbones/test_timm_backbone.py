"""timm's networks as backbones give what timm's own classifiers see."""

import pytest
import timm
import torch
from torch import Tensor

from ccrop.backbones import TimmBackbone
from ccrop.backbones.unused import unused_weights


@pytest.fixture(scope="module")
def images() -> Tensor:
    return torch.rand(2, 3, 64, 96, generator=torch.Generator().manual_seed(0))


@torch.no_grad()
def test_the_last_map_of_a_cnn_is_what_its_classifier_sees(images: Tensor):
    torch.manual_seed(0)
    classifier = timm.create_model("resnet18", channels=(8, 8, 16, 16)).eval()
    backbone = TimmBackbone("resnet18", channels=(8, 8, 16, 16)).eval()
    left = backbone.network.load_state_dict(classifier.state_dict(), strict=False)
    assert (left.missing_keys, left.unexpected_keys) == ([], ["fc.weight", "fc.bias"])
    scores = classifier.fc(backbone(images)[-1].mean(dim=(2, 3)))
    torch.testing.assert_close(scores, classifier(images), atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_the_map_of_a_plain_vit_is_its_tokens_behind_the_last_norm(images: Tensor):
    torch.manual_seed(0)
    backbone = TimmBackbone("vit_tiny_patch16_224", depth=2, embed_dim=24).eval()
    (tokens,) = backbone(images)
    network = backbone.network
    expected = network.forward_features(images)[:, network.num_prefix_tokens :]  # row by row
    for row in range(4):
        for column in range(6):
            torch.testing.assert_close(tokens[:, :, row, column], expected[:, 6 * row + column])


def test_an_image_that_no_whole_patches_cover_is_refused():
    backbone = TimmBackbone("vit_tiny_patch16_224", depth=1, embed_dim=24)
    with pytest.raises(ValueError, match=r"timm:vit_tiny_patch16_224 does not take images of 64x100 px: .*patch size"):
        backbone(torch.rand(1, 3, 64, 100))


def test_a_network_for_one_size_says_so_and_can_be_built_for_another():
    settings = dict(depth=1, embed_dim=24, num_heads=3)
    backbone = TimmBackbone("beit_base_patch16_224", **settings)
    assert backbone.image_size == (224, 224)
    with pytest.raises(ValueError, match=r"takes images of 224x224 px only, got 64x64: set model\.backbone\.img_size"):
        backbone(torch.rand(1, 3, 64, 64))
    (tokens,) = TimmBackbone("beit_base_patch16_224", img_size=64, **settings)(torch.rand(1, 3, 64, 64))
    assert tokens.shape == (1, 24, 4, 4)


def test_a_setting_that_the_network_does_not_have_is_an_error():
    with pytest.raises(TypeError, match="'depht'"):
        TimmBackbone("resnet18", depht=3)


def test_weights_without_a_part_in_any_map():
    backbone = TimmBackbone("tf_efficientnet_lite0")
    behind = {"network.conv_head.weight", "network.bn2.weight", "network.bn2.bias"}
    assert set(unused_weights(backbone)) == behind
    backbone.out_indices = (0, 1)
    stages = {name.split(".")[2] for name in unused_weights(backbone) if name.startswith("network.blocks")}
    assert stages == {"3", "4", "5", "6"}  # stride 8 ends with the third of seven stages
    assert unused_weights(TimmBackbone("vit_tiny_patch16_224", depth=1, embed_dim=24)) == []
