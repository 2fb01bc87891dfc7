"""Pictures of sweeps with boxes: seen from above, and as the sensor sees them, all around."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from ccrop.projects.lidar_bev.boxes import corners, footprints
from ccrop.projects.lidar_bev.extras import extra

COLORS = ("#ff8c1a", "#ff4d94", "#35d04f", "#f2e205", "#b07cff", "#29d0ff", "#ff5a4d", "#9be37d", "#d9a7ff", "#ffd27a")
OTHER_COLOR = "#bbbbbb"
BACKGROUND = "#10141c"
# pairs of corners, see boxes.corners: the lower face, the upper one, the uprights
EDGES = np.array(
    [(i, (i + 1) % 4) for i in range(4)] + [(i + 4, (i + 1) % 4 + 4) for i in range(4)] + [(i, i + 4) for i in range(4)]
)
PIECES = 12  # of an edge, which is curved in the panorama


def draw_bev(
    axes: Axes,
    points: NDArray,
    boxes: NDArray | None = None,
    labels: NDArray | None = None,
    extent: tuple[float, float, float, float] = (-50, -50, 50, 50),
) -> None:
    """A sweep from above, ahead up and left to the left, colored by height; a line from each box shows its heading.

    Args:
        points: ``(N, 3 or more)`` in meters.
        boxes: ``(M, 7)``.
        labels: ``(M,)``, which give boxes their colors; negative ones are gray.
        extent: x0, y0, x1, y1 in meters.
    """
    x0, y0, x1, y1 = extent
    shown = points[(points[:, 0] > x0) & (points[:, 0] < x1) & (points[:, 1] > y0) & (points[:, 1] < y1)]
    axes.set_facecolor(BACKGROUND)
    axes.scatter(shown[:, 1], shown[:, 0], s=0.35, c=shown[:, 2], cmap="viridis", vmin=-3.5, vmax=2, linewidths=0)
    if boxes is not None and len(boxes):
        draw_boxes(axes, boxes, _colors(len(boxes), labels))
    axes.set(xlim=(y1, y0), ylim=(x0, x1), aspect="equal", xlabel="y (m)", ylabel="x (m)")


def draw_boxes(axes: Axes, boxes: NDArray, colors: NDArray[np.str_] | str, style: str = "solid") -> None:
    """Boxes ``(M, 7)`` into a picture of :func:`draw_bev`, in one color or one each.

    Args:
        style: of the lines, matplotlib's.
    """
    ground = footprints(boxes)
    center, ahead = boxes[:, :2], ground[:, [0, 3]].mean(axis=1)
    outlines = np.concatenate([ground, ground[:, :1]], axis=1)
    headings = np.stack([center, center + 1.4 * (ahead - center)], axis=1)
    axes.add_collection(LineCollection([*outlines[..., ::-1]], colors=colors, linewidths=1.0, linestyles=style))
    axes.add_collection(LineCollection([*headings[..., ::-1]], colors=colors, linewidths=1.0))


def draw_texts(axes: Axes, boxes: NDArray, texts: Sequence[str], colors: Sequence[str], inches: float = 9) -> None:
    """A text above each of the boxes ``(M, 7)`` of :func:`draw_boxes`; of those that would overlap the first one.

    At the edge of the picture texts are moved inwards; those of boxes outside of it are left out.

    Args:
        inches: width of the axes.
    """
    meters = abs(np.diff(axes.get_xlim())[0]) / inches  # per inch
    letter, line = 0.1 * meters, 0.2 * meters
    (right, left), (bottom, top) = sorted(axes.get_xlim()), sorted(axes.get_ylim())
    taken: list[tuple[float, float, float]] = []
    for box, text, color in zip(boxes, texts, colors, strict=True):
        half = letter * len(text) / 2
        x = min(footprints(box[None])[0, :, 0].max() + line / 3, top - line)
        y = np.clip(box[1], right + half, left - half)
        outside = not (bottom < box[0] < top and right < box[1] < left)
        if outside or any(abs(x - above) < line and abs(y - beside) < half + other for above, beside, other in taken):
            continue
        taken.append((x, y, half))
        ground = dict(facecolor=BACKGROUND, alpha=0.7, linewidth=0, pad=0.8)
        axes.text(y, x, text, color=color, size=7, ha="center", va="bottom", clip_on=True, bbox=ground)


def draw_around(
    axes: Axes,
    points: NDArray,
    boxes: NDArray | None = None,
    labels: NDArray | None = None,
    azimuths: tuple[float, float] = (-45, 45),
    elevations: tuple[float, float] = (-25, 5),
) -> None:
    """A sweep as the sensor sees it, colored by distance; angles in degrees, left is left.

    Args:
        points, boxes, labels: as :func:`draw_bev`.
        azimuths: smallest and largest angle from ahead, counter-clockwise, within (-180, 180).
        elevations: smallest and largest angle above the horizon.
    """
    view = _angles(points[:, :3])
    inside = (view[:, 0] > azimuths[0]) & (view[:, 0] < azimuths[1])
    distance = np.linalg.norm(points[inside, :3], axis=1)
    axes.set_facecolor(BACKGROUND)
    across, up = view[inside].T
    axes.scatter(
        across,
        up,
        s=0.7,
        c=np.log(distance.clip(min=1)),
        cmap="turbo_r",
        vmin=np.log(2),
        vmax=np.log(120),
        linewidths=0,
    )
    if boxes is not None and len(boxes):
        ends = corners(boxes)[:, EDGES]
        along = np.linspace(0, 1, PIECES)[:, None]
        lines = ends[:, :, None, 0] * (1 - along) + ends[:, :, None, 1] * along
        lines = _angles(lines.reshape(-1, 3)).reshape(-1, PIECES, 2)
        colors = np.repeat(_colors(len(boxes), labels), len(EDGES))
        whole = abs(np.diff(lines[..., 0], axis=1)).max(axis=1) < 180  # others run through the angle behind
        axes.add_collection(LineCollection(lines[whole], colors=colors[whole], linewidths=0.8))
    axes.set(
        xlim=azimuths[::-1], ylim=elevations, aspect="equal", xlabel="azimuth (degrees)", ylabel="elevation (degrees)"
    )


def sweep_picture(
    points: NDArray,
    boxes: NDArray | None = None,
    labels: NDArray | None = None,
    classes: Sequence[str] = (),
    title: str = "",
    extent: tuple[float, float, float, float] = (-50, -50, 50, 50),
) -> Figure:
    """From above and, below it, as the sensor sees what is ahead; save it with ``savefig``.

    Args:
        points, boxes, labels, extent: as :func:`draw_bev`.
        classes: names of the labels, for the legend.
    """
    figure = Figure(figsize=(9, 12.6), layout="constrained")
    above, ahead = figure.subplots(2, 1, height_ratios=(3, 1))
    draw_bev(above, points, boxes, labels, extent)
    draw_around(ahead, points, boxes, labels)
    above.set_title(title)
    if boxes is not None and labels is not None:
        for label in np.unique(labels):
            name = classes[label] if 0 <= label < len(classes) else "other"
            above.plot([], [], color=color_of(label), label=f"{name} ({(labels == label).sum()})")
        if len(labels):
            above.legend(loc="upper right", fontsize=8)
    return figure


def legend_of(entries: dict[str, str]) -> list[Line2D]:
    """Handles of a legend, of names and colors, where no axes have them."""
    return [Line2D([], [], color=color, label=name) for name, color in entries.items()]


def show_window(points: NDArray, boxes: NDArray | None = None) -> None:
    """Open an Open3D window, which needs a screen, and wait until it is closed.

    Args:
        points, boxes: as :func:`draw_bev`.
    """
    open3d = extra("open3d", "a window of points")
    cloud = open3d.geometry.PointCloud(open3d.utility.Vector3dVector(points[:, :3].astype(np.float64)))
    shapes = [cloud]
    if boxes is not None:
        lines = open3d.utility.Vector2iVector(EDGES)
        shapes += [
            open3d.geometry.LineSet(open3d.utility.Vector3dVector(own), lines)
            for own in corners(boxes.astype(np.float64))
        ]
    open3d.visualization.draw_geometries(shapes)


def _angles(points: NDArray) -> NDArray[np.float64]:
    """Azimuth and elevation ``(N, 2)`` in degrees of points ``(N, 3)``."""
    x, y, z = points.T
    return np.degrees(np.stack([np.arctan2(y, x), np.arctan2(z, np.hypot(x, y))], axis=1))


def color_of(label: int) -> str:
    """Color of the boxes of a label; gray for negative ones."""
    return COLORS[label % len(COLORS)] if label >= 0 else OTHER_COLOR


def _colors(number: int, labels: NDArray | None) -> NDArray[np.str_]:
    return np.array([color_of(int(label)) for label in (np.zeros(number, int) if labels is None else labels)])
