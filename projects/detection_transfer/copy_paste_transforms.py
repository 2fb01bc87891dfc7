"""Copy-paste for any mmdet config: objects from training images, pasted into other images."""

import numpy as np
from mmcv.transforms import BaseTransform
from mmdet.registry import TRANSFORMS
from mmdet.structures.bbox import BaseBoxes

from ccrop.projects.detection_transfer.randomness import OwnRandomness
from ccrop.pseudo import Piece, cut_pieces, paste


@TRANSFORMS.register_module()
class CollectPieces(OwnRandomness, BaseTransform):
    """Cuts out the objects of each image the first time it passes, for :class:`PastePieces`.

    Must come after the annotations are loaded, so that pieces come from training images, with true labels or
    pseudo-boxes, and before any transform that changes the image. Each worker has pieces of the images that it has
    seen.

    Args:
        max_pieces: kept at most; beyond it they are a uniform sample of all pieces (reservoir sampling).

    Raises:
        ValueError: it keeps none.
    """

    def __init__(self, max_pieces: int = 2000) -> None:
        if max_pieces < 1:
            raise ValueError(f"CollectPieces' max_pieces must be at least 1, got {max_pieces}")
        self.max_pieces = max_pieces
        self.pieces: list[Piece] = []
        self.seen: set[str] = set()
        self.passed = 0

    def transform(self, results: dict) -> dict:
        """Add ``pieces``, a list of all that are kept."""
        if results["img_path"] not in self.seen:
            self.seen.add(results["img_path"])
            boxes, counted = _corners(results), ~results["gt_ignore_flags"]
            for piece in cut_pieces(results["img"], boxes[counted], results["gt_bboxes_labels"][counted]):
                self._keep(piece)
        results["pieces"] = self.pieces
        return results

    def _keep(self, piece: Piece) -> None:
        self.passed += 1
        if len(self.pieces) < self.max_pieces:
            self.pieces.append(piece)
        elif (place := self.rng.integers(self.passed)) < self.max_pieces:
            self.pieces[place] = piece


@TRANSFORMS.register_module()
class PastePieces(OwnRandomness, BaseTransform):
    """Pastes pieces of :class:`CollectPieces`, see :func:`ccrop.pseudo.paste`.

    Must come after the image is resized, and before photometric transforms. Pieces are resized as the image was
    (``scale_factor``), and their boxes and labels are added to the image's. Takes ``pieces`` out of the sample.

    Args:
        number: minimum and maximum number of pieces per image.
        prob: probability that an image gets any.
        scale: range of the additional factor by which a piece is magnified, drawn log-uniformly.
        upright: see :func:`ccrop.pseudo.paste`; for scenes in which objects stand on the ground.

    Raises:
        ValueError: a range is none, or the probability is not in [0, 1].
    """

    def __init__(
        self,
        number: tuple[int, int] = (1, 6),
        prob: float = 1.0,
        scale: tuple[float, float] = (0.6, 1.4),
        upright: bool = False,
    ) -> None:
        if not 0 <= number[0] <= number[1]:
            raise ValueError(f"PastePieces' number must be a range such as (1, 6), got {number}")
        if not 0 < scale[0] <= scale[1]:
            raise ValueError(f"PastePieces' scale must be a range such as (0.6, 1.4), got {scale}")
        if not 0 <= prob <= 1:
            raise ValueError(f"PastePieces' prob must be from 0 to 1, got {prob}")
        self.number = number
        self.prob = prob
        self.scale = scale
        self.upright = upright

    def transform(self, results: dict) -> dict:
        """Paste some pieces.

        Raises:
            ValueError: there is no CollectPieces before it, or the sample has masks, which pasted pieces would lack.
        """
        if "gt_masks" in results:
            raise ValueError("PastePieces pastes boxes only, not masks: set with_mask=False in LoadAnnotations")
        if "pieces" not in results:
            raise ValueError("PastePieces has no pieces: put CollectPieces after LoadAnnotations in the same pipeline")
        pieces = results.pop("pieces")
        if not pieces or self.rng.random() >= self.prob:
            return results
        drawn = self.rng.integers(len(pieces), size=self.rng.integers(self.number[0], self.number[1] + 1))
        boxes, ignored = results["gt_bboxes"], results["gt_ignore_flags"]
        magnified = float(np.mean(results.get("scale_factor", 1.0)))
        image, corners, labels = paste(
            results["img"],
            _corners(results),
            results["gt_bboxes_labels"],
            [pieces[index] for index in drawn],
            self.rng,
            scale=(magnified * self.scale[0], magnified * self.scale[1]),
            upright=self.upright,
        )
        results["img"] = image
        results["gt_bboxes"] = type(boxes)(corners) if isinstance(boxes, BaseBoxes) else corners
        results["gt_bboxes_labels"] = labels
        results["gt_ignore_flags"] = np.pad(ignored, (0, len(labels) - len(ignored)))
        return results


def _corners(results: dict) -> np.ndarray:
    """Boxes ``(M, 4)`` of a sample as x0, y0, x1, y1 in pixels."""
    boxes = results["gt_bboxes"]
    return boxes.numpy() if isinstance(boxes, BaseBoxes) else boxes
