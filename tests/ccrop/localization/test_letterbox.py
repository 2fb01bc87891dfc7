import pytest
import torch

from ccrop.localization import boxes_in_image, cells_inside


def test_cells_with_their_center_on_the_image():
    valid = torch.tensor([[0.0, 0.0, 1.0, 1.0], [0.25, 0.0, 1.0, 0.5], [0.1, 0.2, 0.13, 0.9]])
    inside = cells_inside(valid, (3, 4))
    assert inside[0].all()
    # centers are at 1/6, 3/6, 5/6 and 1/8, 3/8, 5/8, 7/8; the end does not count
    assert inside[1].tolist() == [[False, True, True, True], [False] * 4, [False] * 4]
    assert inside[2].tolist() == [[False] * 4, [True, False, False, False], [True, False, False, False]]


@pytest.mark.parametrize("size", [(1, 1), (20, 16), (7, 80)])
def test_as_many_cells_as_the_image_is_wide_and_high(size):
    valid = torch.rand(50, 4, generator=torch.Generator().manual_seed(0)).view(50, 2, 2).sort(dim=1).values.flatten(1)
    inside = cells_inside(valid, size)
    sides = valid[:, [3, 2]] - valid[:, [1, 0]]
    for axis, length in ((0, size[0]), (1, size[1])):
        cells = inside.any(dim=2 - axis).sum(dim=1)
        known = inside.flatten(1).any(dim=1)
        assert ((cells - sides[:, axis] * length).abs()[known] <= 1).all()


def test_boxes_in_fractions_of_the_image():
    # the image is the middle half of the canvas, in height only
    valid = torch.tensor([[0.0, 0.25, 1.0, 0.75]])
    boxes = torch.tensor([[[0.1, 0.25, 0.3, 0.5, 0.9], [0.0, 0.6, 1.0, 0.9, 0.8], [0.0, 0.0, 0.0, 0.0, 0.0]]])
    expected = [[0.1, 0.0, 0.3, 0.5, 0.9], [0.0, 0.7, 1.0, 1.0, 0.8], [0.0] * 5]
    torch.testing.assert_close(boxes_in_image(boxes, valid), torch.tensor([expected]))


def test_a_canvas_without_padding_changes_no_bit():
    boxes = torch.rand(4, 3, 5, generator=torch.Generator().manual_seed(0))
    assert torch.equal(boxes_in_image(boxes, None), boxes)
    assert torch.equal(boxes_in_image(boxes, torch.tensor([0.0, 0, 1, 1]).expand(4, 4)), boxes)
