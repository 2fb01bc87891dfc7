import pytest
import torch

from ccrop.localization import FixedBox, feature_heatmap


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_every_image_gets_the_box(dtype):
    boxes, counts = FixedBox()(torch.zeros(3, 2, 7, 7, dtype=dtype), (224, 224))
    assert boxes.tolist() == [[[0.25, 0.25, 0.75, 0.75, 1.0]]] * 3
    assert boxes.dtype == torch.float32
    assert counts.tolist() == [1, 1, 1]
    assert counts.dtype == torch.long


def test_another_box():
    boxes, _ = FixedBox((0.0, 0.5, 0.125, 1.0))(torch.zeros(1, 2, 7, 7), (224, 224))
    assert boxes.tolist() == [[[0.0, 0.5, 0.125, 1.0, 1.0]]]


def test_features_are_only_counted():
    levels = (torch.full((2, 1, 8, 8), torch.nan), torch.full((2, 1, 4, 4), torch.inf))
    for features in (levels, levels[-1]):
        boxes, counts = FixedBox()(features, (32, 48))
        assert boxes.tolist() == [[[0.25, 0.25, 0.75, 0.75, 1.0]]] * 2
        assert counts.tolist() == [1, 1]


def test_lies_on_the_device_of_the_features():
    boxes, counts = FixedBox()(torch.empty(2, 1, 4, 4, device="meta"), (32, 32))
    assert boxes.is_meta
    assert counts.is_meta


def test_the_box_is_the_same_share_of_a_padded_image():
    valid = torch.tensor([[0.0, 0.25, 1.0, 0.75]])
    boxes, _ = FixedBox()(torch.zeros(1, 2, 7, 7), (224, 224), valid)
    assert boxes.tolist() == [[[0.25, 0.25, 0.75, 0.75, 1.0]]]


def test_pictures_show_where_the_backbone_responds():
    features = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(0))
    assert torch.equal(FixedBox().heatmap((torch.zeros(2, 1, 8, 10), features)), feature_heatmap(features))


@pytest.mark.parametrize("box", [(0.5, 0, 0.5, 1), (0, 0.7, 1, 0.3), (-0.1, 0, 1, 1), (0, 0, 1, 1.1)])
def test_refuses_what_is_no_box(box):
    with pytest.raises(ValueError, match="box must be x0, y0, x1, y1"):
        FixedBox(box)
