"""CenterPoint learns pseudo-boxes of any sweeps in a folder, all around the sensor.

Columns, scale of intensities, z of the grid and the pattern of files are set as in ``simsiam_ccrop_bev_folder.py``.
"""

from mmengine.config import read_base

from ccrop.projects.lidar_bev.datasets import SweepFolder

with read_base():
    from .centerpoint_pseudo_kitti import *

default_data_root = None  # by --data-root
grid.update(low=(-51.2, -51.2, -3), high=(51.2, 51.2, 1.8), cell=0.2)
model.backbone.update(grid=grid, size="nuscenes")
motion.update(mirror_x=0.5)
train_dataloader.dataset = dict(type=SweepFolder, data_root=None, pipeline=[dict(type=LabeledSweep, motion=motion)])
test_dataset = None
