"""Detection at an image's own scale, whatever its size: large images are processed in overlapping tiles."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from mmdet.models.detectors import SingleStageDetector
from mmdet.registry import MODELS
from mmdet.structures import SampleList
from torch import Tensor

from ccrop.projects.detection_transfer.models.dense_head import Candidates


@MODELS.register_module()
class TiledDetector(SingleStageDetector):
    """A single-stage detector with :class:`DenseHead`, channels last in memory, that tests large images in tiles.

    An image with no side longer than ``test_cfg.tile`` pixels is processed whole. For a larger one, boxes
    that touch an edge of their tile are left to the neighbor that shows the object whole, unless they are longer than
    the ``test_cfg.overlap`` of the tiles; NMS over the whole image merges the rest.

    Args:
        kwargs: mmdet's; ``test_cfg`` has the head's settings, ``tile`` and ``overlap`` in pixels.

    Raises:
        ValueError: tiles do not advance.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        tile, overlap = (self.test_cfg[name] for name in ("tile", "overlap"))
        if not 0 <= overlap < tile:
            raise ValueError(
                f"model.test_cfg.overlap must be at least 0 and less than model.test_cfg.tile, got {overlap} and {tile}"
            )
        self.to(memory_format=torch.channels_last)

    def extract_feat(self, batch_inputs: Tensor) -> tuple[Tensor, ...]:
        return super().extract_feat(batch_inputs.contiguous(memory_format=torch.channels_last))

    def predict(self, batch_inputs: Tensor, batch_data_samples: SampleList, rescale: bool = True) -> SampleList:
        results = self.bbox_head.detections(self.candidates(batch_inputs), batch_data_samples, rescale)
        return self.add_pred_to_datasample(batch_data_samples, results)

    def candidates(self, images: Tensor) -> Candidates:
        """The candidates of all tiles, in pixels of the images ``(N, C, H, W)``."""
        side, overlap = self.test_cfg["tile"], self.test_cfg["overlap"]
        height, width = images.shape[2:]
        parts = []
        for top, bottom in spans(height, side, overlap):
            for left, right in spans(width, side, overlap):
                maps = self.extract_feat(images[:, :, top:bottom, left:right])
                boxes, scores, labels = self.bbox_head.candidates(maps)
                boxes = boxes + boxes.new_tensor([left, top, left, top])
                cut = touches(boxes, (left, top, right, bottom), (width, height), overlap)
                parts.append((boxes, scores.masked_fill(cut, 0), labels))
        return Candidates(*(torch.cat(each, dim=1) for each in zip(*parts, strict=True)))


def spans(length: int, side: int, overlap: int) -> Iterator[tuple[int, int]]:
    """(start, end) of the fewest evenly spaced tiles of a side that cover a length with at least this overlap."""
    number = 1 if length <= side else -(-(length - overlap) // (side - overlap))
    for place in range(number):
        begin = round(place * (length - side) / max(1, number - 1))
        yield begin, min(length, begin + side)


def touches(boxes: Tensor, tile: Sequence[int], image_size: Sequence[int], overlap: int) -> Tensor:
    """Which boxes ``(..., 4)`` no longer than ``overlap`` reach an edge of their tile that is not an edge of the image.

    Args:
        boxes, tile: x0, y0, x1, y1 in pixels of the image.
        image_size: (width, height) in pixels.
    """
    edges = boxes.new_tensor(tile)
    inner = torch.cat([edges[:2] > 0, edges[2:] < boxes.new_tensor(image_size)])
    beyond = torch.cat([boxes[..., :2] - 1 < edges[:2], boxes[..., 2:] + 1 > edges[2:]], dim=-1)
    short = (boxes[..., 2:] - boxes[..., :2]).amax(dim=-1) <= overlap
    return (beyond & inner).any(dim=-1) & short
