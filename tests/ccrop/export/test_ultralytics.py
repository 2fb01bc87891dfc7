"""Ultralytics' module TorchVision holds torchvision's children in a row, with another eps and images in [0, 1]."""

from pathlib import Path

import pytest
import torch
import torchvision
from torch import nn

from ccrop.backbones import ResNet
from ccrop.export import export_backbone

MEAN, STD = torch.tensor([0.1, 0.2, 0.3]).view(3, 1, 1), torch.tensor([0.4, 0.5, 0.6]).view(3, 1, 1)


def theirs() -> nn.Module:
    """A model whose first module is TorchVision, as Ultralytics builds it, behind a head of nothing."""
    first = nn.Module()
    first.m = nn.Sequential(*list(torchvision.models.resnet18().children())[:-2])
    for part in first.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.eps = 1e-3
    model = nn.Module()
    model.model = nn.Sequential(first, nn.Linear(1, 1))
    return model.eval()


@torch.no_grad()
def test_it_computes_there_what_it_computes_here(tmp_path: Path):
    torch.manual_seed(0)
    resnet = ResNet(18, out_indices=(0, 1, 2, 3)).eval()
    for part in resnet.modules():
        if isinstance(part, nn.BatchNorm2d):
            nn.init.uniform_(part.weight, 0.5, 1.5)
            part.running_mean.normal_(std=0.2)
            part.running_var.uniform_(1e-4, 1.5)  # some of the size of eps
    state = {f"backbone.{name}": tensor for name, tensor in resnet.state_dict().items()}
    normalization = dict(mean=MEAN.flatten().tolist(), std=STD.flatten().tolist())
    torch.save({"state_dict": state, "normalization": normalization}, tmp_path / "epoch_1.pth")
    assert export_backbone(tmp_path / "epoch_1.pth", "ultralytics", tmp_path / "out.pth") == "ResNet-18"

    model = theirs()
    left = model.load_state_dict(torch.load(tmp_path / "out.pth"), strict=False)
    assert (left.missing_keys, left.unexpected_keys) == (["model.1.weight", "model.1.bias"], [])
    images = torch.rand(1, 3, 256, 256)
    maps = [images]
    for layer in model.model[0].m:
        maps.append(layer(maps[-1]))
    for own, other in zip(resnet((images - MEAN) / STD)[:3], maps[5:8], strict=True):  # the last sees the border
        middle = slice(own.shape[2] // 2 - 1, own.shape[2] // 2 + 1)
        torch.testing.assert_close(
            other[..., middle, middle], own[..., middle, middle], rtol=1e-4, atol=1e-5 * float(own.abs().max())
        )


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        (dict(base_channels=8, stem_channels=8), "torchvision cannot hold this backbone of width 8"),
        (dict(in_channels=1), "it takes 1 channels, not RGB images"),
    ],
)
def test_resnets_that_torchvision_does_not_have_are_refused(tmp_path: Path, settings: dict[str, int], reason: str):
    state = {f"backbone.{name}": tensor for name, tensor in ResNet(18, **settings).state_dict().items()}
    torch.save({"state_dict": state}, tmp_path / "epoch_1.pth")
    with pytest.raises(ValueError, match=reason):
        export_backbone(tmp_path / "epoch_1.pth", "ultralytics", tmp_path / "out.pth")
