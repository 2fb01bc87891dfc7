"""SimSiam on windows around clusters of any sweeps in a folder, all around the sensor.

Set the columns of your files with ``train_dataloader.dataset.columns`` (default: x, y, z, intensity), their full-scale
intensity (1, 255 or 65535) with ``train_dataloader.dataset.intensity_scale``, the number of used columns with
``model.backbone.columns``, and z of the grid so that it extends from below the ground to 3 m above it. If not all files
are sweeps, ``train_dataloader.dataset.pattern`` selects those that are, such as "velodyne/*.bin".
"""

from mmengine.config import read_base

from ccrop.projects.lidar_bev.datasets import SweepFolder
from ccrop.projects.lidar_bev.grid import Grid

with read_base():
    from ._base_.bev import *

grid = dict(type=Grid, low=(-51.2, -51.2, -3), high=(51.2, 51.2, 1.8), cell=0.2)
model.backbone.update(grid=grid, size="nuscenes")
train_dataloader.dataset.type = SweepFolder
train_dataloader.dataset.pipeline[0].grid = grid
default_hooks.localization.localizer.update(grid=grid, stride=2)
