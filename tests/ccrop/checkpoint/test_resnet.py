import pytest
import torch
import torchvision

from ccrop.checkpoint.resnet import ResNetArchitecture


@pytest.fixture(params=[18, 34, 50, 101, 152])
def torchvision_resnet(request):
    """Depth and state dict, classifier left out, without memory behind the tensors."""
    with torch.device("meta"):
        state_dict = getattr(torchvision.models, f"resnet{request.param}")().state_dict()
    return request.param, {name: tensor for name, tensor in state_dict.items() if not name.startswith("fc.")}


@pytest.fixture
def resnet18():
    return {name: torch.zeros(shape) for name, shape in ResNetArchitecture(18, width=8).shapes().items()}


def test_shapes_are_torchvisions(torchvision_resnet):
    depth, state_dict = torchvision_resnet
    assert ResNetArchitecture(depth).shapes() == {name: tuple(tensor.shape) for name, tensor in state_dict.items()}


def test_deduces_the_depth(torchvision_resnet):
    depth, state_dict = torchvision_resnet
    assert ResNetArchitecture.from_state_dict(state_dict) == ResNetArchitecture(
        depth, width=64, in_channels=3, stem_kernel=7
    )


def test_deduces_width_and_stem():
    odd = ResNetArchitecture(50, width=24, in_channels=5, stem_kernel=3)
    state_dict = {name: torch.empty(shape, device="meta") for name, shape in odd.shapes().items()}
    assert ResNetArchitecture.from_state_dict(state_dict) == odd


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.pop("conv1.weight"), "no convolution conv1"),
        (lambda d: d.update({"layer3.2.conv1.weight": torch.zeros(1)}), r"\(2, 2, 3, 2\) basic blocks"),
        (lambda d: d.pop("layer2.0.bn1.running_mean"), r"1 missing: layer2\.0\.bn1\.running_mean"),
        (lambda d: d.update({"layer2.0.gate": torch.zeros(1)}), r"1 unexpected: layer2\.0\.gate"),
        (lambda d: d.update({"bn1.bias": torch.zeros(9)}), r"1 of a different shape: bn1\.bias"),
    ],
)
def test_names_what_is_not_a_resnet(resnet18, change, message):
    change(resnet18)
    with pytest.raises(ValueError, match=message):
        ResNetArchitecture.from_state_dict(resnet18)
