"""The benchmark of self-supervised backbones: all of the ResNet-50 is trained, and BN is synchronised everywhere.

MoCo (He et al., CVPR 2020, section 4.2) fine-tunes so, and those who compare with it.
"""

_base_ = ["coco.py"]

sync_bn = dict(type="SyncBN", requires_grad=True)
trained = dict(frozen_stages=-1, norm_cfg=sync_bn, norm_eval=False, init_cfg=None)
