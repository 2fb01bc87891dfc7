"""ONNX graphs of backbones, which ONNX Runtime runs on images of other sizes and numbers."""

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from timm.layers import Conv2dSame
from torch import nn

from ccrop.backbones import ModuleBackbone, ResNet
from ccrop.export import export_backbone, onnx_graph

NARROW = dict(depth=10, base_channels=4, stem_channels=4, in_channels=2)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    state = {f"backbone.{name}": tensor for name, tensor in ResNet(**NARROW).state_dict().items()}
    config = dict(model=dict(backbone=dict(type="ccrop.backbones.ResNet", **NARROW)))
    normalization = dict(mean=[0.1, 0.2], std=[0.4, 0.5])
    torch.save(dict(state_dict=state, normalization=normalization, config=config), tmp_path / "epoch_1.pth")
    return tmp_path / "epoch_1.pth"


@torch.no_grad()
def test_the_graph_gives_all_maps(checkpoint: Path, tmp_path: Path):
    onnx, onnxruntime = pytest.importorskip("onnx"), pytest.importorskip("onnxruntime")
    said = export_backbone(checkpoint, "onnx", tmp_path / "out.onnx")
    assert said.startswith("ResNet 10, within ")
    session = onnxruntime.InferenceSession(tmp_path / "out.onnx")
    assert [each.name for each in session.get_outputs()] == ["stride_4", "stride_8", "stride_16", "stride_32"]
    resnet = ResNet(**NARROW, out_indices=(0, 1, 2, 3)).eval()
    state = torch.load(checkpoint)["state_dict"]
    resnet.load_state_dict({name.removeprefix("backbone."): tensor for name, tensor in state.items()})
    images = torch.rand(3, 2, 70, 101)  # neither what was traced nor whole strides
    for own, other in zip(resnet(images), session.run(None, {"images": images.numpy()}), strict=True):
        np.testing.assert_allclose(other, own.numpy(), rtol=1e-4, atol=1e-5)
    metadata = {each.key: each.value for each in onnx.load(tmp_path / "out.onnx").metadata_props}
    assert metadata == dict(strides="4 8 16 32", mean="25.5 51", std="102 127.5")


@torch.no_grad()
def test_tensorflows_padding_is_exact_for_whole_strides(tmp_path: Path):
    onnxruntime = pytest.importorskip("onnxruntime")
    torch.manual_seed(0)
    layers = nn.Sequential(Conv2dSame(3, 4, 3, stride=2), nn.ReLU(), Conv2dSame(4, 5, (5, 3), stride=2, bias=False))
    onnx_graph.write_onnx(ModuleBackbone(layers, probe_size=32).eval(), None, tmp_path / "out.onnx")
    images = torch.rand(1, 3, 224, 96)
    (found,) = onnxruntime.InferenceSession(tmp_path / "out.onnx").run(None, {"images": images.numpy()})
    assert found.shape == (1, 5, 56, 24)
    np.testing.assert_allclose(found, layers(images).numpy(), rtol=1e-4, atol=1e-5)


def test_a_graph_that_differs_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    class Program:
        model = SimpleNamespace(metadata_props={})

        def save(self, file: Path, external_data: bool) -> None:
            file.write_bytes(b"graph")

    session = SimpleNamespace(run=lambda _, images: [images["images"] + 0.01])
    monkeypatch.setattr(
        onnx_graph, "_required", lambda: SimpleNamespace(InferenceSession=lambda file, providers: session)
    )
    monkeypatch.setattr(onnx_graph, "_exported", lambda *_, **__: Program())
    backbone = ModuleBackbone(nn.Identity(), probe_size=8).eval()
    with pytest.raises(ValueError, match=r"the graph differs from the network by 1\.0e-02 of a map's largest value"):
        onnx_graph.write_onnx(backbone, None, tmp_path / "out.onnx")
    assert list(tmp_path.iterdir()) == []


def test_what_is_missing_is_named(checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(ValueError, match=r"the suffix \.onnx is reserved for --to onnx"):
        export_backbone(checkpoint, "onnx", tmp_path / "out.pth")
    with pytest.raises(ValueError, match=r"the suffix \.onnx is reserved for --to onnx"):
        export_backbone(checkpoint, "timm", tmp_path / "out.onnx")
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ImportError, match=r"--to onnx needs onnx: pip install 'ccrop\[export\]'"):
        export_backbone(checkpoint, "onnx", tmp_path / "out.onnx")
    (tmp_path / "config.py").write_text("model = dict(backbone=dict(type='ccrop.backbones.ResNet', depth=10))\n")
    with pytest.raises(ValueError, match="is not a checkpoint of a run with its config: pass the config of its run"):
        export_backbone(checkpoint, "onnx", tmp_path / "out.onnx", config=tmp_path / "config.py")
