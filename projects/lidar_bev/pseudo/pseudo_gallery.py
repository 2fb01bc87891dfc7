"""A picture of what a detector of sweeps is trained on: pseudo-boxes on whole sweeps, and its input."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from mmengine.config import Config
from mmengine.registry import DATASETS, TASK_UTILS
from numpy.typing import NDArray

from ccrop.datasets.base import spread
from ccrop.files import written
from ccrop.projects.lidar_bev.boxes import footprints
from ccrop.projects.lidar_bev.pictures import draw_bev, legend_of

NUMBER = 3  # of sweeps, each of which is also drawn as a training sample
KNOWN, UNKNOWN = "#ffdc00", "#29d0ff"
LEGEND = {"pseudo-box, axis known": KNOWN, "pseudo-box, axis unknown (not learned)": UNKNOWN}


def save_gallery(config: Config, file: str | Path) -> None:
    """Draw sweeps with their boxes in the upper row, and the same ones as training samples in the lower one.

    Args:
        config: of a detector that learns a file of boxes, see :func:`.learn_file`.
        file: of the picture (.png).
    """
    settings = config.train_dataloader.dataset
    sweeps, samples = (
        DATASETS.build(dict(settings, pipeline=steps)) for steps in (settings.pipeline[:1], settings.pipeline)
    )
    grid = TASK_UTILS.build(config.model.backbone.grid)
    places = spread(len(sweeps), NUMBER)
    figure = Figure(figsize=(6 * len(places), 12.6), dpi=80, layout="constrained")
    for column, place in zip(figure.subplots(2, len(places), squeeze=False).T, places, strict=True):
        sweep = sweeps[place]
        name = sweeps.get_data_info(sweep["index"])["path"]
        for axes, sample, title in zip(
            column, (sweep, samples[place]), (name, "training sample as the detector gets it"), strict=True
        ):
            boxes = np.asarray(sample["boxes"])
            draw_bev(axes, np.asarray(sample["points"]), extent=(*grid.low[:2], *grid.high[:2]))
            draw_footprints(axes, boxes, np.asarray(sample["heading_weights"]) > 0)
            axes.set_title(f"{title}: {len(boxes)} boxes", fontsize=9)
    figure.legend(
        handles=legend_of(LEGEND), loc="outside lower center", ncols=2, facecolor="#444444", labelcolor="white"
    )
    with written(file) as partial:
        figure.savefig(partial)


def draw_footprints(axes: Axes, boxes: NDArray, known: NDArray[np.bool_]) -> None:
    """Outlines of boxes ``(M, 7)`` without a front, which no pseudo-box has, on axes of :func:`.draw_bev`."""
    ground = footprints(boxes)
    outlines = np.concatenate([ground, ground[:, :1]], axis=1)[..., ::-1]
    axes.add_collection(LineCollection([*outlines], colors=np.where(known, KNOWN, UNKNOWN), linewidths=1.0))
