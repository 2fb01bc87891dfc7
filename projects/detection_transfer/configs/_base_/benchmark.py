"""The benchmark of self-supervised backbones: the whole ResNet-50 is trained, and BN is synchronized everywhere.

This is how MoCo (He et al., CVPR 2020, section 4.2) and its successors fine-tune.
"""

_base_ = ["coco.py"]

synchronized_bn = dict(type="SyncBN", requires_grad=True)
trained = dict(frozen_stages=-1, norm_cfg=synchronized_bn, norm_eval=False, init_cfg=None)
