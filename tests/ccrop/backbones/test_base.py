"""What holds for every backbone, whatever its library: one contract, kept by what a forward pass gives."""

import copy
import sys
from subprocess import run

import pytest
import torch
from jobs import environment
from torch import Tensor, nn

from ccrop.backbones import Backbone, ModuleBackbone, TimmBackbone, TorchvisionBackbone, build_backbone
from ccrop.backbones.mmdet_resnet import ResNet, ResNetCIFAR


class Pyramid(nn.Module):
    """A user's own network: two maps, the coarser one first, by name."""

    def __init__(self) -> None:
        super().__init__()
        self.fine, self.coarse = nn.Conv2d(3, 5, 4, stride=4), nn.Conv2d(5, 7, 2, stride=2)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        fine = self.fine(images)
        return dict(coarse=self.coarse(fine), fine=fine)


def narrow_resnet(cls: type[ResNet]) -> ResNet:
    return cls(18, base_channels=8, stem_channels=8, out_indices=(0, 1, 2, 3))


# what is built, and the (channels, stride) of every level
BACKBONES = {
    "mmdet ResNet": (lambda: narrow_resnet(ResNet), [(8, 4), (16, 8), (32, 16), (64, 32)]),
    "mmdet ResNet for 32 px": (lambda: narrow_resnet(ResNetCIFAR), [(8, 1), (16, 2), (32, 4), (64, 8)]),
    "timm ResNet": (
        lambda: TimmBackbone("resnet18", channels=(8, 16, 32, 64), stem_width=8),
        [(8, 4), (16, 8), (32, 16), (64, 32)],
    ),
    "EfficientNet-Lite0": (
        lambda: TimmBackbone("tf_efficientnet_lite0"),
        [(24, 4), (40, 8), (112, 16), (320, 32)],
    ),
    "ConvNeXt": (
        lambda: TimmBackbone("convnext_atto", depths=(1, 1, 1, 1), dims=(8, 16, 24, 32)),
        [(8, 4), (16, 8), (24, 16), (32, 32)],
    ),
    "ViT": (lambda: TimmBackbone("vit_tiny_patch16_224", depth=2, embed_dim=24), [(24, 16)]),
    "Swin": (
        lambda: TimmBackbone("swin_tiny_patch4_window7_224", depths=(1, 1, 1, 1), embed_dim=12, num_heads=(1, 1, 2, 2)),
        [(12, 4), (24, 8), (48, 16), (96, 32)],
    ),
    "torchvision ResNet": (
        lambda: TorchvisionBackbone("resnet18"),
        [(64, 4), (128, 8), (256, 16), (512, 32)],
    ),
    "a module": (lambda: ModuleBackbone(Pyramid()), [(5, 4), (7, 8)]),
}
every = pytest.mark.parametrize("name", BACKBONES)


@pytest.fixture(scope="module")
def images() -> Tensor:
    return torch.rand(2, 3, 64, 96, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def built() -> dict[str, Backbone]:
    torch.manual_seed(0)
    return {name: build().eval() for name, (build, _) in BACKBONES.items()}


@every
@torch.no_grad()
def test_maps_have_the_channels_and_the_strides_that_are_stated(built: dict[str, Backbone], images: Tensor, name: str):
    backbone, levels = built[name], BACKBONES[name][1]
    assert isinstance(backbone, Backbone)
    assert list(backbone.levels) == levels
    assert list(zip(backbone.channels, backbone.strides, strict=True)) == levels
    shapes = [tuple(each.shape) for each in backbone(images)]
    assert shapes == [(2, channels, 64 // stride, 96 // stride) for channels, stride in levels]


@every
@torch.no_grad()
def test_maps_can_be_chosen_at_any_time(built: dict[str, Backbone], images: Tensor, name: str):
    backbone = built[name]
    before, every_map = backbone.out_indices, backbone(images)
    backbone.out_indices = (len(every_map) - 1,)
    assert backbone.strides == (BACKBONES[name][1][-1][1],)
    (last,) = backbone(images)
    backbone.out_indices = before
    assert torch.equal(last, every_map[-1])


def called(backbone: nn.Module, images: Tensor) -> tuple[set[str], tuple[Tensor, ...]]:
    """The modules that a forward pass calls, and its maps."""
    names: set[str] = set()
    hooks = [
        module.register_forward_hook(lambda *_, name=name: names.add(name)) for name, module in backbone.named_modules()
    ]
    maps = backbone(images)
    for hook in hooks:
        hook.remove()
    return names, maps


@every
@torch.no_grad()
def test_the_first_levels_alone_are_the_same_and_cost_less(built: dict[str, Backbone], images: Tensor, name: str):
    backbone = built[name]
    modules, maps = called(backbone, images)
    with backbone.first_levels(1):
        fewer, (first,) = called(backbone, images)
    assert torch.equal(first, maps[0])
    with pytest.raises(RuntimeError), backbone.first_levels(1):
        raise RuntimeError
    assert len(backbone(images)) == len(maps), "the context has ended"
    one_level_or_unknown = len(maps) == 1 or isinstance(backbone, ModuleBackbone)
    assert fewer == modules if one_level_or_unknown else fewer < modules


@every
@torch.no_grad()
def test_a_copy_is_a_backbone_of_its_own(built: dict[str, Backbone], images: Tensor, name: str):
    backbone = built[name]
    backbone.out_indices, before = backbone.out_indices[:1], backbone.out_indices
    twin = copy.deepcopy(backbone)
    backbone.out_indices = twin.out_indices = before
    expected = backbone(images)
    for weight in twin.parameters():
        weight.zero_()
    assert twin.state_dict().keys() == backbone.state_dict().keys()
    assert all(torch.equal(one, other) for one, other in zip(backbone(images), expected, strict=True))
    assert not torch.equal(twin(images)[-1], expected[-1])


@pytest.mark.parametrize("build", [
    lambda: ResNet(18, in_channels=5, base_channels=8, stem_channels=8),
    lambda: TimmBackbone("convnext_atto", in_channels=5, depths=(1, 1, 1, 1), dims=(8, 16, 24, 32)),
    lambda: TorchvisionBackbone("mobilenet_v3_small", in_channels=5),
    lambda: ModuleBackbone(nn.Conv2d(5, 4, 8, stride=8), in_channels=5),
])  # fmt: skip
def test_images_of_any_number_of_channels(build):
    backbone = build()
    assert backbone.in_channels == 5
    assert backbone.mean is backbone.std is None, "nobody published weights for such images"
    assert backbone(torch.rand(2, 5, 64, 64))[-1].shape[2] == 64 // backbone.strides[-1]


def test_normalization_is_that_of_the_published_weights(built: dict[str, Backbone]):
    imagenet = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    for name in ("mmdet ResNet", "timm ResNet", "torchvision ResNet", "ConvNeXt"):
        assert (built[name].mean, built[name].std) == imagenet
    assert (built["ViT"].mean, built["ViT"].std) == ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    assert built["a module"].mean is None


@pytest.mark.parametrize("indices", [(), (1, 0), (0, 0), (-1,), (0, 4)])
def test_levels_that_do_not_exist_are_named(indices: tuple[int, ...]):
    message = r"out_indices of .* must be ascending level indices, 0 to 3; got \["
    for build in (
        lambda: ResNet(18, base_channels=8, stem_channels=8, out_indices=indices),
        lambda: TimmBackbone("convnext_atto", out_indices=indices, depths=(1, 1, 1, 1), dims=(8, 16, 24, 32)),
    ):
        with pytest.raises(ValueError, match=message):
            build()


def test_a_library_is_imported_when_it_is_used():
    program = (
        "import sys; from ccrop.backbones import build_backbone; from ccrop.models import SimSiam\n"
        "assert not {'timm', 'mmdet'} & sys.modules.keys()\n"
        "SimSiam(dict(type='ccrop.backbones.TimmBackbone', name='test_convnext'), 8, 4)\n"
        "assert 'timm' in sys.modules and 'mmdet' not in sys.modules"
    )
    done = run([sys.executable, "-c", program], env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_builder_takes_names_configs_and_modules():
    assert build_backbone("timm:test_vit").strides == (16,)
    assert build_backbone(dict(type=ResNet, depth=18, base_channels=8)).channels == (64,)
    module = Pyramid()
    assert build_backbone(module).network is module
    backbone = ModuleBackbone(module)
    assert build_backbone(backbone) is backbone


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("resnet18", "must be timm:NAME, torchvision:NAME or mmdet:resnetDEPTH; got 'resnet18'"),
        ("keras:resnet18", "got 'keras:resnet18'"),
        ("timm:convnext_tinny", r"timm has no network 'convnext_tinny': similar names are convnext_tiny\b"),
        ("torchvision:resnet19", r"torchvision has no network 'resnet19': similar names are .*resnet18"),
        ("mmdet:resnet51", r"mmdet has no network 'resnet51': similar names are .*resnet50"),
        ("timm:zzzz", "timm has no network 'zzzz': no name is similar"),
    ],
)
def test_an_unknown_name_is_answered_by_those_that_are_near(name: str, message: str):
    with pytest.raises(ValueError, match=message):
        build_backbone(name)
