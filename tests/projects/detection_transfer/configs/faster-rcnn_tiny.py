"""A Faster R-CNN small enough for tests: ResNet-18 of half the width, on crops of images at their own scale."""

_base_ = ["../../../../projects/detection_transfer/configs/faster-rcnn_r18_fpn_small.py"]

default_data_root = "data/demo"
model = dict(
    backbone=dict(base_channels=32, stem_channels=32),
    neck=dict(in_channels=[32, 64, 128], out_channels=32),
    rpn_head=dict(in_channels=32, feat_channels=32),
    roi_head=dict(bbox_roi_extractor=dict(out_channels=32), bbox_head=dict(in_channels=32)),
)
scale = (512, 512)
train_pipeline = [
    *_base_.train_pipeline[:2],
    dict(type="RandomResize", scale=scale, ratio_range=(0.8, 1.25), keep_ratio=True),
    dict(type="RandomCrop", crop_size=(256, 256), allow_negative_crop=True),
    *_base_.train_pipeline[4:],
]
test_pipeline = [_base_.test_pipeline[0], dict(type="Resize", scale=scale, keep_ratio=True), _base_.test_pipeline[2]]
train_dataloader = dict(batch_size=4, dataset=dict(pipeline=train_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
auto_scale_lr = dict(base_batch_size=4)
