"""Pictures of what a run saw: sweeps with boxes, heatmaps with Gaussian centers, and the windows of both views."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.runner import Runner
from numpy.typing import NDArray
from PIL import Image

from ccrop.datasets import UnreadableFile
from ccrop.datasets.base import spread
from ccrop.files import written
from ccrop.inference.eval_mode import evaluating
from ccrop.localization import center_heatmaps, gaussian_radius
from ccrop.models import Siamese
from ccrop.projects.lidar_bev.datasets import SweepDataset
from ccrop.projects.lidar_bev.grid import Grid
from ccrop.projects.lidar_bev.localizer import BevClusters
from ccrop.projects.lidar_bev.pictures import BACKGROUND, COLORS, draw_bev
from ccrop.projects.lidar_bev.pretraining.localization import SweepLocalizationHook
from ccrop.projects.lidar_bev.pretraining.pipeline import collate_sweeps

BOX_COLOR = "#ffdc00"
FAINT = "#8c8c96"


class SweepGalleryHook(Hook):
    """After each localization, one PNG in ``gallery/`` of the work_dir and the same in the visualizer's backends.

    One row per sweep: its points with the store's boxes, the heatmap with the boxes' Gaussian centers, and both views
    with their windows; the windows of a pair have one color, those of background are gray.

    Args:
        num_sweeps: evenly spaced over the data set, the same each time.
    """

    priority = "LOW"

    def __init__(self, num_sweeps: int = 3) -> None:
        self.num_sweeps = num_sweeps

    @master_only
    def after_localization(self, runner: Runner) -> None:
        dataset = runner.train_dataloader.dataset
        hook = next(hook for hook in runner.hooks if isinstance(hook, SweepLocalizationHook))
        learned = hook.learned(runner.epoch, runner.max_epochs)
        title = f"{runner.cfg.experiment}, before epoch {runner.epoch + 1} of {runner.max_epochs}"
        title += f", learned heatmap {learned:.0%}"
        indices = spread(len(dataset), self.num_sweeps)
        with evaluating(runner) as model:
            figure = gallery(model, dataset, hook.localizer, learned, indices, (runner.seed, runner.epoch), title)
        file = Path(runner.work_dir, "gallery", f"epoch_{runner.epoch:04d}.png")
        picture = pixels(figure)
        with written(file) as partial:
            Image.fromarray(picture).save(partial)
        runner.visualizer.add_image("gallery", picture, step=runner.epoch)
        runner.logger.info(f"Gallery: {file}")


def gallery(
    model: Siamese,
    dataset: SweepDataset,
    localizer: BevClusters,
    learned: float,
    indices: Sequence[int],
    draw: tuple[int, int] = (0, 0),
    title: str = "",
) -> Figure:
    """The picture of some sweeps; those that cannot be read are left out.

    Args:
        model: in eval mode.
        dataset: with boxes, and :class:`.SceneSweeps` as its pipeline.
        localizer: gives the heatmap.
        learned: fraction of the learned heatmap.
        draw: (seed, epoch), which decide the views.
    """
    assert dataset.boxes is not None
    rows = []
    for index in indices:
        try:
            rows.append((index, dataset.known(index)["points"]))
        except UnreadableFile:
            continue
    figure = Figure(figsize=(22, 5.6 * max(1, len(rows)) + 0.6), dpi=80, layout="constrained")
    figure.suptitle(title)
    axes = figure.subplots(max(1, len(rows)), 4, squeeze=False)
    for line, (index, points) in zip(axes, rows, strict=False):
        boxes, grid = dataset.boxes[index], localizer.grid
        prepared = model.data_preprocessor(dict(sweeps=[torch.from_numpy(points)]))["sweeps"]
        features = model.extract_feat(prepared)[-1] if learned else None
        heatmap = localizer.heatmap(prepared, features, learned)[0].cpu().numpy()
        extent = (*grid.low[:2], *grid.high[:2])
        draw_bev(line[0], points, extent=extent)
        _outlines(line[0], _meters(boxes[:, :4], grid), [BOX_COLOR] * len(boxes))
        line[0].set_title(f"{dataset.get_data_info(index)['path']}: {len(boxes)} boxes", fontsize=9)
        _draw_heatmap(line[1], heatmap, gaussian_centers(boxes, localizer.cells), extent)
        _draw_views(line[2:], model, collate_sweeps([dataset[(*draw, index)]]), grid, seed=index)
    return figure


def gaussian_centers(boxes: NDArray, grid: Grid) -> NDArray[np.float32]:
    """CenterPoint's center heatmap ``(H, W)`` of boxes ``(K, 5)`` in fractions of the grid."""
    rows, columns = grid.shape
    cells = torch.from_numpy(boxes[:, :4]) * torch.tensor([columns, rows, columns, rows])
    radii = gaussian_radius(cells[:, 2:] - cells[:, :2])
    nothing = torch.zeros(len(boxes), dtype=torch.long)
    centers = (cells[:, :2] + cells[:, 2:]) / 2
    return center_heatmaps(centers, radii, nothing, nothing, (1, 1, rows, columns))[0, 0].numpy()


def pixels(figure: Figure) -> NDArray[np.uint8]:
    """A figure as an image ``(H, W, 3)``."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def _draw_heatmap(axes: Axes, heatmap: NDArray, centers: NDArray, extent: tuple[float, float, float, float]) -> None:
    """Ahead up and left to the left, as :func:`.draw_bev` has it; ``(H, W)`` each."""
    x0, y0, x1, y1 = extent
    sides = (y1, y0, x0, x1)
    axes.set_facecolor(BACKGROUND)
    axes.imshow(heatmap.T[:, ::-1], cmap="turbo", vmin=0, vmax=1, extent=sides, origin="lower")
    axes.contour(centers.T[:, ::-1], levels=[0.1, 0.6], colors="white", linewidths=0.7, extent=sides, origin="lower")
    axes.set(xlabel="y (m)", ylabel="x (m)", title="heatmap, Gaussian centers at 0.1 and 0.6")


def _draw_views(axes: Sequence[Axes], model: Siamese, batch: dict[str, Any], grid: Grid, seed: int) -> None:
    shown: tuple[NDArray, NDArray[np.bool_]] | None = None
    if model.regions is not None:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            found = model.regions.windows(batch["boxes"], batch["counts"], batch["transforms"], batch["places"])
        windows, is_object = (each[0].numpy() for each in found)
        shown = windows, is_object
    for number, (own, view) in enumerate(zip(axes, batch["views"], strict=False)):
        draw_bev(own, view[0].numpy(), extent=(*grid.low[:2], *grid.high[:2]))
        own.set_title(f"view {number + 1}")
        if shown is not None:
            windows, is_object = shown
            colors = [COLORS[i % len(COLORS)] if chosen else FAINT for i, chosen in enumerate(is_object)]
            _outlines(own, _meters(windows[number], grid), colors)
            own.set_title(f"view {number + 1}: windows of {is_object.sum()} objects, {(~is_object).sum()} background")


def _meters(boxes: NDArray, grid: Grid) -> NDArray:
    """Boxes ``(K, 4)`` in fractions of the grid as x0, y0, x1, y1 in meters."""
    low, high = np.tile(grid.low[:2], 2), np.tile(grid.high[:2], 2)
    return low + boxes * (high - low)


def _outlines(axes: Axes, boxes: NDArray, colors: Sequence[str]) -> None:
    """Rectangles ``(K, 4)`` in meters, on axes of :func:`.draw_bev`."""
    x0, y0, x1, y1 = boxes.T
    lines = np.stack([np.stack([y, x], axis=-1) for x, y in ((x0, y0), (x1, y0), (x1, y1), (x0, y1), (x0, y0))], axis=1)
    axes.add_collection(LineCollection([*lines], colors=colors, linewidths=1.0))
