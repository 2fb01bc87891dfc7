"""FCOS for two CPU cores, on the same crops as the demo's Faster R-CNN: every cell learns from the first step on."""

_base_ = ["faster-rcnn_r18_fpn_demo.py"]

model = dict(
    _delete_=True,
    type="FCOS",
    data_preprocessor=_base_.model.data_preprocessor,
    backbone=_base_.model.backbone,
    neck=dict(type="FPN", in_channels=[32, 64, 128], out_channels=32, num_outs=3, norm_cfg=dict(type="BN")),
    bbox_head=dict(
        type="FCOSHead",
        num_classes=80,
        in_channels=32,
        feat_channels=32,
        stacked_convs=1,
        strides=[4, 8, 16],
        regress_ranges=((-1, 32), (32, 64), (64, 1e8)),
        center_sampling=True,
        norm_on_bbox=True,
        centerness_on_reg=True,
        norm_cfg=dict(type="BN"),
        loss_cls=dict(type="FocalLoss", use_sigmoid=True, gamma=2.0, alpha=0.25, loss_weight=1.0),
        loss_bbox=dict(type="GIoULoss", loss_weight=1.0),
        loss_centerness=dict(type="CrossEntropyLoss", use_sigmoid=True, loss_weight=1.0),
    ),
    test_cfg=dict(nms_pre=500, score_thr=0.02, nms=dict(type="nms", iou_threshold=0.6), max_per_img=100),
)
optim_wrapper = dict(optimizer=dict(lr=3e-3))
