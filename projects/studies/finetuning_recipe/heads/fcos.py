"""mmdet's FCOS head on the recipe's tiles, backbone and neck."""

_base_ = ["gfl.py"]

model = dict(
    type="FCOS",
    bbox_head=dict(
        _delete_=True,
        type="FCOSHead",
        num_classes=80,
        in_channels=64,
        feat_channels=64,
        stacked_convs=1,
        strides=[4],
        regress_ranges=((-1, 1e8),),
        center_sampling=True,
        norm_on_bbox=True,
        centerness_on_reg=True,
        norm_cfg=dict(type="BN"),
        loss_cls=dict(type="FocalLoss", use_sigmoid=True, gamma=2.0, alpha=0.25, loss_weight=1.0),
        loss_bbox=dict(type="GIoULoss", loss_weight=1.0),
        loss_centerness=dict(type="CrossEntropyLoss", use_sigmoid=True, loss_weight=1.0),
    ),
)
