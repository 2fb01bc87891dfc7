"""mmdet's RTMDet head on the recipe's tiles, backbone and neck."""

_base_ = ["gfl.py"]

model = dict(
    type="RTMDet",
    bbox_head=dict(
        _delete_=True,
        type="RTMDetHead",
        num_classes=80,
        in_channels=64,
        feat_channels=64,
        stacked_convs=1,
        norm_cfg=dict(type="BN"),
        act_cfg=dict(type="ReLU"),
        with_objectness=False,
        anchor_generator=dict(type="MlvlPointGenerator", offset=0, strides=[4]),
        bbox_coder=dict(type="DistancePointBBoxCoder"),
        loss_cls=dict(type="QualityFocalLoss", use_sigmoid=True, beta=2.0, loss_weight=1.0),
        loss_bbox=dict(type="GIoULoss", loss_weight=2.0),
    ),
    train_cfg=dict(
        _delete_=True,
        assigner=dict(type="DynamicSoftLabelAssigner", topk=13),
        allowed_border=-1,
        pos_weight=-1,
        debug=False,
    ),
)
