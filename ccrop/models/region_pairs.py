"""Windows of feature maps instead of whole views: any Siamese method learns from many objects in one pass."""

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.registry import MODELS, TASK_UTILS
from torch import Tensor, nn

from ccrop.models.center_heatmap_loss import CenterHeatmapLoss
from ccrop.views.centers import BetaCenters, GaussianCenters
from ccrop.views.windows import WindowNoise, pooled_windows, window_pairs


class RegionPairs(nn.Module):
    """Pools windows around the clusters that all views show, and around background, from each view's maps.

    It replaces global pooling: the heads and the loss of a method get one vector per window, so that row
    i of one view and row i of the other are a pair. Works on any maps ``(N, C, H, W)`` located by a 2x3
    transform, both images and BEV grids.

    Args:
        channels: of the maps that the backbone gives.
        levels: which of these maps are pooled; their channels are concatenated.
        num_objects: windows around clusters per image; without a cluster, these too are background.
        num_background: windows around background an image.
        alpha: Beta parameter of a window's center in its box: below 1 suppresses the middle.
        centers: config of another distribution, :class:`ccrop.views.GaussianCenters`, instead of ``alpha``.
        scale, offset, min_side, min_visible: see :func:`ccrop.views.window_pairs`.
        whole_views: each whole view is one more pair besides its windows, with the same heads and loss.
        heatmap: config of :class:`ccrop.models.CenterHeatmapLoss`, a loss in addition to the method's; None for windows
            alone.

    Attributes:
        out_channels: of a pooled window.

    Raises:
        ValueError: the backbone gives no such map, or a setting is out of its range.
    """

    def __init__(
        self,
        channels: Sequence[int],
        levels: Sequence[int] = (0, 1),
        num_objects: int = 8,
        num_background: int = 8,
        alpha: float = 0.6,
        scale: tuple[float, float] = (1.0, 2.0),
        offset: float = 0.5,
        min_side: float = 0.1,
        min_visible: float = 0.5,
        centers: dict[str, Any] | None = None,
        whole_views: bool = False,
        heatmap: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        if num_objects < 0 or num_background < 0 or num_objects + num_background == 0:
            raise ValueError(
                f"there must be at least one window, got num_objects={num_objects}, num_background={num_background}"
            )
        if not 0 < scale[0] <= scale[1]:
            raise ValueError(f"scale must satisfy 0 < low <= high, got {tuple(scale)}")
        if not all(0 <= level < len(channels) for level in levels):
            raise ValueError(
                f"regions are pooled from maps {list(levels)}, counted from 0, but the backbone gives {len(channels)}: "
                "set other model.regions.levels, or add to model.backbone.out_indices"
            )
        self.levels = tuple(levels)
        self.out_channels = sum(channels[level] for level in levels)
        self.num_objects = num_objects
        self.num_windows = num_objects + num_background
        self.centers: BetaCenters | GaussianCenters = (
            BetaCenters(alpha) if centers is None else TASK_UTILS.build(centers)
        )
        self.scale = scale
        self.offset = offset
        self.min_side = min_side
        self.min_visible = min_visible
        self.whole_views = whole_views
        self.heatmap: CenterHeatmapLoss | None = (
            None if heatmap is None else MODELS.build(heatmap, default_args=dict(in_channels=channels))
        )

    @torch.no_grad()
    def windows(
        self, boxes: Tensor, counts: Tensor, transforms: Sequence[Tensor], places: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """``(N, V, W, 4)`` in fractions of the views, and which are objects, ``(N, W)``.

        Args:
            boxes: ``(N, K, 5)`` x0, y0, x1, y1 in the frame that the views share, score.
            counts: ``(N,)`` boxes of each image.
            transforms: ``(N, 2, 3)`` a view, from that frame to fractions of the view.
            places: ``(N, P, 2)`` of that frame, where background windows may lie; None for anywhere.
        """
        stacked = torch.stack(list(transforms), dim=1)
        num, views = stacked.shape[:2]
        noise = WindowNoise.draw(num, views, boxes.shape[1], self.num_windows, self.centers, boxes.device)
        if places is not None:
            noise = noise.placed(places, stacked[:, 0])
        return window_pairs(
            boxes[..., :4],
            counts,
            stacked,
            noise,
            self.num_objects,
            self.scale,
            self.offset,
            self.min_side,
            self.min_visible,
        )

    def pool(self, maps: Sequence[Tensor], windows: Tensor) -> Tensor:
        """Mean of each window over each level, then of each view if ``whole_views``.

        Args:
            maps: the backbone's, ``(N, C_i, h_i, w_i)``.
            windows: ``(N, W, 4)`` in fractions of the view.

        Returns:
            ``(N W, C)``, or ``(N W + N, C)``.
        """
        pooled = torch.cat([pooled_windows(maps[level], windows, 1) for level in self.levels], dim=1)
        if not self.whole_views:
            return pooled
        whole = torch.cat([maps[level].mean(dim=(2, 3)) for level in self.levels], dim=1)
        return torch.cat([pooled, whole])
