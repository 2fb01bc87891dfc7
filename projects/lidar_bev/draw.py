"""The detections of each initialization, side by side from above: sweeps in rows, fine-tuned detectors in columns.

    python projects/lidar_bev/draw.py work_dirs/transfer/simulated_demo_lidar/0.05/{random,random_long}_0

An object is found if a detection of its class is within 2 m, most confident first. Objects of unrequested classes,
such as vans, are drawn, too: neither they nor detections in their boxes count.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure
from mmengine.config import Config
from mmengine.registry import DATASETS, MODELS

from ccrop.cli import add_picture, command, command_parser
from ccrop.datasets.base import spread
from ccrop.files import written
from ccrop.projects.lidar_bev.detection.centerpoint import CenterPoint
from ccrop.projects.lidar_bev.detection.metrics import compared
from ccrop.projects.lidar_bev.findings import LEGEND, MISSED, SweepOutcome, draw
from ccrop.projects.lidar_bev.finetune import data_name
from ccrop.projects.lidar_bev.inference import detected
from ccrop.projects.lidar_bev.pictures import legend_of
from ccrop.projects.lidar_bev.predict import confident
from ccrop.transfer.prediction import load_detector


def picture(detectors: dict[str, CenterPoint], dataset_config: Config, number: int, score: float) -> Figure:
    """Sweeps evenly spread over the data set."""
    dataset = DATASETS.build(dataset_config)
    chosen = DATASETS.build(dataset_config | dict(indices=spread(len(dataset), number)))
    size = (6 * len(detectors), 6.2 * len(chosen) + 0.8)
    figure = Figure(figsize=size, layout="constrained")
    for column, (name, model) in enumerate(detectors.items()):
        for row, sample, every in detected(model, chosen):
            axes = figure.add_subplot(len(chosen), len(detectors), row * len(detectors) + column + 1)
            own = compared(sample, confident(every, score), model.backbone.grid)
            sweep = SweepOutcome("", sample["points"], chosen.object_names(row), own.truth, own.found)
            text = draw(axes, sweep, model.classes, model.backbone.grid.extent)
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
