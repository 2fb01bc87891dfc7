"""Parts of detectors that mmdet does not have, registered with it."""

from ccrop.projects.detection_transfer.models.dense_head import DenseHead
from ccrop.projects.detection_transfer.models.neck import TopDownNeck
from ccrop.projects.detection_transfer.models.tiled import TiledDetector

__all__ = ["DenseHead", "TiledDetector", "TopDownNeck"]
