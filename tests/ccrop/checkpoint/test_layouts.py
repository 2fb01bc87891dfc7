"""A backbone is found in every common layout, whole and under its library's names."""

import argparse
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
import torchvision
from torch import Tensor

from ccrop.checkpoint import read_weights
from ccrop.checkpoint.layouts import find_backbone

StateDict = dict[str, Tensor]


@pytest.fixture(scope="module")
def resnet() -> StateDict:
    """A small ResNet with a classifier, under torchvision's names."""
    torch.manual_seed(0)
    network = torchvision.models.ResNet(torchvision.models.resnet.BasicBlock, [1, 1, 1, 1], num_classes=3)
    return {name: tensor[:2].clone() if tensor.ndim else tensor for name, tensor in network.state_dict().items()}


def under(prefix: str, state: StateDict) -> StateDict:
    return {f"{prefix}{name}": tensor for name, tensor in state.items()}


def headless(state: StateDict) -> StateDict:
    return {name: tensor for name, tensor in state.items() if not name.startswith("fc.")}


def numbered(state: StateDict) -> StateDict:
    """The names inside ``Sequential(*resnet.children())``."""
    children = ["conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4"]
    names = {name: name.partition(".") for name in headless(state)}
    return {f"{children.index(first)}.{rest}": state[name] for name, (first, _, rest) in names.items()}


HEAD = {"0.weight": torch.ones(2, 2)}
LAYOUTS = {  # content of a file, where its backbone lies, whether the classifier comes with it
    "torchvision": (lambda s: s, "", True),
    "timm training": (lambda s: dict(epoch=3, arch="resnet", state_dict=s), "state_dict", True),
    "timm training with EMA": (
        lambda s: dict(state_dict={name: tensor + 1 for name, tensor in s.items()}, state_dict_ema=s),
        "state_dict_ema",
        True,
    ),
    "DeiT, Swin": (lambda s: dict(model=s, args=argparse.Namespace(lr=0.1)), "model", True),
    "OpenPCDet": (lambda s: dict(model_state=s, epoch=1), "model_state", True),
    "DDP": (lambda s: under("module.", s), "module.", True),
    "torch.compile": (lambda s: dict(state_dict=under("_orig_mod.", s)), "state_dict, _orig_mod.", True),
    "ccrop": (
        lambda s: dict(meta={}, state_dict=under("backbone.", headless(s)) | under("projector.", HEAD)),
        "state_dict, backbone.",
        False,
    ),
    "mmdet": (
        lambda s: dict(
            meta={}, state_dict=under("backbone.", headless(s)) | under("neck.", HEAD) | under("bbox_head.", HEAD)
        ),
        "state_dict, backbone.",
        False,
    ),
    "MoCo": (
        lambda s: dict(
            arch="resnet50",
            state_dict=under("module.encoder_q.", s)
            | under("module.encoder_k.", {name: tensor + 1 for name, tensor in s.items()})
            | {"module.queue": torch.ones(2, 3), "module.queue_ptr": torch.zeros(1)},
        ),
        "state_dict, module.encoder_q.",
        True,
    ),
    "MoCo v3": (
        lambda s: dict(
            state_dict=under("module.momentum_encoder.", {name: tensor + 1 for name, tensor in s.items()})
            | under("module.base_encoder.", s)
            | under("module.predictor.", HEAD)
        ),
        "state_dict, module.base_encoder.",
        True,
    ),
    "SimSiam": (
        lambda s: dict(state_dict=under("module.encoder.", s) | under("module.predictor.", HEAD)),
        "state_dict, module.encoder.",
        True,
    ),
    "SwAV": (lambda s: under("module.", headless(s) | under("prototypes.", HEAD)), "module.", False),
    "DINO": (
        lambda s: dict(
            student=under("module.backbone.", {name: tensor + 1 for name, tensor in s.items()}),
            teacher=under("backbone.", headless(s)) | under("head.", HEAD),
            args=argparse.Namespace(arch="resnet50"),
            dino_loss={"center": torch.zeros(1, 2)},
        ),
        "teacher, backbone.",
        False,
    ),
    "DINO's student": (
        lambda s: dict(student=under("module.backbone.", headless(s)) | under("module.head.", HEAD)),
        "student, module.backbone.",
        False,
    ),
    "byol-pytorch": (
        lambda s: (
            under("online_encoder.net.", s)
            | under("online_encoder.projector.net.", HEAD)
            | under("target_encoder.net.", {name: tensor + 1 for name, tensor in s.items()})
        ),
        "online_encoder.net.",
        True,
    ),
    "Barlow Twins": (
        lambda s: dict(model=under("module.backbone.", headless(s)) | under("module.projector.", HEAD)),
        "model, module.backbone.",
        False,
    ),
    "solo-learn": (
        lambda s: dict(
            state_dict=under("backbone.", headless(s))
            | under("momentum_backbone.", {name: tensor + 1 for name, tensor in headless(s).items()})
            | under("classifier.", HEAD)
        ),
        "state_dict, backbone.",
        False,
    ),
    "early solo-learn": (
        lambda s: dict(state_dict=under("encoder.", headless(s)) | under("classifier.", HEAD)),
        "state_dict, encoder.",
        False,
    ),
    "Lightly": (
        lambda s: dict(state_dict=under("backbone.", numbered(s)) | under("projection_head.", HEAD)),
        "state_dict, backbone.",
        False,
    ),
    "Lightly's backbone": (numbered, "", False),
    "torchvision detector": (
        lambda s: under("backbone.body.", headless(s)) | under("backbone.fpn.", HEAD) | under("rpn.head.", HEAD),
        "backbone.body.",
        False,
    ),
    "VISSL": (
        lambda s: dict(
            classy_state_dict=dict(
                base_model=dict(model=dict(trunk=under("_feature_blocks.", headless(s)), heads=under("0.clf.", HEAD)))
            )
        ),
        "classy_state_dict, base_model, model, trunk, _feature_blocks.",
        False,
    ),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_backbone_is_found_under_its_librarys_names(layout: str, resnet: StateDict, tmp_path: Path):
    make, where, classifier = LAYOUTS[layout]
    torch.save(make(resnet), tmp_path / "weights.pth")
    weights = read_weights(tmp_path / "weights.pth")
    found = {name: tensor for name, tensor in weights.backbone.items() if classifier or name in headless(resnet)}
    expected = resnet if classifier else headless(resnet)
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    assert where in weights.origin
    assert weights.normalization is None


def test_heads_and_queues_are_others(resnet: StateDict):
    found = find_backbone(LAYOUTS["MoCo"][0](resnet))
    assert {name.split(".")[0] for name in found.others} == {"encoder_k", "queue", "queue_ptr"}
    assert find_backbone(LAYOUTS["mmdet"][0](resnet)).others.keys() == {"neck.0.weight", "bbox_head.0.weight"}


def test_safetensors(resnet: StateDict, tmp_path: Path):
    safetensors.torch.save_file(resnet, tmp_path / "model.safetensors")
    weights = read_weights(str(tmp_path / "model.safetensors"))
    assert weights.backbone.keys() == resnet.keys()
    assert all(torch.equal(weights.backbone[name], tensor) for name, tensor in resnet.items())
    (tmp_path / "model.safetensors").write_bytes(b"\x08" + b"\0" * 7 + b"no json!")
    with pytest.raises(ValueError, match=r"model\.safetensors was not loaded: it is damaged"):
        read_weights(tmp_path / "model.safetensors")


@pytest.mark.parametrize("module", ["core", "_core"])
def test_arrays_of_either_numpy(module: str, resnet: StateDict, tmp_path: Path):
    """NumPy 1 pickles functions of ``numpy.core``, NumPy 2 those of ``numpy._core``."""
    arrays = {name: tensor.numpy() for name, tensor in resnet.items()}
    torch.save(dict(model=arrays, best=np.float32(0.5), classes=np.arange(3)), tmp_path / "new.pth")
    with zipfile.ZipFile(tmp_path / "new.pth") as new, zipfile.ZipFile(tmp_path / "old.pth", "w") as old:
        for name in new.namelist():
            content = new.read(name)
            if name.endswith("data.pkl"):
                content, changed = re.subn(rb"(?<=cnumpy\.)_?core(?=\.multiarray\n)", module.encode(), content)
                assert changed
            old.writestr(name, content)
    weights = read_weights(tmp_path / "old.pth")
    assert all(torch.equal(weights.backbone[name], tensor) for name, tensor in resnet.items())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1, 2], r"holds no weights .* \(list\)"),
        (dict(epoch=1, meta={}), r"holds no weights .* \(epoch, meta\)"),
        (dict(state_dict={"projector.0.weight": torch.ones(1)}), "holds no backbone: only projector"),
        (dict(model={"fc.weight": torch.ones(1), "queue": torch.ones(1)}), "holds no backbone: only fc, queue"),
    ],
)
def test_a_file_without_a_backbone_is_named(content: object, message: str, tmp_path: Path):
    torch.save(content, tmp_path / "odd.pth")
    with pytest.raises(ValueError, match=rf"odd\.pth {message}"):
        read_weights(tmp_path / "odd.pth")


def test_a_missing_file_is_named():
    with pytest.raises(FileNotFoundError, match=r"checkpoint none\.pth does not exist"):
        read_weights("none.pth")
