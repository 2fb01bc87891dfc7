"""Areas and overlaps, by hand."""

import torch

from ccrop.views import rectangles


def test_by_hand():
    first = torch.tensor([[0.0, 0, 4, 2], [0, 0, 1, 1], [3, 3, 1, 1]])
    second = torch.tensor([[2.0, 1, 6, 5], [1, 0, 2, 1], [0, 0, 9, 9]])
    assert rectangles.area(first).tolist() == [8, 1, 0]
    assert rectangles.intersection(first, second).tolist() == [2, 0, 0]
    torch.testing.assert_close(rectangles.iou(first, second), torch.tensor([2 / 22, 0, 0]))


def test_shapes_broadcast():
    boxes = torch.tensor([[0.0, 0, 2, 2], [1, 1, 3, 3]])
    assert rectangles.intersection(boxes[:, None], boxes[None]).tolist() == [[4, 1], [1, 4]]
