"""A box around everything that stands out: the localizer for scenes with many objects."""

from collections.abc import Sequence

import torch
from torch import Tensor

from ccrop.localization.feature_heatmap import FUSIONS, RESPONSES, fused_heatmap, upsampled
from ccrop.localization.heatmap_regions import cell_order, peak_regions
from ccrop.localization.letterbox import boxes_in_image, cells_inside


class MultiObject:
    """Boxes of the regions around the peaks of a heatmap, up to K an image.

    ContrastiveCrop (Peng et al., CVPR 2022, equation 3) thresholds the heatmap once and draws one box around all of
    it. Here each cell belongs to the peak that it climbs to (:func:`ccrop.localization.peak_regions`), and to the
    object if it is higher than ``threshold`` times that peak: so a threshold that suits big objects does not erase
    small ones.

    A box covers whole cells: (first column / w, first row / h, (last column + 1) / w, (last row + 1) / h) of an
    object's cells. Its score is the height of its peak in the heatmap, whose highest cell is 1 (a little less once
    upsampled). A heatmap without signal gives no boxes.

    Args:
        max_boxes: K; an image keeps the boxes with the best scores.
        threshold: in [0, 1), relative to the height of the object's peak.
        floor: in [0, 1); peaks that are not higher are not objects.
        min_distance: no two peaks lie within as many rows and columns of each other, in cells of the heatmap.
        merge: objects are one if the saddle between them is at least as high as this fraction of the lower peak.
        levels: index of the level that makes the heatmap, or several, see :func:`ccrop.localization.fused_heatmap`.
        fusion: of several levels, "geometric" or "arithmetic".
        response: of a cell, "sum" or "distance", see :func:`ccrop.localization.feature_heatmap`.
        upsample: the heatmap is evaluated, bilinearly, at this many times its resolution.
    """

    uses_features = True

    def __init__(
        self,
        max_boxes: int = 8,
        threshold: float = 0.5,
        floor: float = 0.1,
        min_distance: int = 1,
        merge: float = 0.8,
        levels: int | Sequence[int] = -1,
        fusion: str = "geometric",
        response: str = "sum",
        upsample: int = 1,
    ) -> None:
        for name, value in (("threshold", threshold), ("floor", floor)):
            if not 0 <= value < 1:
                raise ValueError(f"{name} must be in [0, 1), got {value}")
        if not 0 < merge <= 1:
            raise ValueError(f"merge must be in (0, 1], got {merge}")
        for name, value in (("max_boxes", max_boxes), ("min_distance", min_distance), ("upsample", upsample)):
            if value < 1 or value != int(value):
                raise ValueError(f"{name} must be a whole number of at least 1, got {value}")
        if fusion not in FUSIONS:
            raise ValueError(f"fusion must be one of {', '.join(FUSIONS)}, got {fusion!r}")
        if response not in RESPONSES:
            raise ValueError(f"response must be one of {', '.join(RESPONSES)}, got {response!r}")
        self.max_boxes = max_boxes
        self.threshold = threshold
        self.floor = floor
        self.min_distance = min_distance
        self.merge = merge
        self.levels = (levels,) if isinstance(levels, int) else tuple(levels)
        self.fusion = fusion
        self.response = response
        self.upsample = upsample
        if not self.levels:
            raise ValueError("levels must list at least one level")

    @torch.no_grad()
    def __call__(
        self, features: Tensor | Sequence[Tensor], image_size: tuple[int, int], valid: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Boxes of a batch, without a loop over images.

        Args:
            features: a tuple of levels ``(N, C_i, h_i, w_i)``, or a single one.
            image_size: evaluation size (height, width) in pixels; boxes do not depend on it.
            valid: ``(N, 4)`` x0, y0, x1, y1 of the image in fractions of a padded canvas. Boxes are in fractions of
                the image, and none is on the padding.

        Returns:
            ``boxes (N, K, 5)`` float32: x0, y0, x1, y1 in fractions of the image, score; best scores first, zero
            beyond the count; ``counts (N,)`` int64 in 0 to K.
        """
        boxes, counts, _ = self.objects(self.heatmap(features, valid), valid)
        return boxes, counts

    @torch.no_grad()
    def heatmap(self, features: Tensor | Sequence[Tensor], valid: Tensor | None = None) -> Tensor:
        """``(N, h, w)`` in [0, 1]: where the boxes come from; arguments as of the call.

        Raises:
            ValueError: there are fewer levels than :attr:`levels` requires.
        """
        levels = [features] if isinstance(features, Tensor) else [self._level(features, each) for each in self.levels]
        heatmap = fused_heatmap(levels, self.fusion, valid, self.response)
        height, width = heatmap.shape[1:]
        return upsampled(heatmap, (height * self.upsample, width * self.upsample), valid)

    @torch.no_grad()
    def objects(self, heatmap: Tensor, valid: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Boxes and counts as of the call, and ``areas (N, K)``: the objects' cells as a fraction of the image's.

        Args:
            heatmap: ``(N, h, w)`` float32 in [0, 1].
        """
        num, height, width = heatmap.shape
        if valid is not None:
            heatmap = heatmap.where(cells_inside(valid, (height, width)), -1.0)
        heights = heatmap.flatten(1)
        seeds = peak_regions(heatmap, self.min_distance, self.merge).flatten(1)
        cells = torch.arange(height * width, device=heatmap.device)
        is_seed = (seeds == cells) & (heights > self.floor)
        best = cell_order(heatmap).flatten(1).where(is_seed, -1).topk(min(self.max_boxes, len(cells)))
        used = best.values >= 0
        counts = used.sum(dim=1)

        slots = torch.arange(used.shape[1], device=heatmap.device).where(used, self.max_boxes)
        slot_of_seed = torch.full_like(seeds, self.max_boxes).scatter_(1, best.indices, slots)
        belongs = heights > self.threshold * heights.gather(1, seeds)
        slot = slot_of_seed.gather(1, seeds).where(belongs, self.max_boxes)

        x0, x1 = self._extent(slot, cells % width, width)
        y0, y1 = self._extent(slot, cells // width, height)
        scores = torch.zeros_like(x0)
        scores[:, : used.shape[1]] = heights.gather(1, best.indices).where(used, 0.0)
        boxes = boxes_in_image(torch.stack([x0, y0, x1, y1, scores], dim=-1), valid)
        sizes = slot.new_zeros(num, self.max_boxes + 1).scatter_add_(1, slot, torch.ones_like(slot))[:, :-1]
        areas = sizes / (heights >= 0).sum(dim=1).clamp(min=1)[:, None]
        return boxes, counts, areas

    @staticmethod
    def _level(features: Sequence[Tensor], level: int) -> Tensor:
        if not -len(features) <= level < len(features):
            raise ValueError(
                f"there is no level {level} among the backbone's {len(features)}: set other levels in the "
                "localizer, or add to the backbone's out_indices"
            )
        return features[level]

    def _extent(self, slot: Tensor, index: Tensor, length: int) -> tuple[Tensor, Tensor]:
        """First index and last index + 1 of each object's cells, over ``length``; zeros if there is no object.

        Args:
            slot: ``(N, cells)``, which object; K for none.
            index: ``(cells,)``, the column or the row.
        """
        shape, index = (len(slot), self.max_boxes + 1), index.expand_as(slot)
        first = slot.new_full(shape, length).scatter_reduce_(1, slot, index, "amin")[:, :-1]
        last = slot.new_zeros(shape).scatter_reduce_(1, slot, index + 1, "amax")[:, :-1]
        return first.minimum(last) / length, last / length
