"""Every weight of a pretrained backbone finds its place, or the run stops with the list."""

import pytest
import torch
import torchvision
from mmdet.models.backbones.resnet import ResNet

from projects.detection_transfer.backbone import backbone_weights, load_backbone


def save(state: dict, file) -> str:
    torch.save(dict(state_dict=state), file)
    return str(file)


@pytest.fixture
def pretrained() -> ResNet:
    torch.manual_seed(1)
    return ResNet(18, base_channels=8, stem_channels=8)


def checkpoint(pretrained: ResNet) -> dict:
    state = {f"backbone.{name}": tensor for name, tensor in pretrained.state_dict().items()}
    return state | {"projector.0.weight": torch.zeros(2, 2)}


def test_all_weights_arrive_and_the_heads_stay_behind(pretrained: ResNet, tmp_path):
    file = save(checkpoint(pretrained), tmp_path / "epoch_1.pth")
    backbone = ResNet(18, base_channels=8, stem_channels=8)
    assert load_backbone(backbone, file) == []
    for name, tensor in backbone.state_dict().items():
        assert torch.equal(tensor, pretrained.state_dict()[name]), name


def test_stages_that_the_detector_has_not_stay_behind_by_name(pretrained: ResNet, tmp_path):
    file = save(checkpoint(pretrained), tmp_path / "epoch_1.pth")
    backbone = ResNet(
        18,
        base_channels=8,
        stem_channels=8,
        num_stages=3,
        strides=(1, 2, 2),
        dilations=(1, 1, 1),
        out_indices=(0, 1, 2),
    )
    assert load_backbone(backbone, file) == ["layer4"]
    assert torch.equal(backbone.layer3[1].conv2.weight, pretrained.layer3[1].conv2.weight)


def test_torchvision_state_dict(tmp_path):
    torch.manual_seed(2)
    model = torchvision.models.resnet18()
    torch.save(model.state_dict(), tmp_path / "resnet18.pth")
    backbone = ResNet(18)
    assert load_backbone(backbone, tmp_path / "resnet18.pth") == []
    assert torch.equal(backbone.layer4[1].conv2.weight, model.layer4[1].conv2.weight)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state | {"backbone.layer2.9.weight": torch.zeros(1)}, r"without a place.*layer2\.9\.weight"),
        (lambda state: {k: v for k, v in state.items() if "layer3.0.conv1" not in k}, r"missing.*layer3\.0\.conv1"),
        (lambda state: state | {"backbone.conv1.weight": torch.zeros(4, 3, 7, 7)}, r"another shape: conv1\.weight"),
        (lambda state: {"projector.weight": torch.zeros(1)}, "holds no backbone"),
    ],
)
def test_a_backbone_that_does_not_fit_stops_with_the_list(pretrained: ResNet, tmp_path, change, message):
    file = save(change(checkpoint(pretrained)), tmp_path / "epoch_1.pth")
    backbone = ResNet(18, base_channels=8, stem_channels=8)
    before = backbone.conv1.weight.clone()
    with pytest.raises(ValueError, match=message):
        load_backbone(backbone, file)
    assert torch.equal(backbone.conv1.weight, before)


def test_no_such_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.pth"):
        backbone_weights(tmp_path / "none.pth")
