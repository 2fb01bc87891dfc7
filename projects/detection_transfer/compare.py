"""What pretraining is worth to a detector of images: initialisations x shares of the labels x seeds.

    python projects/detection_transfer/compare.py projects/detection_transfer/configs/tiles_r18.py \\
        --data-root data/demo --pretrain configs/comparison/{rcrop,single,region_clusters}.py --labels 10% 100%

"""

import sys

from ccrop.projects.detection_transfer.finetune import TRANSFER
from ccrop.transfer import comparison

if __name__ == "__main__":
    sys.exit(comparison.main(TRANSFER, __doc__ + comparison.__doc__))
