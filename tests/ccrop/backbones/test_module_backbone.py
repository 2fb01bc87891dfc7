"""Any module becomes a backbone: what a pass over a blank image says of it."""

import pytest
import torch
from torch import Tensor, nn

from ccrop.backbones import ModuleBackbone


class Gives(nn.Module):
    """Gives what it is told to make of an image."""

    def __init__(self, give) -> None:
        super().__init__()
        self.give = give

    def forward(self, images: Tensor):
        return self.give(images)


def pooled(images: Tensor, stride: int) -> Tensor:
    return nn.functional.avg_pool2d(images, stride)


@pytest.mark.parametrize(
    ("give", "strides"),
    [
        (lambda images: pooled(images, 8), (8,)),
        (lambda images: [pooled(images, 16), pooled(images, 4)], (4, 16)),
        (lambda images: {"b": pooled(images, 32), "a": pooled(images, 2)}, (2, 32)),
        (lambda images: nn.functional.conv2d(images, torch.ones(1, 3, 7, 7), stride=4), (4,)),  # 55 cells for 224 px
    ],
)
def test_one_map_or_several_in_any_order(give, strides: tuple[int, ...]):
    backbone = ModuleBackbone(Gives(give))
    assert backbone.strides == strides
    images = torch.rand(1, 3, 64, 64)
    sides = [level.shape[2] for level in backbone(images)]
    assert sides == sorted(sides, reverse=True)


def test_of_two_maps_of_a_size_the_last_counts():
    backbone = ModuleBackbone(Gives(lambda images: (pooled(images, 4), 2 * pooled(images, 4))))
    images = torch.rand(1, 3, 64, 64)
    (level,) = backbone(images)
    assert torch.equal(level, 2 * pooled(images, 4))


@pytest.mark.parametrize(
    ("give", "shapes"),
    [
        (lambda images: images.mean(dim=(2, 3)), r"\[\(1, 3\)\]"),
        (lambda images: [pooled(images, 4), "more"], r"\[\(1, 3, 56, 56\), 'str'\]"),
        (lambda images: [], "nothing"),
    ],
)
def test_what_is_no_map_is_named(give, shapes: str):
    with pytest.raises(ValueError, match=f"Gives is not a backbone: it must give a feature map .*; it gives {shapes}"):
        ModuleBackbone(Gives(give))


def test_the_blank_image_leaves_no_trace():
    module = nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 4, 8, stride=8), nn.BatchNorm2d(4).eval())
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    ModuleBackbone(module)
    assert [part.training for part in module] == [True, True, False]
    assert all(torch.equal(before[name], tensor) for name, tensor in module.state_dict().items())
