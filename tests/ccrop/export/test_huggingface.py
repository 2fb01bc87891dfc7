"""Folders of the Hugging Face hub: timm and transformers load them without the network."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from torch import nn

from ccrop.backbones import ResNet, TimmBackbone, TorchvisionBackbone
from ccrop.export import export_backbone

CONVNEXT = dict(depths=(1, 1, 1, 1), dims=(8, 16, 24, 32))
NORMALIZATION = dict(mean=[0.1, 0.2, 0.3], std=[0.4, 0.5, 0.6])


def run_with(folder: Path, backbone: nn.Module, **settings: Any) -> Path:
    """The checkpoint of a run with these settings of the backbone, whose norms have seen images."""
    for part in backbone.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.normal_()
    state = {f"backbone.{name}": tensor for name, tensor in backbone.state_dict().items()}
    config = dict(model=dict(backbone=dict(type=f"ccrop.backbones.{type(backbone).__name__}", **settings)))
    torch.save(dict(state_dict=state, normalization=NORMALIZATION, config=config), folder / "epoch_1.pth")
    return folder / "epoch_1.pth"


@pytest.fixture(params=["resnet18", "convnext_atto"])
def exported(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[nn.Module, Path]:
    """A backbone and the folder that it was exported to."""
    if request.param == "resnet18":
        backbone = ResNet(18).eval()
        checkpoint = run_with(tmp_path, backbone, depth=18)
    else:
        backbone = TimmBackbone(request.param, **CONVNEXT).eval()
        checkpoint = run_with(tmp_path, backbone, name=request.param, out_indices=(3,), **CONVNEXT)
    assert export_backbone(checkpoint, "huggingface", tmp_path / "out") == f"timm's {request.param}"
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"config.json", "model.safetensors"}
    return backbone, tmp_path / "out"


@torch.no_grad()
def test_timm_loads_it(exported: tuple[nn.Module, Path]):
    backbone, folder = exported
    network = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    images = torch.rand(2, 3, 64, 96)
    timms = isinstance(backbone, TimmBackbone)
    expected = backbone.network.forward_features(images) if timms else backbone(images)[-1]
    torch.testing.assert_close(network.forward_features(images), expected, rtol=1e-5, atol=1e-5)
    assert network.num_classes == 0
    assert network.pretrained_cfg["mean"] == [0.1, 0.2, 0.3]
    assert network.pretrained_cfg["std"] == [0.4, 0.5, 0.6]


@torch.no_grad()
def test_transformers_loads_it(exported: tuple[nn.Module, Path], monkeypatch: pytest.MonkeyPatch):
    transformers = pytest.importorskip("transformers")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    _, folder = exported
    model = transformers.AutoModel.from_pretrained(folder).eval()
    images = torch.rand(2, 3, 64, 96)
    expected = timm.create_model(f"local-dir:{folder}", pretrained=True).eval().forward_features(images)
    torch.testing.assert_close(model(images, do_pooling=False).last_hidden_state, expected, rtol=1e-5, atol=1e-5)


def test_it_does_not_claim_to_hold_the_weights_of_timm(exported: tuple[nn.Module, Path]):
    text = (exported[1] / "config.json").read_text()
    assert not re.search("a1_in1k|in1k|license|apache|arxiv|http", text, re.IGNORECASE)


@torch.no_grad()
def test_transformers_gives_the_maps(exported: tuple[nn.Module, Path], monkeypatch: pytest.MonkeyPatch):
    transformers = pytest.importorskip("transformers")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    backbone, folder = exported
    backbone.out_indices = (0, 1, 2, 3)
    images = torch.rand(2, 3, 64, 96)
    model = transformers.AutoModel.from_pretrained(folder).eval()
    maps = model(images, output_hidden_states=True).hidden_states[-4:]
    for found, expected in zip(maps, backbone(images), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_the_map_of_a_vit_is_the_last_hidden_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    transformers = pytest.importorskip("transformers")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    name, settings = "vit_tiny_patch16_224", dict(depth=2, embed_dim=24, img_size=64)
    backbone = TimmBackbone(name, **settings).eval()
    nn.init.normal_(backbone.network.norm.weight)  # so that the norm matters
    export_backbone(run_with(tmp_path, backbone, name=name, **settings), "huggingface", tmp_path / "out")
    images = torch.rand(2, 3, 64, 64)
    tokens = transformers.AutoModel.from_pretrained(tmp_path / "out").eval()(images).last_hidden_state[:, 1:]
    (expected,) = backbone(images)
    torch.testing.assert_close(tokens.mT.reshape(expected.shape), expected, rtol=1e-5, atol=1e-5)


def test_whoever_may_read_the_config_may_read_the_weights(exported: tuple[nn.Module, Path]):
    _, folder = exported
    modes = {path.name: path.stat().st_mode for path in folder.iterdir()}
    assert modes["model.safetensors"] == modes["config.json"]


def test_a_folder_is_never_replaced(tmp_path: Path):
    checkpoint = run_with(tmp_path, ResNet(18), depth=18)
    (tmp_path / "out").mkdir()
    with pytest.raises(FileExistsError, match="out exists: choose another folder"):
        export_backbone(checkpoint, "huggingface", tmp_path / "out", force=True)


def test_networks_that_timm_does_not_have_are_refused(tmp_path: Path):
    checkpoint = run_with(tmp_path, TorchvisionBackbone("mobilenet_v3_small"), name="mobilenet_v3_small")
    with pytest.raises(ValueError, match="not torchvision's mobilenet_v3_small: export it to onnx"):
        export_backbone(checkpoint, "huggingface", tmp_path / "out")
    checkpoint = run_with(tmp_path, ResNet(18, base_channels=8, stem_channels=8), depth=18)
    with pytest.raises(ValueError, match="timm cannot hold this backbone of width 8"):
        export_backbone(checkpoint, "huggingface", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_settings_of_a_network_are_in_its_config(tmp_path: Path):
    settings = dict(drop_path_rate=0.25, in_channels=5)
    backbone = TimmBackbone("convnext_atto", **CONVNEXT, **settings)
    checkpoint = run_with(tmp_path, backbone, name="convnext_atto", **CONVNEXT, **settings)
    export_backbone(checkpoint, "huggingface", tmp_path / "out")
    arguments = json.loads((tmp_path / "out/config.json").read_text())["model_args"]
    assert arguments["drop_path_rate"] == 0.25
    network = timm.create_model(f"local-dir:{tmp_path / 'out'}", pretrained=True)
    torch.testing.assert_close(network.stem[0].weight, backbone.network.stem[0].weight, rtol=0, atol=0)
