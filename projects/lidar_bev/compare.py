"""What pretraining is worth to a detector of LiDAR sweeps: initialisations x shares of the labels x seeds.

    python projects/lidar_bev/compare.py projects/lidar_bev/configs/centerpoint_pillar_demo.py \\
        --data-root data/demo_lidar --pretrain projects/lidar_bev/configs/simsiam_ccrop_bev_demo.py

"""

import sys

from ccrop.projects.lidar_bev.finetune import TRANSFER
from ccrop.transfer import comparison

if __name__ == "__main__":
    sys.exit(comparison.main(TRANSFER, __doc__ + comparison.__doc__, labels=(0.05, 0.2, 1.0)))
