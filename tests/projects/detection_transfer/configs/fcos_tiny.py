"""FCOS on three maps of a narrow ResNet-18, in a size that trains on the CPU in a blink."""

_base_ = ["../../../../projects/detection_transfer/configs/faster-rcnn_r18_fpn_small.py"]

model = dict(
    _delete_=True,
    type="FCOS",
    data_preprocessor=_base_.model.data_preprocessor,
    backbone=dict(**_base_.model.backbone, base_channels=8, stem_channels=8),
    neck=dict(type="FPN", in_channels=[8, 16, 32], out_channels=8, num_outs=3, norm_cfg=dict(type="BN")),
    bbox_head=dict(
        type="FCOSHead",
        num_classes=80,
        in_channels=8,
        feat_channels=8,
        stacked_convs=1,
        strides=[4, 8, 16],
        regress_ranges=((-1, 32), (32, 64), (64, 1e8)),
        norm_cfg=dict(type="BN"),
        loss_cls=dict(type="FocalLoss", use_sigmoid=True, gamma=2.0, alpha=0.25, loss_weight=1.0),
        loss_bbox=dict(type="GIoULoss", loss_weight=1.0),
        loss_centerness=dict(type="CrossEntropyLoss", use_sigmoid=True, loss_weight=1.0),
    ),
    test_cfg=dict(nms_pre=100, score_thr=0.02, nms=dict(type="nms", iou_threshold=0.6), max_per_img=50),
)
