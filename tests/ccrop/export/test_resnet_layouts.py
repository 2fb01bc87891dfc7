import numpy as np
import pytest
import timm
import torch
import torchvision

from ccrop.checkpoint.resnet import ResNetArchitecture
from ccrop.compat.mmcv_ext import install_mmcv_ext
from ccrop.export import export_backbone
from ccrop.export.resnet_layouts import FRAMEWORKS, to_detectron2

install_mmcv_ext()
from mmdet.models.backbones import resnet as mmdet_resnet  # noqa: E402

BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}


def trained(depth, width=64):
    """mmdet's ResNet in eval mode, with the statistics of a norm that has seen images."""
    torch.manual_seed(depth)
    resnet = mmdet_resnet.ResNet(depth, base_channels=width, norm_eval=False)
    resnet.eval()
    for norm in resnet.modules():
        if isinstance(norm, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(norm.weight, 0.5, 1.5)
            torch.nn.init.normal_(norm.bias, std=0.2)
            norm.running_mean.normal_(std=0.2)
            norm.running_var.uniform_(0.5, 1.5)
            norm.num_batches_tracked.fill_(7)
    return resnet


def save(resnet, path):
    heads = {"projector.0.weight": torch.rand(4, 4), "predictor.0.weight": torch.rand(4, 4)}
    backbone = {f"backbone.{name}": tensor for name, tensor in resnet.state_dict().items()}
    torch.save({"state_dict": backbone | heads}, path)
    return path


@pytest.fixture(scope="module", params=[18, 50])
def pretrained(request, tmp_path_factory):
    """Depth, checkpoint, images (N, 3, H, W) and their last feature map under the pretrained backbone."""
    resnet = trained(request.param)
    images = torch.randn(2, 3, 64, 96)
    with torch.no_grad():
        features = resnet(images)[-1]
    assert features.std() > 0.1
    return request.param, save(resnet, tmp_path_factory.mktemp("run") / "last.pth"), images, features


def assert_same_features(model, images, features):
    with torch.no_grad():
        torch.testing.assert_close(model(images), features, rtol=1e-5, atol=1e-5)


def test_torchvision(pretrained, tmp_path):
    depth, checkpoint, images, features = pretrained
    export_backbone(checkpoint, "torchvision", tmp_path / "out.pth")
    model = getattr(torchvision.models, f"resnet{depth}")()
    missing, unexpected = model.load_state_dict(torch.load(tmp_path / "out.pth", weights_only=True), strict=False)
    assert (missing, unexpected) == (["fc.weight", "fc.bias"], [])
    assert_same_features(torch.nn.Sequential(*list(model.children())[:-2]).eval(), images, features)


def test_timm(pretrained, tmp_path):
    depth, checkpoint, images, features = pretrained
    file = tmp_path / ("out.safetensors" if depth == 18 else "out.pth")
    export_backbone(checkpoint, "timm", file)
    # Without a classifier, timm loads strictly.
    model = timm.create_model(f"resnet{depth}", num_classes=0, global_pool="", checkpoint_path=file)
    assert_same_features(model.eval(), images, features)


def test_mmdet(pretrained, tmp_path):
    depth, checkpoint, images, features = pretrained
    out = tmp_path / "out.pth"
    export_backbone(checkpoint, "mmdet", out)
    init_cfg = {"type": "Pretrained", "checkpoint": str(out), "prefix": "backbone."}
    model = mmdet_resnet.ResNet(depth, style="pytorch", init_cfg=init_cfg)
    model.init_weights()
    source = torch.load(checkpoint, weights_only=True)["state_dict"]
    expected = {name.removeprefix("backbone."): source[name] for name in source if name.startswith("backbone.")}
    torch.testing.assert_close(dict(model.state_dict()), expected, rtol=0, atol=0)
    model.eval()
    assert_same_features(lambda images: model(images)[-1], images, features)


@pytest.mark.parametrize(("depth", "width"), [(18, 64), (34, 64), (50, 8), (101, 8)])
def test_detectron2(depth, width):
    source = trained(depth, width).state_dict()
    pairs = {"stem.conv1": ("conv1", "bn1")}
    for stage, blocks in zip((2, 3, 4, 5), BLOCKS[depth], strict=True):
        for block in range(blocks):
            theirs, ours = f"res{stage}.{block}", f"layer{stage - 1}.{block}"
            for conv in (1, 2) if depth < 50 else (1, 2, 3):
                pairs[f"{theirs}.conv{conv}"] = (f"{ours}.conv{conv}", f"{ours}.bn{conv}")
            if block == 0 and (stage > 2 or depth >= 50):
                pairs[f"{theirs}.shortcut"] = (f"{ours}.downsample.0", f"{ours}.downsample.1")
    expected = {f"{theirs}.weight": source[f"{conv}.weight"] for theirs, (conv, _) in pairs.items()}
    for theirs, (_, norm) in pairs.items():
        for name in ("weight", "bias", "running_mean", "running_var"):
            expected[f"{theirs}.norm.{name}"] = source[f"{norm}.{name}"]

    exported = to_detectron2(ResNetArchitecture.from_state_dict(source), source)
    assert (exported["__author__"], exported["matching_heuristics"]) == ("ccrop", True)
    assert exported["model"].keys() == expected.keys()
    for name, array in exported["model"].items():
        assert isinstance(array, np.ndarray)
        np.testing.assert_array_equal(array, expected[name].numpy())


def test_mmdet_holds_other_widths(tmp_path):
    narrow = trained(50, width=8)
    export_backbone(save(narrow, tmp_path / "last.pth"), "mmdet", tmp_path / "out.pth")
    init_cfg = {"type": "Pretrained", "checkpoint": str(tmp_path / "out.pth"), "prefix": "backbone."}
    model = mmdet_resnet.ResNet(50, base_channels=8, init_cfg=init_cfg)
    model.init_weights()
    torch.testing.assert_close(dict(model.state_dict()), dict(narrow.state_dict()), rtol=0, atol=0)


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize(
    ("resnet", "reason"),
    [
        (ResNetArchitecture(18, stem_kernel=3), "first convolution is 3x3.*7x7"),
        (ResNetArchitecture(18, in_channels=5), "takes 5 channels"),
    ],
)
def test_stems_that_no_framework_holds(framework, resnet, reason):
    with pytest.raises(ValueError, match=f"{framework} cannot hold this backbone: .*{reason}"):
        FRAMEWORKS[framework](resnet, {})


@pytest.mark.parametrize(("framework", "depth"), [("torchvision", 50), ("timm", 50), ("detectron2", 18)])
def test_widths_that_a_framework_cannot_hold(framework, depth):
    with pytest.raises(ValueError, match=f"{framework} cannot hold this backbone of width 32"):
        FRAMEWORKS[framework](ResNetArchitecture(depth, width=32), {})
