"""What does a trained second stage gain? By center distance and by BEV IoU, its scores and its boxes apart.

python projects/studies/lidar_second_stage/trained.py --iou work_dirs/iou_{0,1} --distance work_dirs/distance_{0,1}

Each run gives its first stage, which is frozen, its second stage, and the second stage with the first one's boxes or
with the first one's scores. Prints means over the runs, and differences to the first stage of the same runs with their
95 % intervals over the tested sweeps (paired bootstrap), and writes the rows to --csv.
"""

import copy
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from mmengine.registry import DATASETS, MODELS
from numpy.typing import NDArray
from torch import Tensor, nn

from ccrop.cli import command, command_parser
from ccrop.experiments.paired_bootstrap import draws_of
from ccrop.files import write_csv
from ccrop.projects.lidar_bev.detection import CenterPoint
from ccrop.projects.lidar_bev.detection.metrics import compared
from ccrop.projects.lidar_bev.detection.second_stage import CONFIDENCES
from ccrop.projects.lidar_bev.evaluation.bootstrap import resampled
from ccrop.projects.lidar_bev.evaluation.center_ap import THRESHOLDS, Detections, Truth, match
from ccrop.projects.studies.lidar_second_stage.bounds import MIN_IOUS, match_overlap, percent
from ccrop.transfer.prediction import load_detector

FIRST = "none: the first stage"


class Measured(NamedTuple):
    """AP of the tested sweeps and of their resamples.

    Attributes:
        classes: their names.
        distance: ``(classes, thresholds, 1 + resamples)`` with matches by center distance.
        overlap: ``(classes, MIN_IOUS, 1 + resamples)`` with matches by BEV IoU.
    """

    classes: tuple[str, ...]
    distance: NDArray
    overlap: NDArray


class Once(nn.Module):
    """An encoder that encodes a list of sweeps once, however often it is asked for it in a row."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.grid, self.stride = encoder.grid, encoder.stride
        self.last: tuple[Tensor, Tensor] | None = None

    def forward(self, sweeps: list[Tensor]) -> Tensor:
        if self.last is None or not torch.equal(self.last[0], sweeps[0]):
            self.last = sweeps[0], self.encoder(sweeps)
        return self.last[1]


@command
def main(argv: Sequence[str] | None = None) -> int:
    parser = command_parser(__doc__)
    for name in CONFIDENCES:
        parser.add_argument(f"--{name}", type=Path, nargs="+", default=[], help="runs with model.second_stage so")
    parser.add_argument("--csv", type=Path, required=True, help="takes the rows")
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    rows = []
    for name in CONFIDENCES:
        every = [dict(measured_stages(run)) for run in getattr(args, name)]
        for stage in every[0] if every else ():
            of_runs, references = ([each[key] for each in every] for key in (stage, FIRST))
            rows += rows_of(name, stage, mean(of_runs), mean(references))
    write_csv(args.csv, rows)
    for row in rows:
        print(row)
    return 0


def measured_stages(run: Path) -> Iterator[tuple[str, Measured]]:
    """Name and AP of each of a run's stages, and of the second one's parts."""
    config, model = load_detector(run, "sweeps", MODELS.build)
    dataset = DATASETS.build(config.test_dataset)
    model.backbone = Once(model.backbone)
    second = parts(model.second_stage) if model.second_stage is not None else {}
    truths: list[Truth] = []
    found: dict[str, list[Detections]] = {name: [] for name in (FIRST, *second)}
    for _, sample in dataset.readable():
        points = [torch.from_numpy(sample["points"])]
        for name, own in found.items():
            model.second_stage = second.get(name)
            each = compared(sample, detections(model, points), model.backbone.grid)
            own.append(each.found)
        truths.append(each.truth)
    draws = draws_of(len(truths))
    for name, own in found.items():
        yield name, measured(truths, own, model.classes, draws)


def detections(model: CenterPoint, points: list[Tensor]) -> Detections:
    with torch.no_grad():
        return model(points, mode="predict")[0]


def parts(stage: nn.Module) -> dict[str, nn.Module]:
    """A second stage, and the same with the first one's boxes, or with the first one's order of scores.

    A layer of zeros refines nothing, and gives all boxes the same confidence.
    """
    result = {"second stage": stage}
    for name, layer in (("its scores alone", "refinement"), ("its boxes alone", "confidence")):
        result[name] = copy.deepcopy(stage)
        for values in result[name].get_submodule(layer).parameters():
            nn.init.zeros_(values)
    return result


def measured(truths: Sequence[Truth], found: Sequence[Detections], classes: Sequence[str], draws: NDArray) -> Measured:
    """AP of each class."""
    distance, overlap = [], []
    for label in range(len(classes)):
        distance.append([resampled(match(truths, found, label, each), draws) for each in THRESHOLDS])
        overlap.append([resampled(match_overlap(truths, found, label, each), draws) for each in MIN_IOUS])
    return Measured(tuple(classes), np.array(distance), np.array(overlap))


def mean(runs: Sequence[Measured]) -> Measured:
    distance, overlap = (np.mean(each, axis=0) for each in list(zip(*runs, strict=True))[1:])
    return Measured(runs[0].classes, distance, overlap)


def rows_of(confidence: str, stage: str, own: Measured, reference: Measured) -> list[dict[str, Any]]:
    """A row per metric: its value by class and their mean, and the mean's difference to the reference."""
    rows = []
    for metric, values, others in (
        ("AP by center distance", own.distance.mean(axis=1), reference.distance.mean(axis=1)),
        *(
            (f"AP by BEV IoU of {each}", own.overlap[:, place], reference.overlap[:, place])
            for place, each in enumerate(MIN_IOUS)
        ),
    ):
        gain = values.mean(axis=0) - others.mean(axis=0)
        low, high = np.quantile(gain[1:], (0.025, 0.975))
        row: dict[str, Any] = {"confidence": confidence, "second stage": stage, "metric": metric}
        row |= {name: percent(value) for name, value in zip(own.classes, values[:, 0], strict=True)}
        row |= dict(
            mean=percent(values[:, 0].mean()), difference=percent(gain[0]), low=percent(low), high=percent(high)
        )
        rows.append(row)
    return rows


if __name__ == "__main__":
    sys.exit(main())
