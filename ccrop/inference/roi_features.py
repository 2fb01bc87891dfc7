"""Features of boxes, from the maps of a whole image."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from ccrop.evaluation.roi_knn import region_features
from ccrop.models import Siamese


@torch.no_grad()
def roi_features(model: Siamese, image: Tensor, boxes: Tensor) -> dict[int, Tensor]:
    """RoIAlign of boxes at every level that the backbone gives.

    The image is used as it is, padded to a multiple of every stride.

    Args:
        model: in eval mode.
        image: ``(1, H, W, C)`` uint8.
        boxes: ``(M, 4)`` x0, y0, x1, y1 in fractions of the image.

    Returns:
        For each stride in pixels ``(M, 4 C_i)`` float32, on the model's device.
    """
    side = math.lcm(*(level.stride for level in model.backbone.levels))
    prepared = model.data_preprocessor(dict(images=image))["images"]
    height, width = prepared.shape[2:]
    padded = F.pad(prepared, (0, -width % side, 0, -height % side))
    extent = torch.tensor([width / padded.shape[3], height / padded.shape[2]]).repeat(2)
    found = region_features(model.extract_feat(padded), (boxes.float() * extent).to(prepared.device))
    return {stride: own.float() for stride, own in zip(model.backbone.strides, found, strict=True)}
