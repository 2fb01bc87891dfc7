"""Other libraries' networks give the features that their own classifiers see."""

from pathlib import Path

import pytest
import timm
import torch
import torchvision

from ccrop.checkpoint import load_backbone, read_weights
from ccrop.models.zoo import ZooBackbone


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("library", ["timm", "torchvision"])
def test_the_last_level_is_what_the_classifier_sees(images: torch.Tensor, tmp_path: Path, library: str):
    torch.manual_seed(0)
    network = torchvision.models.resnet18().eval()
    torch.save(network.state_dict(), tmp_path / "resnet18.pth")
    backbone = ZooBackbone(f"{library}:resnet18").eval()
    load_backbone(backbone, read_weights(tmp_path / "resnet18.pth"))
    with torch.no_grad():
        maps = backbone(images)
        scores = network.fc(maps[-1].mean(dim=(2, 3)))
        torch.testing.assert_close(scores, network(images), atol=1e-5, rtol=1e-5)
    assert [tuple(level.shape[1:]) for level in maps] == [(64, 16, 16), (128, 8, 8), (256, 4, 4), (512, 2, 2)]
    backbone.out_indices = (1, 3)
    with torch.no_grad():
        assert all(torch.equal(a, b) for a, b in zip(backbone(images), maps[1::2], strict=True))


def test_transformers_have_the_levels_they_have(images: torch.Tensor, tmp_path: Path):
    network = timm.create_model("vit_tiny_patch16_224", dynamic_img_size=True).eval()
    torch.save(dict(state_dict=network.state_dict()), tmp_path / "vit.pth")
    backbone = ZooBackbone("timm:vit_tiny_patch16_224").eval()
    load_backbone(backbone, read_weights(tmp_path / "vit.pth"))
    with torch.no_grad():
        (maps,) = backbone(images)
        tokens = network.forward_features(images)[:, network.num_prefix_tokens :]
    torch.testing.assert_close(network.norm(maps.flatten(2).transpose(1, 2)), tokens, atol=1e-4, rtol=1e-4)
    assert tuple(backbone.mean) == (0.5, 0.5, 0.5)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("resnet18", "named timm:NAME or torchvision:NAME, got 'resnet18'"),
        ("timm:resnet19", "timm has no model 'resnet19'"),
        ("torchvision:resnet19", "torchvision has no classifier 'resnet19'"),
        ("torchvision:vit_b_32", "gives tokens and no maps"),
        ("torchvision:inception_v3", "no feature map of stride 32"),
    ],
)
def test_what_cannot_be_built_is_named(name: str, message: str):
    with pytest.raises(ValueError, match=message):
        ZooBackbone(name)
