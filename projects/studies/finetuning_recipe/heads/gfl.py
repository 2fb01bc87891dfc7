"""mmdet's GFL head on the recipe's tiles, backbone and neck."""

_base_ = ["../../../detection_transfer/configs/tiles_r18.py"]

model = dict(
    _delete_=True,
    type="GFL",
    data_preprocessor=_base_.model.data_preprocessor,
    backbone=_base_.model.backbone,
    neck=_base_.model.neck,
    bbox_head=dict(
        type="GFLHead",
        num_classes=80,
        in_channels=64,
        feat_channels=64,
        stacked_convs=1,
        norm_cfg=dict(type="BN"),
        anchor_generator=dict(
            type="AnchorGenerator", ratios=[1.0], octave_base_scale=4, scales_per_octave=1, strides=[4]
        ),
        loss_cls=dict(type="QualityFocalLoss", use_sigmoid=True, beta=2.0, loss_weight=1.0),
        loss_dfl=dict(type="DistributionFocalLoss", loss_weight=0.25),
        reg_max=16,
        loss_bbox=dict(type="GIoULoss", loss_weight=2.0),
    ),
    train_cfg=dict(assigner=dict(type="ATSSAssigner", topk=9), allowed_border=-1, pos_weight=-1, debug=False),
    test_cfg=dict(nms_pre=500, score_thr=0.03, nms=dict(type="nms", iou_threshold=0.6), max_per_img=100),
)
