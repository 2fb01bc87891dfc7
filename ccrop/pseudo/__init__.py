"""Pseudo-boxes: from rough locations to boxes that a detector can learn from, without labels."""

from ccrop.pseudo.copy_paste import Piece, cut_pieces, paste
from ccrop.pseudo.feature_objectness import objectness
from ccrop.pseudo.silhouettes import Silhouette, Snapped, silhouette, snap

__all__ = ["Piece", "Silhouette", "Snapped", "cut_pieces", "objectness", "paste", "silhouette", "snap"]
