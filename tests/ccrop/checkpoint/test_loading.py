"""Every tensor of a backbone comes from the weights, or none does."""

from pathlib import Path

import pytest
import timm
import torch
import torchvision
from torch import Tensor, nn

from ccrop.checkpoint import Weights, load_backbone, load_heads, load_start
from ccrop.checkpoint.architectures import looks_like
from ccrop.checkpoint.loading import adapted
from ccrop.compat.mmcv_ext import install_mmcv_ext

install_mmcv_ext()
from mmdet.models.backbones.resnet import ResNet  # noqa: E402

NARROW = dict(base_channels=8, stem_channels=8)


def weights_of(backbone: nn.Module | dict[str, Tensor], **others: Tensor) -> Weights:
    state = backbone.state_dict() if isinstance(backbone, nn.Module) else backbone
    return Weights("some.pth", {name: tensor.clone() for name, tensor in state.items()}, others, "a test")


@pytest.fixture
def resnet() -> ResNet:
    torch.manual_seed(1)
    resnet = ResNet(18, **NARROW)
    for norm in resnet.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.running_mean.normal_()
            norm.num_batches_tracked.fill_(5)
    return resnet


def assert_same(backbone: nn.Module, expected: nn.Module) -> None:
    own, other = backbone.state_dict(), expected.state_dict()
    assert all(torch.equal(tensor, other[name]) for name, tensor in own.items())


def test_a_classifier_stays_behind(resnet: ResNet):
    backbone = ResNet(18, **NARROW)
    weights = weights_of(resnet.state_dict() | {"fc.weight": torch.ones(2, 2), "fc.bias": torch.ones(2)})
    assert load_backbone(backbone, weights) == (120, None, ("fc",))
    assert_same(backbone, resnet)


def test_stages_that_are_cut_off_stay_behind(resnet: ResNet):
    backbone = ResNet(18, **NARROW, num_stages=2, strides=(1, 2), dilations=(1, 1), out_indices=(0, 1))
    assert load_backbone(backbone, weights_of(resnet)).left_behind == ("layer3", "layer4")
    assert_same(backbone, resnet)
    whole = timm.create_model("mobilenetv3_small_050")
    part = nn.ModuleDict(
        dict(conv_stem=nn.Conv2d(3, 16, 3, bias=False), bn1=nn.BatchNorm2d(16), blocks=nn.Sequential(whole.blocks[0]))
    )
    left = load_backbone(part, weights_of(whole)).left_behind
    assert left == (*(f"blocks.{stage}" for stage in range(1, 6)), "conv_head", "classifier")


def test_a_wrapper_of_either_network_does_not_matter(resnet: ResNet):
    for wrap, strip in ((True, False), (False, True), (True, True)):
        backbone = ResNet(18, **NARROW)
        own = nn.ModuleDict(dict(maps=nn.ModuleDict(dict(network=backbone)))) if wrap else backbone
        theirs = {f"timm_model.{name}": tensor for name, tensor in resnet.state_dict().items()}
        assert load_backbone(own, weights_of(theirs if strip else resnet)).tensors == 120
        assert_same(backbone, resnet)


def test_torchvisions_features_are_found_without_the_classifier():
    torch.manual_seed(0)
    network = torchvision.models.squeezenet1_1()
    own = nn.ModuleDict(dict(maps=nn.ModuleDict(dict(features=torchvision.models.squeezenet1_1().features))))
    assert load_backbone(own, weights_of(network)).left_behind == ("classifier",)
    assert_same(own["maps"]["features"], network.features)


def test_counters_of_bn_may_be_missing_or_left_over(resnet: ResNet):
    state = {name: tensor for name, tensor in resnet.state_dict().items() if "num_batches" not in name}
    backbone = ResNet(18, **NARROW)
    load_backbone(backbone, weights_of(state))
    assert torch.equal(backbone.bn1.running_mean, resnet.bn1.running_mean)
    assert backbone.bn1.num_batches_tracked == 0
    plain = nn.ModuleDict(dict(conv1=nn.Conv2d(3, 8, 7, bias=False), bn1=torchvision.ops.FrozenBatchNorm2d(8)))
    some = {name: tensor for name, tensor in resnet.state_dict().items() if not name.startswith("layer")}
    assert load_backbone(plain, weights_of(some)).left_behind == ()
    assert torch.equal(plain["bn1"].running_mean, resnet.bn1.running_mean)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda s: s | {"layer2.9.weight": torch.zeros(1), "layer4.2.conv1.weight": torch.zeros(1)},
            r"\n  2 not in the model: layer2\.9\.weight, layer4\.2\.conv1\.weight$",
        ),
        (
            lambda s: {name: tensor for name, tensor in s.items() if "layer3" not in name},
            r"\n  25 missing in the file: layer3\.0\.conv1\.weight, (layer3\.\S+ ){3}\.\.\.$",
        ),
        (
            lambda s: s | {"conv1.weight": torch.zeros(4, 3, 7, 7)},
            r"\n  1 of a different shape: conv1\.weight \(4, 3, 7, 7\) instead of \(8, 3, 7, 7\)$",
        ),
        (lambda s: s | {"reg_token": torch.zeros(1, 4, 8)}, r"\n  1 not in the model: reg_token$"),
    ],
)
def test_weights_that_do_not_fit_are_listed_and_none_is_loaded(resnet: ResNet, change, message: str):
    backbone = ResNet(18, **NARROW)
    before = {name: tensor.clone() for name, tensor in backbone.state_dict().items()}
    with pytest.raises(ValueError, match=message) as raised:
        load_backbone(backbone, weights_of(change(resnet.state_dict())))
    assert "some.pth does not fit the backbone, and nothing was loaded: the file holds a ResNet" in str(raised.value)
    assert all(torch.equal(tensor, before[name]) for name, tensor in backbone.state_dict().items())


def test_the_error_says_what_network_the_file_holds():
    weights = weights_of(torchvision.models.resnet50())
    with pytest.raises(
        ValueError, match=r"file holds a ResNet-50, the backbone is a ResNet-18\. Choose other w"
    ) as raised:
        load_backbone(ResNet(18), weights)
    assert "or build the file's network with --backbone mmdet:resnet50.\n" in str(raised.value)
    weights = weights_of(ResNet(18, **NARROW))
    with pytest.raises(ValueError, match=r"build the file's network with --backbone or model\.backbone\.\n"):
        load_backbone(ResNet(18), weights)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("resnet34", "a ResNet-34"),
        ("resnet14t", "a ResNet of (1, 1, 1, 1) bottleneck blocks"),
        ("tf_efficientnet_lite0", "an EfficientNet or MobileNet of timm with (1, 2, 2, 3, 3, 4, 1) blocks"),
        ("vit_tiny_patch16_224", "a vision transformer of 12 blocks, width 192, patches of 16 px"),
        ("convnext_atto", "a ConvNeXt of timm with (2, 2, 6, 2) blocks, width 40"),
        ("swin_tiny_patch4_window7_224", "a Swin transformer of (2, 2, 6, 2) blocks"),
        ("vgg11", None),
    ],
)
def test_networks_are_told_apart_by_names_and_shapes(name: str, text: str | None):
    with torch.device("meta"):
        state = timm.create_model(name).state_dict()
    found = looks_like({name: tuple(tensor.shape) for name, tensor in state.items()})
    assert found == text or (name == "resnet14t" and found.startswith(text))


@pytest.mark.parametrize(("have", "want"), [(3, 1), (1, 3), (3, 5), (5, 3), (4, 1)])
def test_equal_channels_activate_filters_of_any_number_of_channels_alike(have: int, want: int):
    gray, weight = torch.rand(2, 1, 9, 9), torch.randn(4, have, 3, 3)
    before = nn.functional.conv2d(gray.expand(-1, have, -1, -1), weight)
    after = nn.functional.conv2d(gray.expand(-1, want, -1, -1), adapted(weight, want))
    torch.testing.assert_close(after, before)


def test_gray_images_get_the_sum_over_the_channels(resnet: ResNet):
    backbone = ResNet(18, in_channels=1, **NARROW)
    assert load_backbone(backbone, weights_of(resnet)).channels == (3, 1)
    expected = resnet.conv1.weight[:, 0] + resnet.conv1.weight[:, 1] + resnet.conv1.weight[:, 2]
    torch.testing.assert_close(backbone.conv1.weight[:, 0], expected)
    assert torch.equal(backbone.layer1[0].conv1.weight, resnet.layer1[0].conv1.weight)
    image = torch.rand(1, 1, 32, 32)
    backbone.eval()
    resnet.eval()
    for gray, color in zip(backbone(image), resnet(image.expand(-1, 3, -1, -1)), strict=True):
        torch.testing.assert_close(gray, color, rtol=1e-4, atol=1e-4)


def test_patches_of_a_transformer_are_adapted_too():
    settings = dict(depth=1, embed_dim=8, num_heads=1, img_size=32)
    vit, other = (timm.create_model("vit_tiny_patch16_224", in_chans=number, **settings) for number in (3, 6))
    assert load_backbone(other, weights_of(vit)).channels == (3, 6)
    mean = vit.patch_embed.proj.weight.sum(dim=1) / 6
    torch.testing.assert_close(other.patch_embed.proj.weight, mean[:, None].expand(-1, 6, -1, -1))


def test_only_a_first_convolution_is_adapted():
    network = nn.Sequential(nn.Linear(4, 3), nn.Conv2d(3, 2, 1))
    other = nn.Sequential(nn.Linear(4, 3), nn.Conv2d(5, 2, 1))
    with pytest.raises(ValueError, match=r"1\.weight \(2, 3, 1, 1\) instead of \(2, 5, 1, 1\)"):
        load_backbone(other, weights_of(network))


class Detector(nn.Module):
    """A backbone with neck and head of a number of classes."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.backbone, self.neck, self.head = nn.Linear(2, 3), nn.Linear(3, 3), nn.Linear(3, classes)
        self.target = nn.Linear(2, 3)


def test_of_a_detector_all_that_fits_comes_too():
    theirs, own = Detector(1), Detector(5)
    before = own.head.weight.clone()
    others = {name: tensor for name, tensor in theirs.state_dict().items() if not name.startswith("backbone")}
    weights = weights_of(theirs.backbone, **others, **{"projector.weight": torch.ones(1)})
    assert load_heads(own, weights) == (2, ["head.bias", "head.weight"])
    assert torch.equal(own.neck.weight, theirs.neck.weight)
    assert torch.equal(own.head.weight, before)
    assert not torch.equal(own.target.weight, theirs.target.weight)
    assert load_start(own, weights) == (
        "backbone from some.pth (a test), all 2 tensors of it; "
        "2 tensors of the neck and heads as well, not head.bias, head.weight, which are of a different shape; "
        "left behind: target, projector"
    )
    assert torch.equal(own.backbone.weight, theirs.backbone.weight)


def test_the_log_lists_layers_of_a_head_that_only_one_side_has():
    """Such as the box tower of a head with separate towers."""
    one, two = Detector(2), Detector(2)
    one.head, two.head = nn.ModuleDict(), nn.ModuleDict()
    for name in ("tower", "box_tower"):
        two.head[name] = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))
    one.head["tower"] = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))

    def started(model: nn.Module, source: nn.Module) -> str:
        others = {name: each for name, each in source.state_dict().items() if name.split(".")[0] in ("neck", "head")}
        return load_start(model, weights_of(source.backbone, **others)).partition("as well")[2]

    assert started(one, one) == ""
    assert started(two, one) == "; random, because the file lacks them: head.box_tower"
    assert started(one, two) == "; left behind: head.box_tower"


def test_the_log_says_how_the_first_convolution_was_adapted(resnet: ResNet, tmp_path: Path):
    model = nn.Module()
    model.backbone = ResNet(18, in_channels=5, **NARROW)
    text = load_start(model, Weights("a.pth", resnet.state_dict(), {}, "a test", has_boxes=True))
    assert (
        "first convolution of 5 channels, each the sum of its 3 / 5; its boxes belong to the data of that run" in text
    )
