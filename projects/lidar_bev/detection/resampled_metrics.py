"""A detector's metrics on resampled sweeps, by which two detectors are compared (paired bootstrap)."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ccrop.experiments.paired_bootstrap import RESAMPLES, draws_of, mean_known
from ccrop.projects.lidar_bev.datasets import SweepDataset
from ccrop.projects.lidar_bev.datasets.nuscenes import CLASSES
from ccrop.projects.lidar_bev.detection.metrics import Compared
from ccrop.projects.lidar_bev.detection.nuscenes_benchmark import benchmark_samples, has_nuscenes_score
from ccrop.projects.lidar_bev.evaluation.bootstrap import resampled_precision
from ccrop.projects.lidar_bev.evaluation.center_ap import Detections
from ccrop.projects.lidar_bev.evaluation.nuscenes_score import only_counted


def resampled_metrics(
    dataset: SweepDataset,
    indices: Sequence[int],
    sweeps: Sequence[Compared],
    found: Sequence[Detections],
    classes: Sequence[str],
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, NDArray[np.float64]]:
    """``mAP`` and ``AP_Car`` ..., ``(1 + resamples,)`` each: of the sweeps as they are, then of each resample.

    They are those of :func:`.detector_metrics`; if nuScenes' score can be computed, its own, to which a class without
    objects adds 0.

    Args:
        dataset: that was tested on.
        indices: of the sweeps.
        sweeps: their objects and detections.
        found: all detections in each of them.
        classes: names of the labels.
        resamples, seed: see :func:`.draws_of`.
    """
    draws = draws_of(len(sweeps), resamples, seed)
    if has_nuscenes_score(dataset):
        truths, detections = only_counted(*benchmark_samples(dataset, indices, found))
        by_class = {
            f"AP_{name}": np.nan_to_num(resampled_precision(truths, detections, label, draws))
            for label, name in enumerate(CLASSES)
        }
    else:
        truths, detections = [each.truth for each in sweeps], [each.found for each in sweeps]
        by_class = {
            f"AP_{name}": resampled_precision(truths, detections, label, draws) for label, name in enumerate(classes)
        }
    return {"mAP": mean_known(np.array(list(by_class.values())))} | by_class
