"""Is a pretraining healthy? A verdict in plain words, with its reasons, from what the run measured without labels."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

Curves = Mapping[str, Mapping[int, float]]  # scalar -> epoch -> value


class Healthy(NamedTuple):
    """The healthy range of a scalar, its name for readers, and what lies behind a value outside of it."""

    low: float
    high: float
    name: str
    cause: str

    def __str__(self) -> str:
        return f"healthy from {self.low:g}" + (f" to {self.high:g}" if math.isfinite(self.high) else "")


HEALTHY = {
    "z_std": Healthy(0.5, 1.1, "z-std", "the embedding is collapsing to a point"),
    "rank": Healthy(10, math.inf, "effective rank", "the embedding uses hardly any direction"),
    "no_box": Healthy(0, 0.5, "fraction of images without a box", "most views are plain random crops"),
    "whole_image": Healthy(0, 0.9, "fraction of boxes that are whole images", "the localizer does not suit the data"),
}


@dataclass(frozen=True)
class Verdict:
    """What speaks against a run, and what for it.

    Attributes:
        faults: reasons why it is not healthy; a healthy run has none.
        remarks: what else was found.
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
    """Judge a pretraining by the end of its curves.

    Args:
        curves: of the epochs' lines, see ``docs/metrics_and_log.md``; epoch 0 is before training.
    """
    faults, remarks = [], []
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
            within, text = _compare(values[-1], healthy)
            (remarks if within else faults).append(text)
    knn = curves.get("knn", {})
    if 0 in knn and len(knn) > 1:
        before, now = knn[0], knn[max(knn)]
        remarks.append(f"kNN {'rose' if now > before else 'did not rise'} from {before:.1%} to {now:.1%}")
    return Verdict(tuple(faults), tuple(remarks))


def judge_pairs(
    boxes: float, no_box: float, whole_image: float, common: float, common_at_random: float, found: float, pairs: int
) -> Verdict:
    """Judge a checkpoint's clusters, and the pairs of views drawn around them, without annotations.

    Args:
        boxes: clusters an image.
        no_box, whole_image: fractions of images without a cluster, and of clusters that are whole images.
        common, common_at_random: fraction of pairs whose views share a cluster, by crops around clusters and by plain
            random crops.
        found: fraction of views whose nearest neighbor among the other views of all images is their partner.
        pairs: number of pairs among which it was looked for, so that chance is 1 / pairs.
    """
    faults, remarks = [], []
    for value, healthy in ((no_box, HEALTHY["no_box"]), (whole_image, HEALTHY["whole_image"])):
        if not math.isnan(value):
            within, text = _compare(value, healthy)
            (remarks if within else faults).append(text)
    remarks.insert(0, f"{boxes:.1f} clusters an image")
    text = f"{common:.0%} of the pairs around clusters share one, {common_at_random:.0%} of random crops"
    if common > common_at_random:
        remarks.append(text)
    else:
        faults.append(f"{text}: localization gains nothing")
    text = f"{found:.0%} of the views find their partner among {pairs} (chance {1 / pairs:.1%})"
    if found > 3 / pairs:
        remarks.append(text)
    else:
        faults.append(f"{text}: features do not tell images apart")
    return Verdict(tuple(faults), tuple(remarks))


def _values(curves: Curves, scalar: str) -> Sequence[float]:
    """By epoch, without what was measured before training."""
    return [value for epoch, value in sorted(curves.get(scalar, {}).items()) if epoch > 0]


def _compare(value: float, healthy: Healthy) -> tuple[bool, str]:
    within = healthy.low <= value <= healthy.high
    text = f"{healthy.name} {value:.3g} ({healthy})"
    return within, text if within else f"{text}: {healthy.cause}"
