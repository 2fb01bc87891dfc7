"""RetinaNet (Lin et al., ICCV 2017) on a self-supervised backbone."""

_base_ = ["mmdet::_base_/models/retinanet_r50_fpn.py", "_base_/benchmark.py"]

model = dict(
    backbone=_base_.trained,
    neck=dict(norm_cfg=_base_.synchronized_bn),
    bbox_head=dict(norm_cfg=_base_.synchronized_bn),
)
optim_wrapper = dict(optimizer=dict(lr=0.01))
