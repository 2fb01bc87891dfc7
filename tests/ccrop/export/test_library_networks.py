"""Backbones of timm and torchvision go back to their libraries, and elsewhere only where that has the same network."""

from pathlib import Path

import pytest
import timm
import torch
import torchvision
from torch import nn

from ccrop.backbones import ModuleBackbone, TimmBackbone, TorchvisionBackbone
from ccrop.export import export_backbone

CONVNEXT = dict(depths=(1, 1, 1, 1), dims=(8, 16, 24, 32))


def run_with(folder: Path, backbone: nn.Module, **settings) -> Path:
    """The checkpoint of a run, with its config."""
    state = {f"backbone.{name}": tensor for name, tensor in backbone.state_dict().items()}
    kind = f"ccrop.backbones.{type(backbone).__name__}"
    config = dict(model=dict(backbone=dict(type=kind, **settings)))
    torch.save({"state_dict": state | {"projector.0.weight": torch.zeros(2)}, "config": config}, folder / "epoch_1.pth")
    return folder / "epoch_1.pth"


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("tf_efficientnet_lite0", {}),
        ("convnext_atto", CONVNEXT),
        ("vit_tiny_patch16_224", dict(depth=1, embed_dim=24)),
    ],
)
@torch.no_grad()
def test_timm_loads_what_was_exported_to_it(tmp_path: Path, name: str, settings: dict):
    backbone = TimmBackbone(name, **settings).eval()
    checkpoint = run_with(tmp_path, backbone, name=name)
    assert export_backbone(checkpoint, "timm", tmp_path / "out.pth") == f"timm's {name}"
    network = timm.create_model(name, num_classes=0, checkpoint_path=str(tmp_path / "out.pth"), **settings).eval()
    images = torch.rand(1, 3, 224, 224)
    torch.testing.assert_close(network.forward_features(images), backbone.network.forward_features(images))


def test_torchvision_loads_what_was_exported_to_it(tmp_path: Path):
    backbone = TorchvisionBackbone("mobilenet_v3_small")
    checkpoint = run_with(tmp_path, backbone, name="mobilenet_v3_small")
    assert export_backbone(checkpoint, "torchvision", tmp_path / "out.pth") == "torchvision's mobilenet_v3_small"
    left = torchvision.models.mobilenet_v3_small().load_state_dict(torch.load(tmp_path / "out.pth"), strict=False)
    assert {name.split(".")[0] for name in left.missing_keys} == {"classifier"}
    assert left.unexpected_keys == []


def test_a_plain_resnet_goes_everywhere(tmp_path: Path):
    backbone = TimmBackbone("resnet18")
    checkpoint = run_with(tmp_path, backbone, name="resnet18")
    export_backbone(checkpoint, "mmdet", tmp_path / "out.pth")
    exported = torch.load(tmp_path / "out.pth")["state_dict"]
    assert torch.equal(exported["backbone.layer4.1.conv2.weight"], backbone.network.layer4[1].conv2.weight)
    left = torchvision.models.resnet18().load_state_dict(
        {name.removeprefix("backbone."): tensor for name, tensor in exported.items()}, strict=False
    )
    assert (left.missing_keys, left.unexpected_keys) == (["fc.weight", "fc.bias"], [])


def test_what_a_framework_does_not_have_is_refused(tmp_path: Path):
    checkpoint = run_with(tmp_path, TimmBackbone("convnext_atto", **CONVNEXT), name="convnext_atto")
    with pytest.raises(
        ValueError, match="mmdet cannot hold timm's convnext_atto: export it to timm, huggingface or onnx"
    ):
        export_backbone(checkpoint, "mmdet", tmp_path / "out.pth")
    content = torch.load(checkpoint)
    torch.save(dict(state_dict=content["state_dict"]), checkpoint)
    with pytest.raises(ValueError, match="pass the config of its run with --config"):
        export_backbone(checkpoint, "timm", tmp_path / "out.pth")
    assert not (tmp_path / "out.pth").exists()


def test_a_users_own_module_is_named_as_such(tmp_path: Path):
    checkpoint = run_with(tmp_path, ModuleBackbone(nn.Conv2d(3, 4, 8, stride=8)))
    with pytest.raises(
        ValueError, match=r"ModuleBackbone, which other frameworks do not know: .* under backbone\.network\."
    ):
        export_backbone(checkpoint, "timm", tmp_path / "out.pth")
