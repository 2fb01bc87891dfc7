"""The boxes' loss against its formula in plain Python."""

import pytest
import torch

from ccrop.projects.lidar_bev.detection.losses import at_cells, center_l1_loss


def test_l1_loss_counts_centers_that_count():
    maps = torch.arange(2 * 3 * 2 * 2, dtype=torch.float32).view(2, 3, 2, 2)
    cells = torch.tensor([0, 7, 5])  # sweep 0 row 0 column 0, sweep 1 row 1 column 1, sweep 1 row 0 column 1
    assert at_cells(maps, cells).tolist() == [[0, 4, 8], [15, 19, 23], [13, 17, 21]]
    regression = torch.tensor([[1.0, 4, 8], [15, 17, 20], [99, 99, 99]])
    loss = center_l1_loss(maps, cells, regression, torch.tensor([True, True, False]))
    assert loss.item() == pytest.approx((1 + 2 + 3) / 2)
    assert center_l1_loss(maps, cells[:0], regression[:0], torch.zeros(0, dtype=torch.bool)).item() == 0
