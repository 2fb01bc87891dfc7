"""The detections of each initialization, side by side from above: sweeps in rows, fine-tuned detectors in columns.

    python projects/lidar_bev/draw.py work_dirs/transfer/simulated_demo_lidar/0.05/{random,random_long}_0

An object is found if a detection of its class is within 2 m, most confident first. Objects of unrequested classes,
such as vans, are drawn, too: neither they nor detections in their boxes count.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from mmengine.config import Config
from mmengine.registry import DATASETS, MODELS
from numpy.typing import NDArray

from ccrop.cli import add_picture, command, command_parser
from ccrop.datasets.base import spread
from ccrop.files import written
from ccrop.projects.lidar_bev.datasets import OTHER
from ccrop.projects.lidar_bev.detection.detector import CenterPoint
from ccrop.projects.lidar_bev.detection.metrics import Compared, compared
from ccrop.projects.lidar_bev.evaluation.center_ap import ERROR_THRESHOLD, nearest_free
from ccrop.projects.lidar_bev.finetune import data_name, detected
from ccrop.projects.lidar_bev.pictures import OTHER_COLOR, draw_bev, draw_boxes, draw_texts, legend_of
from ccrop.projects.lidar_bev.predict import confident
from ccrop.transfer.prediction import load_detector

FOUND, HIT, MISSED, FALSE = "#ffffff", "#35d04f", "#ff4b4b", "#ffb000"
LEGEND = {
    "found object": FOUND,
    "its detection": HIT,
    "missed object (dashed)": MISSED,
    "false detection": FALSE,
    "object of another class, and detections in it": OTHER_COLOR,
}


def matched(sweep: Compared) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which detections ``(D,)`` lie within 2 m of an object of their class, and which objects ``(M,)`` they find."""
    hits, found = np.zeros(len(sweep.found.boxes), bool), np.zeros(len(sweep.truth.boxes), bool)
    for label in np.unique(sweep.found.labels):
        own, chosen = np.flatnonzero(sweep.truth.labels == label), np.flatnonzero(sweep.found.labels == label)
        partner = nearest_free(sweep.found.boxes[chosen, :2], sweep.truth.boxes[own, :2], ERROR_THRESHOLD)
        hits[chosen[partner >= 0]] = True
        found[own[partner[partner >= 0]]] = True
    return hits, found


def draw(axes: Axes, points: NDArray, sweep: Compared, names: Sequence[str], model: CenterPoint) -> str:
    """Draw a sweep, and return how many objects were found and how many detections are false, in words.

    Args:
        names: classes of the objects ``(M,)``.
    """
    low, high = model.backbone.grid.low, model.backbone.grid.high
    draw_bev(axes, points, extent=(low[0], low[1], high[0], high[1]))
    assert sweep.truth.counted is not None  # of `compared`, as the next
    assert sweep.found.counted is not None
    hits, found = matched(sweep)
    asked = sweep.truth.counted & (sweep.truth.labels != OTHER)
    missed, others = asked & ~found, sweep.truth.counted & (sweep.truth.labels == OTHER)
    false = ~hits & sweep.found.counted
    draw_boxes(axes, sweep.truth.boxes[others], OTHER_COLOR)
    draw_boxes(axes, sweep.found.boxes[~hits & ~false], OTHER_COLOR)
    draw_boxes(axes, sweep.truth.boxes[asked & found], FOUND)
    draw_boxes(axes, sweep.found.boxes[hits], HIT)
    draw_boxes(axes, sweep.found.boxes[false], FALSE)
    draw_boxes(axes, sweep.truth.boxes[missed], MISSED, "dashed")
    rated = [f"{model.classes[label]} {score:.2f}" for label, score in zip(*sweep.found[2:0:-1], strict=True)]
    texts = [
        *((box, names[i], MISSED) for i, box in enumerate(sweep.truth.boxes) if missed[i]),
        *((box, names[i], OTHER_COLOR) for i, box in enumerate(sweep.truth.boxes) if others[i]),
        *((box, rated[i], HIT if hits[i] else FALSE) for i, box in enumerate(sweep.found.boxes) if hits[i] or false[i]),
    ]
    if texts:
        boxes, words, colors = zip(*texts, strict=True)
        draw_texts(axes, np.stack(boxes), words, colors)
    return f"{(asked & found).sum()} of {asked.sum()} found, {false.sum()} false"


def picture(detectors: dict[str, CenterPoint], dataset_config: Config, number: int, score: float) -> Figure:
    """Sweeps evenly spread over the data set."""
    dataset = DATASETS.build(dataset_config)
    chosen = DATASETS.build(dataset_config | dict(indices=spread(len(dataset), number)))
    size = (6 * len(detectors), 6.2 * len(chosen) + 0.8)
    figure = Figure(figsize=size, layout="constrained")
    for column, (name, model) in enumerate(detectors.items()):
        for row, sample, every in detected(model, chosen):
            axes = figure.add_subplot(len(chosen), len(detectors), row * len(detectors) + column + 1)
            sweep = compared(sample, confident(every, score), model.backbone.grid)
            text = draw(axes, sample["points"], sweep, chosen.object_names(row), model)
            axes.set_title(f"{name}: {text}", size=9)
    handles = legend_of(LEGEND)
    for handle in handles:
        handle.set_linestyle("dashed" if handle.get_color() == MISSED else "solid")
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=3 if len(detectors) > 1 else 2,
        fontsize=8,
        facecolor="#444444",
        labelcolor="white",
    )
    figure.suptitle(f"{data_name(dataset.data_root).replace('_', ' ')}: detections above {score:g}")
    return figure


@command
def main(argv: Sequence[str] | None = None) -> int:
    parser = command_parser(__doc__)
    parser.add_argument("work_dirs", nargs="+", type=Path, metavar="WORK_DIR", help="work_dirs of fine-tuning runs")
    parser.add_argument("--sweeps", type=int, default=2, help="default: %(default)s")
    parser.add_argument("--score", type=float, default=0.3, help="lowest score to draw (default: %(default)s)")
    add_picture(parser, "detections.png")
    args = parser.parse_args(argv)
    loaded = {work_dir.name: load_detector(work_dir, "sweeps", MODELS.build) for work_dir in args.work_dirs}
    config = next(iter(loaded.values()))[0]
    models = {name: model for name, (_, model) in loaded.items()}
    figure = picture(models, config.test_dataset, args.sweeps, args.score)
    with written(args.out) as partial:
        figure.savefig(partial, dpi=100)
    print(f"wrote {args.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
