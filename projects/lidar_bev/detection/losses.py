"""The loss of a CenterPoint head's boxes, on whole batches, without a transfer to the host."""

from torch import Tensor


def center_l1_loss(maps: Tensor, cells: Tensor, regression: Tensor, counted: Tensor) -> Tensor:
    """Mean over centers of the absolute differences in their cells, summed over channels.

    Args:
        maps: ``(N, D, H, W)``.
        cells, counted: ``(M,)``, see :class:`.CenterTargets`; centers that do not count are left out.
        regression: ``(M, D)``.
    """
    difference = at_cells(maps, cells) - regression
    return (difference.abs() * counted[:, None]).sum() / counted.sum().clamp(min=1)


def at_cells(maps: Tensor, cells: Tensor) -> Tensor:
    """Values ``(M, D)`` of maps ``(N, D, H, W)`` in cells ``(M,)`` counted through maps, rows and columns."""
    area = maps.shape[2] * maps.shape[3]
    return maps.flatten(2)[cells // area, :, cells % area]
