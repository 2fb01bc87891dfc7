"""What a detector finds in some of the tested sweeps: kept by its run, drawn beside the objects in its report."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from ccrop.datasets.base import spread
from ccrop.files import written
from ccrop.projects.lidar_bev.datasets import OTHER, SweepDataset
from ccrop.projects.lidar_bev.detection.metrics import Compared
from ccrop.projects.lidar_bev.evaluation.center_ap import ERROR_THRESHOLD, Detections, Truth, nearest_free
from ccrop.projects.lidar_bev.pictures import BACKGROUND, draw_bev, draw_boxes, draw_texts

FOUND, HIT, MISSED, FALSE, UNCOUNTED = "#ffffff", "#35d04f", "#ff4b4b", "#ffb000", "#a58cff"
LEGEND = {
    "found object": FOUND,
    "its detection": HIT,
    "missed object (dashed)": MISSED,
    "false detection": FALSE,
    "object of another class, and detections in it": UNCOUNTED,
}
PICTURED = 4  # sweeps of a run
MIN_SCORE = 0.3  # of a detection that is drawn
INCHES, DPI = 6, 150  # of the longer side of a picture
SCALE = 10  # meters of the bar in a corner
MARGIN, LEAST = 2.0, 30.0  # meters around what is drawn, and the least side of a picture
Extent = tuple[float, float, float, float]


class SweepOutcome(NamedTuple):
    """A tested sweep.

    Attributes:
        title: its name in the data set.
        points: ``(N, 3 or more)``.
        names: classes of its objects ``M``, including those of classes that were not requested.
        truth, found: with what of them counts; only detections that are drawn.
    """

    title: str
    points: NDArray
    names: Sequence[str]
    truth: Truth
    found: Detections


class SweepFindings(NamedTuple):
    """Of one run.

    Attributes:
        sweeps: those that are drawn, by their number in the data set.
        classes: names of the labels.
        extent: x0, y0, x1, y1 in meters.
    """

    sweeps: Mapping[int, SweepOutcome]
    classes: Sequence[str]
    extent: Extent
    detailed: bool = True

    @property
    def tested(self) -> Mapping[int, SweepOutcome]:
        return self.sweeps

    def with_objects(self) -> Sequence[int]:
        return list(self.sweeps)

    def picture(self, example: int, name: str) -> tuple[Image.Image, str]:
        sweep = self.sweeps[example]
        x0, y0, x1, y1 = extent = seen(sweep, self.extent)
        scale = INCHES / max(x1 - x0, y1 - y0)
        figure = Figure(figsize=(scale * (y1 - y0), scale * (x1 - x0)), dpi=DPI, facecolor=BACKGROUND)
        axes = figure.add_axes((0, 0, 1, 1))
        text = draw(axes, sweep, self.classes, extent, figure.get_size_inches()[0])
        draw_scale(axes, extent)
        axes.set_axis_off()
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        return Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3]), f"{name}, {sweep.title}: {text}"

    def legend(self) -> Mapping[str, str]:
        entries = {text: color for text, color in LEGEND.items() if color not in (FALSE, UNCOUNTED)}
        return entries | {f"false, with a score of at least {MIN_SCORE:g}": FALSE, "not counted": UNCOUNTED}


def seen(sweep: SweepOutcome, extent: Extent) -> Extent:
    """The square part of an extent that has points and objects, or all of it: sweeps may cover only one side."""
    low, high = np.array(extent[:2]), np.array(extent[2:])
    objects = sweep.truth.boxes[sweep.truth.counted, :2]
    places = np.concatenate([sweep.points[:, :2], objects]).clip(low, high)
    if not len(places):
        return extent
    start, end = places.min(axis=0) - MARGIN, places.max(axis=0) + MARGIN
    half = min(max(*(end - start), LEAST), *(high - low)) / 2
    middle = ((start + end) / 2).clip(low + half, high - half)
    (x0, y0), (x1, y1) = middle - half, middle + half
    return float(x0), float(y0), float(x1), float(y1)


def matched(truth: Truth, found: Detections) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which detections ``(D,)`` lie within 2 m of an object of their class, and which objects ``(M,)`` they find."""
    hits, seen = np.zeros(len(found.boxes), bool), np.zeros(len(truth.boxes), bool)
    for label in np.unique(found.labels):
        own, chosen = np.flatnonzero(truth.labels == label), np.flatnonzero(found.labels == label)
        chosen = chosen[np.argsort(-found.scores[chosen], kind="stable")]
        partner = nearest_free(found.boxes[chosen, :2], truth.boxes[own, :2], ERROR_THRESHOLD)
        hits[chosen[partner >= 0]] = True
        seen[own[partner[partner >= 0]]] = True
    return hits, seen


def draw(axes: Axes, sweep: SweepOutcome, classes: Sequence[str], extent: Extent, inches: float = 6) -> str:
    """Draw a sweep, and return how many objects were found and how many detections are false, in words.

    Args:
        classes, extent: see :class:`SweepFindings`.
        inches: width of the axes.
    """
    truth, found = sweep.truth, sweep.found
    draw_bev(axes, sweep.points, extent=extent)
    assert truth.counted is not None  # of `compared`, as the next
    assert found.counted is not None
    hits, seen = matched(truth, found)
    asked = truth.counted & (truth.labels != OTHER)
    missed, others = asked & ~seen, truth.counted & (truth.labels == OTHER)
    false = ~hits & found.counted
    draw_boxes(axes, truth.boxes[others], UNCOUNTED)
    draw_boxes(axes, found.boxes[~hits & ~false], UNCOUNTED)
    draw_boxes(axes, truth.boxes[asked & seen], FOUND)
    draw_boxes(axes, found.boxes[hits], HIT)
    draw_boxes(axes, found.boxes[false], FALSE)
    draw_boxes(axes, truth.boxes[missed], MISSED, "dashed")
    rated = [f"{classes[label]} {score:.2f}" for label, score in zip(found.labels, found.scores, strict=True)]
    texts = [
        *((box, sweep.names[i], MISSED) for i, box in enumerate(truth.boxes) if missed[i]),
        *((box, sweep.names[i], UNCOUNTED) for i, box in enumerate(truth.boxes) if others[i]),
        *((box, rated[i], HIT if hits[i] else FALSE) for i, box in enumerate(found.boxes) if hits[i] or false[i]),
    ]
    if texts:
        boxes, words, colors = zip(*texts, strict=True)
        draw_texts(axes, np.stack(boxes), words, colors, inches)
    return f"{(asked & seen).sum()} of {asked.sum()} found, {false.sum()} false"


def draw_scale(axes: Axes, extent: Extent) -> None:
    """A bar of ``SCALE`` meters in the lower left corner, and an arrow along the x axis."""
    x0, y0, x1, y1 = extent
    margin = 0.03 * max(x1 - x0, y1 - y0)
    x, y = x0 + margin, y1 - margin  # left is the positive y
    axes.plot([y, y - SCALE], [x, x], color="white", linewidth=1.5)
    axes.text(y - SCALE / 2, x + margin / 4, f"{SCALE} m", color="white", size=8, ha="center", va="bottom")
    arrow = dict(arrowstyle="->", color="white", linewidth=1.2)
    axes.annotate("", (y, x + 3 * margin), (y, x), arrowprops=arrow)
    axes.text(y - margin / 3, x + 3 * margin, "x", color="white", size=8, ha="left", va="top")


def keep(
    file: str | Path,
    dataset: SweepDataset,
    indices: Sequence[int],
    sweeps: Sequence[Compared],
    classes: Sequence[str],
    extent: Extent,
    metrics: Mapping[str, NDArray[np.float64]],
) -> None:
    """Keep what detectors are compared by, and a few sweeps for pictures.

    Args:
        file: ``.npz``. It takes ``sweeps (S,)``, the numbers of the tested ones; ``objects (G, 10)``, number of the
            sweep, box, label, and whether it counts; ``classes``; ``extent``; the metrics; and the content of
            :class:`SweepOutcome` for each of the ``pictured (P,)``.
        dataset: that was tested on.
        indices: of the tested sweeps.
        sweeps: their objects and detections.
        classes, extent: see :class:`SweepFindings`.
        metrics: of resamples, ``(1 + resamples,)`` each.
    """
    rows: list[NDArray[np.float32]] = [np.zeros((0, 10), np.float32)]
    for index, each in zip(indices, sweeps, strict=True):
        boxes, labels, counted = each.truth
        assert counted is not None  # of `compared`
        number = np.full(len(boxes), index)
        rows.append(np.column_stack([number, boxes[:, :7], labels, counted]).astype(np.float32))
    content: dict[str, Any] = dict(sweeps=np.array(indices), objects=np.concatenate(rows), classes=np.array(classes))
    content |= dict(extent=np.array(extent), **metrics)
    places = [place for place, each in enumerate(sweeps) if (each.truth.counted & (each.truth.labels != OTHER)).any()]
    chosen = [places[i] for i in spread(len(places), PICTURED)] if places else []
    content["pictured"] = np.array([indices[place] for place in chosen], dtype=np.int64)
    for place in chosen:
        index, each = indices[place], sweeps[place]
        sure = each.found.scores >= MIN_SCORE
        info = dataset.get_data_info(index)
        own = dict(title=info.get("name") or info["path"], names=dataset.object_names(index))
        own |= dict(points=within(dataset.known(index)["points"][:, :3], extent).astype(np.float16))
        own |= dict(boxes=each.truth.boxes, labels=each.truth.labels, counted=each.truth.counted)
        own |= {f"found_{name}": getattr(each.found, name)[sure] for name in ("boxes", "scores", "labels", "counted")}
        content |= {f"{index}_{name}": np.array(value) for name, value in own.items()}
    with written(file) as partial:
        np.savez_compressed(partial, **content)


def within(points: NDArray, extent: Extent) -> NDArray:
    """The points ``(N, 3)`` that a picture shows."""
    low, high = extent[:2], extent[2:]
    return points[((points[:, :2] >= low) & (points[:, :2] < high)).all(axis=1)]


def read_found(file: Path) -> SweepFindings:
    """What :func:`keep` kept for pictures."""
    with np.load(file) as content:
        sweeps = {}
        for index in content["pictured"].tolist():
            own = {name: content[f"{index}_{name}"] for name in ("points", "names", "boxes", "labels", "counted")}
            truth = Truth(own["boxes"], own["labels"], own["counted"])
            found = (content[f"{index}_found_{name}"] for name in ("boxes", "scores", "labels", "counted"))
            points, names = own["points"].astype(np.float32), own["names"].tolist()
            sweeps[index] = SweepOutcome(str(content[f"{index}_title"]), points, names, truth, Detections(*found))
        x0, y0, x1, y1 = content["extent"].tolist()
        return SweepFindings(sweeps, content["classes"].tolist(), (x0, y0, x1, y1))
