"""Center heatmaps of clusters in addition to a method's loss: a dense target for where objects are."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ccrop.localization.gaussian_heatmaps import center_heatmaps, gaussian_radius
from ccrop.models.focal_loss import PRIOR, gaussian_focal_loss


class CenterHeatmapLoss(nn.Module):
    """Gaussian focal loss of one heatmap with a peak at the center of each cluster, on a level of the backbone.

    Windows placed differently around one cluster are a pair, so contrast teaches features that do not depend on where
    in a window an object is. That is exactly what a detector needs.

    Args:
        in_channels: of the maps that the backbone gives.
        channels: of the hidden map.
        level: which of these maps is used.
        weight: in addition to the method's loss.
        min_radius: of the Gaussians, in cells.

    Raises:
        ValueError: the backbone gives no such map.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        channels: int = 64,
        level: int = 0,
        weight: float = 1.0,
        min_radius: int = 2,
    ) -> None:
        super().__init__()
        if not 0 <= level < len(in_channels):
            raise ValueError(
                f"the heatmap uses map {level}, counted from 0, but the backbone gives {len(in_channels)}: set "
                "model.regions.heatmap.level or model.backbone.out_indices"
            )
        self.level = level
        self.weight = weight
        self.min_radius = min_radius
        self.head = nn.Sequential(
            nn.Conv2d(in_channels[level], channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
            last := nn.Conv2d(channels, 1, 3, padding=1),
        )
        assert last.bias is not None
        nn.init.constant_(last.bias, PRIOR)

    def forward(self, maps: Sequence[Tensor], boxes: Tensor, counts: Tensor, transforms: Tensor) -> Tensor:
        """The weighted loss of a view.

        Args:
            maps: the backbone's, ``(N, C_i, h_i, w_i)``.
            boxes, counts: ``(N, K, 5)`` and ``(N,)``, see :meth:`ccrop.models.RegionPairs.windows`.
            transforms: ``(N, 2, 3)`` to fractions of the view.
        """
        logits = self.head(maps[self.level])
        targets = cluster_heatmaps(boxes, counts, transforms, logits.shape[2:], self.min_radius)
        return self.weight * gaussian_focal_loss(logits, targets)


@torch.no_grad()
def cluster_heatmaps(
    boxes: Tensor, counts: Tensor, transforms: Tensor, shape: Sequence[int], min_radius: int = 2
) -> Tensor:
    """Heatmaps ``(N, 1, h, w)`` of the clusters that a view shows, see :func:`.center_heatmaps`.

    Args:
        boxes, counts, transforms: see :class:`CenterHeatmapLoss`.
        shape: h and w of the view's map.
    """
    num, max_boxes = boxes.shape[:2]
    height, width = shape
    to_cells = torch.stack([transforms[:, 0].float() * width, transforms[:, 1].float() * height], dim=1)
    middles = (boxes[..., :2] + boxes[..., 2:4]) / 2
    centers = torch.einsum("nij,nkj->nki", to_cells[..., :2], middles.float()) + to_cells[:, None, :, 2]
    # a side keeps its length when the view is turned
    sides = (boxes[..., 2:4] - boxes[..., :2]) * to_cells[..., :2].norm(dim=1)[:, None]
    exists = torch.arange(max_boxes, device=boxes.device) < counts[:, None]
    image = torch.arange(num, device=boxes.device).repeat_interleave(max_boxes)
    return center_heatmaps(
        centers.where(exists[..., None], -1.0).flatten(0, 1),
        gaussian_radius(sides, min_radius=min_radius).flatten(),
        image,
        torch.zeros_like(image),
        (num, 1, height, width),
    )
