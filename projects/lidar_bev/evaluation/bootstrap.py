"""Average precision by center distance of resampled sweeps: how much it depends on the choice of sweeps.

Detections are matched once, sweep by sweep. A sweep that a resample draws n times counts n times, with each of its
detections n times in a row, so a resample costs no matching.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ccrop.projects.lidar_bev.evaluation.center_ap import THRESHOLDS, Detections, Matches, Truth, match, precision_of


def resampled_precision(
    truths: Sequence[Truth], detections: Sequence[Detections], label: int, draws: NDArray[np.integer]
) -> NDArray[np.float64]:
    """Average precision of a class over all distances, of each resample: ``(R,)``, NaN without objects.

    Args:
        truths, detections, label: as :func:`.center_metrics`.
        draws: ``(R, S)``, how often each sweep is drawn.
    """
    found = [resampled(match(truths, detections, label, threshold), draws) for threshold in THRESHOLDS]
    return np.mean(found, axis=0)


def resampled(matches: Matches, draws: NDArray[np.integer]) -> NDArray[np.float64]:
    """:func:`.average_precision` of each resample of ``draws (R, S)``: ``(R,)``."""
    right, objects = matches.right, draws @ matches.counts
    times = (own[matches.sweeps] for own in draws)
    precision = [precision_of(right.repeat(each), number) for each, number in zip(times, objects, strict=True)]
    return np.array(precision)
