"""What each initialisation finds, side by side from above: sweeps in rows, fine-tuned detectors in columns.

    python projects/lidar_bev/draw.py work_dirs/transfer/simulated_demo_lidar/0.05/{random,random_long}_0

Objects are grey, or white where they were found, and detections have the colours of their classes. An object is
found where a detection of its class lies within 2 m, the surest first.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from mmengine.config import Config
from mmengine.registry import DATASETS, MODELS

from ccrop.cli import command, command_parser
from ccrop.compat.checkpoint import load_checkpoint
from ccrop.datasets.base import spread
from ccrop.hooks.checkpoint import latest_checkpoint
from ccrop.projects.lidar_bev.detection.detector import CenterPoint
from ccrop.projects.lidar_bev.detection.figures import Compared, compared
from ccrop.projects.lidar_bev.evaluation.center_ap import ERROR_THRESHOLD, Detections, nearest_free
from ccrop.projects.lidar_bev.finetune import data_name, detected
from ccrop.projects.lidar_bev.pictures import COLOURS, OTHER_COLOUR, draw_bev, draw_boxes
from ccrop.runner import config_beside

FOUND = "#ffffff"


def load_detector(work_dir: Path) -> tuple[Config, CenterPoint]:
    """Config and model, in eval mode, of a fine-tuning run.

    Raises:
        FileNotFoundError: the folder holds no checkpoint, or not exactly one config.
    """
    checkpoint = latest_checkpoint(work_dir)
    if checkpoint is None:
        raise FileNotFoundError(f"{work_dir} holds no checkpoint of a fine-tuning run (iter_*.pth)")
    config = Config.fromfile(config_beside(Path(checkpoint)))
    model = MODELS.build(config.model)
    model.load_state_dict(load_checkpoint(checkpoint)["state_dict"])
    return config, model.eval()


def above(found: Detections, score: float) -> Detections:
    """The detections that are as sure as ``score``."""
    sure = found.scores >= score
    return Detections(found.boxes[sure], found.scores[sure], found.labels[sure])


def objects_found(sweep: Compared) -> np.ndarray:
    """Which objects ``(M,)`` have a detection of their class within 2 m."""
    hit = np.zeros(len(sweep.truth.boxes), dtype=bool)
    for label in np.unique(sweep.found.labels):
        own = np.flatnonzero(sweep.truth.labels == label)
        chosen = sweep.found.boxes[sweep.found.labels == label]
        partner = nearest_free(chosen[:, :2], sweep.truth.boxes[own, :2], ERROR_THRESHOLD)
        hit[own[partner[partner >= 0]]] = True
    return hit


def draw(axes: Axes, points: np.ndarray, sweep: Compared, model: CenterPoint) -> str:
    """Draw a sweep; gives the count of objects that were found, and of detections."""
    low, high = model.backbone.grid.low, model.backbone.grid.high
    extent = (low[0], low[1], high[0], high[1])
    shown = sweep.truth.counted & (sweep.truth.labels >= 0)
    boxes, hit = sweep.truth.boxes[shown], objects_found(sweep)[shown]
    draw_bev(axes, points, extent=extent)
    draw_boxes(axes, boxes, np.where(hit, FOUND, OTHER_COLOUR))
    draw_boxes(axes, sweep.found.boxes, np.array(COLOURS)[sweep.found.labels])
    return f"{hit.sum()} of {len(hit)} found, {len(sweep.found.boxes)} detections"


def picture(detectors: dict[str, CenterPoint], dataset_config: Config, number: int, score: float) -> Figure:
    """Sweeps evenly spread over the data set."""
    dataset = DATASETS.build(dataset_config)
    chosen = DATASETS.build(dataset_config | dict(indices=spread(len(dataset), number)))
    size = (6 * len(detectors), 6.2 * len(chosen))
    figure = Figure(figsize=size, layout="constrained")
    for column, (name, model) in enumerate(detectors.items()):
        for row, sample, found in detected(model, chosen):
            axes = figure.add_subplot(len(chosen), len(detectors), row * len(detectors) + column + 1)
            text = draw(axes, sample["points"], compared(sample, above(found, score), model.backbone.grid), model)
            axes.set_title(f"{name}: {text}", size=9)
    classes = next(iter(detectors.values())).classes
    legend = dict(zip(classes, COLOURS, strict=False)) | {"found object": FOUND, "missed object": OTHER_COLOUR}
    for name, colour in legend.items():
        figure.axes[0].plot([], [], color=colour, label=name)
    figure.axes[0].legend(loc="upper right", fontsize=7, facecolor="#444444", labelcolor="white")
    figure.suptitle(f"{data_name(dataset.data_root).replace('_', ' ')}: detections above {score:g}")
    return figure


@command
def main(argv: Sequence[str] | None = None) -> int:
    parser = command_parser(__doc__)
    parser.add_argument("work_dirs", nargs="+", type=Path, metavar="WORK_DIR", help="of fine-tuning runs")
    parser.add_argument("--sweeps", type=int, default=2, help="default: %(default)s")
    parser.add_argument("--score", type=float, default=0.3, help="lowest score that is drawn (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=Path("detections.png"), help="default: %(default)s")
    args = parser.parse_args(argv)
    loaded = {work_dir.name: load_detector(work_dir) for work_dir in args.work_dirs}
    config = next(iter(loaded.values()))[0]
    models = {name: model for name, (_, model) in loaded.items()}
    picture(models, config.test_dataset, args.sweeps, args.score).savefig(args.out, dpi=100)
    print(f"wrote {args.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
