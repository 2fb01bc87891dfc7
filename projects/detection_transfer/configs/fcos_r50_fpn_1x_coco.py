"""FCOS (Tian et al., ICCV 2019), its head with GN as published, on a self-supervised backbone."""

_base_ = ["mmdet::_base_/models/retinanet_r50_fpn.py", "_base_/benchmark.py"]

model = dict(
    type="FCOS",
    backbone=_base_.trained,
    neck=dict(add_extra_convs="on_output", relu_before_extra_convs=True, norm_cfg=_base_.synchronized_bn),
    bbox_head=dict(
        _delete_=True,
        type="FCOSHead",
        num_classes=80,
        in_channels=256,
        stacked_convs=4,
        feat_channels=256,
        strides=[8, 16, 32, 64, 128],
        loss_cls=dict(type="FocalLoss", use_sigmoid=True, gamma=2.0, alpha=0.25, loss_weight=1.0),
        loss_bbox=dict(type="IoULoss", loss_weight=1.0),
        loss_centerness=dict(type="CrossEntropyLoss", use_sigmoid=True, loss_weight=1.0),
    ),
)
optim_wrapper = dict(optimizer=dict(lr=0.01), clip_grad=dict(max_norm=35))
