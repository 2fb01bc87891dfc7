import pytest
import torch
from torch import nn

from ccrop.backbones import ResNet, ResNetCIFAR


def narrow(cls, depth, **kwargs):
    return cls(depth, base_channels=4, stem_channels=4, **kwargs)


@pytest.mark.parametrize(("depth", "blocks", "expansion"), [(18, 8, 1), (34, 16, 1), (50, 16, 4), (101, 33, 4)])
@pytest.mark.parametrize("cls", [ResNet, ResNetCIFAR])
def test_depths(cls, depth, blocks, expansion):
    model = narrow(cls, depth)
    assert sum(len(getattr(model, name)) for name in model.res_layers) == blocks
    convolutions = [m for name, m in model.named_modules() if isinstance(m, nn.Conv2d) and "downsample" not in name]
    # the last of the depth's layers is the classifier, which a backbone has not
    assert len(convolutions) == depth - 1
    model.eval()
    (features,) = model(torch.randn(1, 3, 32, 32))
    assert features.shape[1] == 32 * expansion


def test_resnet10_has_one_block_of_two_convolutions_a_stage():
    backbone = ResNet(10, base_channels=8, stem_channels=8)
    assert [len(getattr(backbone, f"layer{stage}")) for stage in (1, 2, 3, 4)] == [1] * 4
    convolutions = [name for name, module in backbone.named_modules() if isinstance(module, nn.Conv2d)]
    assert len([name for name in convolutions if "downsample" not in name]) == 9  # the tenth layer is the classifier


def test_resnet18_gives_512_channels_at_stride_32():
    model = ResNet(18)
    (features,) = model(torch.randn(2, 3, 64, 96))
    assert features.shape == (2, 512, 2, 3)
    assert (model.conv1.kernel_size, model.conv1.stride) == ((7, 7), (2, 2))
    # torchvision's 11 689 512 without its classifier of 513 000
    assert sum(parameter.numel() for parameter in model.parameters()) == 11_689_512 - 513_000


def test_cifar_strides_at_32_px():
    model = narrow(ResNetCIFAR, 18, out_indices=(0, 1, 2, 3))
    levels = model(torch.randn(2, 3, 32, 32))
    assert [tuple(level.shape) for level in levels] == [(2, 4, 32, 32), (2, 8, 16, 16), (2, 16, 8, 8), (2, 32, 4, 4)]


def test_cifar_stem():
    model = ResNetCIFAR(18)
    assert model.conv1.weight.shape == (64, 3, 3, 3)
    assert (model.conv1.stride, model.conv1.padding, model.conv1.bias) == ((1, 1), (1, 1), None)
    assert isinstance(model.maxpool, nn.Identity)
    assert sum(parameter.numel() for parameter in model.parameters()) == 11_689_512 - 513_000 - 64 * 3 * (49 - 9)


def test_a_subset_of_levels():
    model = narrow(ResNet, 18, out_indices=(1, 2))
    assert [tuple(level.shape) for level in model(torch.randn(2, 3, 64, 64))] == [(2, 8, 8, 8), (2, 16, 4, 4)]


@pytest.mark.parametrize("cls", [ResNet, ResNetCIFAR])
def test_every_part_is_trained(cls):
    model = narrow(cls, 18)
    model.train()
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    assert len(norms) == 20
    assert all(norm.training for norm in norms)
    before = [norm.running_mean.clone() for norm in norms]
    model(torch.randn(4, 3, 64, 64))[-1].square().sum().backward()
    assert all((norm.running_mean != mean).any() for norm, mean in zip(norms, before, strict=True))
    for name, parameter in model.named_parameters():
        assert parameter.requires_grad, name
        assert parameter.grad is not None, name
    model.eval()
    assert not any(norm.training for norm in norms)


@pytest.mark.parametrize("cls", [ResNet, ResNetCIFAR])
def test_normalizes_over_the_batch_in_training_only(cls):
    model = narrow(cls, 18)
    images = torch.randn(4, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert not torch.allclose(model.train()(images)[-1][:1], model(images[:1])[-1], atol=1e-3)
        torch.testing.assert_close(model.eval()(images)[-1][:1], model(images[:1])[-1], atol=1e-4, rtol=1e-4)


class TestLevels:
    def build(self, **settings) -> ResNet:
        torch.manual_seed(0)
        return ResNet(18, base_channels=8, stem_channels=8, **settings).eval()

    def test_the_levels_are_those_of_the_whole_network(self):
        images = torch.rand(2, 3, 64, 64)
        every, some = self.build(out_indices=(0, 1, 2, 3)), self.build(out_indices=(0, 2))
        expected = every(images)
        assert [level.shape[1:] for level in expected] == [(8, 16, 16), (16, 8, 8), (32, 4, 4), (64, 2, 2)]
        for level, wanted in zip(some(images), (expected[0], expected[2]), strict=True):
            assert torch.equal(level, wanted)

    def test_stages_behind_the_last_level_do_not_run(self, monkeypatch):
        model = self.build(out_indices=(0, 1))
        for stage in (model.layer3, model.layer4):
            monkeypatch.setattr(stage, "forward", lambda _: pytest.fail("a stage ran for nothing"))
        assert len(model(torch.rand(1, 3, 64, 64))) == 2
        assert len(model.res_layers) == 4

    def test_first_levels_lasts_as_long_as_its_context_even_when_that_fails(self, monkeypatch):
        model = self.build(out_indices=(0, 2, 3))
        images = torch.rand(1, 3, 64, 64)
        expected = model(images)
        with monkeypatch.context() as patch, model.first_levels(2):
            patch.setattr(model.layer4, "forward", lambda _: pytest.fail("a stage ran for nothing"))
            assert all(torch.equal(a, b) for a, b in zip(model(images), expected[:2], strict=True))
        with pytest.raises(RuntimeError), model.first_levels(1):
            raise RuntimeError
        assert len(model(images)) == 3
