"""Is a pretraining healthy? A verdict in plain words, with reasons, from label-free measurements."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

Curves = Mapping[str, Mapping[int, float]]  # scalar -> epoch -> value


class Healthy(NamedTuple):
    """The healthy range of a scalar and, for readers, its name, its format, and the likely cause of a bad value."""

    low: float
    high: float
    text: str
    cause: str
    percent: bool = False

    def describe(self, value: float) -> str:
        """The value in words, with the healthy range and, if outside it, the cause."""
        low, high = (self._write(end) for end in (self.low, self.high))
        limits = (
            f"{low} or more" if math.isinf(self.high) else f"at most {high}" if self.low == 0 else f"{low} to {high}"
        )
        said = f"{self.text.format(self._write(value))} (healthy: {limits})"
        return said if self.contains(value) else f"{said}, so {self.cause}"

    def contains(self, value: float) -> bool:
        return self.low <= value <= self.high

    def _write(self, value: float) -> str:
        return f"{round(100 * value, 2):.3g}%" if self.percent else f"{value:.3g}"


HEALTHY = {
    "z_std": Healthy(0.5, 1.1, "z-std is {}", "the embedding is collapsing to a point"),
    "rank": Healthy(10, math.inf, "the effective rank is {}", "the embedding uses hardly any dimension"),
    "no_box": Healthy(0, 0.5, "{} of the examples have no box", "most views are plain random crops", percent=True),
    "whole_image": Healthy(
        0, 0.9, "{} of the boxes are whole images", "the localizer does not suit the data", percent=True
    ),
}


@dataclass(frozen=True)
class Verdict:
    """What speaks for and against a run.

    Attributes:
        faults: reasons why it is not healthy; a healthy run has none.
        remarks: other findings.
    """

    faults: tuple[str, ...]
    remarks: tuple[str, ...]

    @property
    def healthy(self) -> bool:
        return not self.faults

    def __str__(self) -> str:
        reasons = "; ".join(self.faults + self.remarks)
        return f"Verdict: {'healthy' if self.healthy else 'not healthy'}: {reasons}."


def judge_run(curves: Curves) -> Verdict:
    """Judge a pretraining run by the end of its curves.

    Args:
        curves: of the epoch lines, see ``docs/metrics_and_log.md``; epoch 0 is before training.
    """
    faults: list[str] = []
    remarks: list[str] = []
    losses = _values(curves, "loss")
    if not losses:
        faults.append("no epoch was finished")
    elif not math.isfinite(losses[-1]):
        faults.append("the loss is not finite")
    elif len(losses) > 1:
        fell = losses[-1] < losses[0]
        change = f"from {losses[0]:.3f} to {losses[-1]:.3f}"
        (remarks if fell else faults).append(f"the loss fell {change}" if fell else f"the loss did not fall, {change}")
    for scalar, healthy in HEALTHY.items():
        values = _values(curves, scalar)
        if values:
            (remarks if healthy.contains(values[-1]) else faults).append(healthy.describe(values[-1]))
    knn = curves.get("knn", {})
    if 0 in knn and len(knn) > 1:
        before, now = f"{knn[0]:.1%}", f"{knn[max(knn)]:.1%}"
        rose = "rose" if knn[max(knn)] > knn[0] else "fell"
        remarks.append(f"kNN stayed at {now}" if now == before else f"kNN {rose} from {before} to {now}")
    return Verdict(tuple(faults), tuple(remarks))


def judge_pairs(
    boxes: float, no_box: float, whole_image: float, common: float, common_at_random: float, found: float, pairs: int
) -> Verdict:
    """Judge a checkpoint's clusters, and the pairs of views drawn around them, without annotations.

    Args:
        boxes: clusters per image.
        no_box, whole_image: fractions of images without a cluster, and of clusters that are whole images.
        common, common_at_random: fraction of pairs whose views share a cluster, by crops around clusters and by plain
            random crops.
        found: fraction of views whose nearest neighbor among the other views of all images is their partner.
        pairs: number of pairs among which it was searched, so that chance is 1 / pairs.
    """
    faults: list[str] = []
    remarks: list[str] = []
    for value, healthy in ((no_box, HEALTHY["no_box"]), (whole_image, HEALTHY["whole_image"])):
        if not math.isnan(value):
            (remarks if healthy.contains(value) else faults).append(healthy.describe(value))
    remarks.insert(0, f"{boxes:.1f} clusters an image")
    text = f"{common:.0%} of the pairs around clusters share one, {common_at_random:.0%} of random crops"
    if common >= common_at_random:
        remarks.append(text)
    else:
        faults.append(f"{text}: localization gains nothing")
    text = f"{found:.0%} of the views find their partner among {pairs} (chance {1 / pairs:.1%})"
    if found > 3 / pairs:
        remarks.append(text)
    else:
        faults.append(f"{text}: the features do not tell images apart")
    return Verdict(tuple(faults), tuple(remarks))


def _values(curves: Curves, scalar: str) -> Sequence[float]:
    """By epoch, without the value before training."""
    return [value for epoch, value in sorted(curves.get(scalar, {}).items()) if epoch > 0]
