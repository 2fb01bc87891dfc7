"""Faster R-CNN on Pascal VOC 2007 + 2012, by mmdet's own loader: 24,000 iterations (MoCo, CVPR 2020, section 4.1)."""

_base_ = ["faster-rcnn_r50_fpn_1x_coco.py"]

default_data_root = "data/VOCdevkit"
model = dict(roi_head=dict(bbox_head=dict(num_classes=20)))

# data_root: tools/finetune.py fills it in
voc = dict(type="VOCDataset", data_root=None)
labeled = dict(filter_cfg=dict(filter_empty_gt=True), pipeline=_base_.train_pipeline, **voc)
train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type="ConcatDataset",
        ignore_keys=["dataset_type"],  # 2007 and 2012
        datasets=[
            dict(
                ann_file=f"VOC{year}/ImageSets/Main/trainval.txt",
                data_prefix=dict(sub_data_root=f"VOC{year}/"),
                **labeled,
            )
            for year in (2007, 2012)
        ],
    )
)
test_pipeline = [
    *_base_.test_pipeline[:2],
    # without a COCO file, the samples carry the annotated objects
    dict(
        type="PackDetInputs",
        meta_keys=("img_id", "img_path", "ori_shape", "img_shape", "scale_factor", "instances"),
    ),
]
test_dataloader = dict(
    dataset=dict(
        _delete_=True,
        ann_file="VOC2007/ImageSets/Main/test.txt",
        data_prefix=dict(sub_data_root="VOC2007/"),
        test_mode=True,
        pipeline=test_pipeline,
        **voc,
    )
)

train_cfg = dict(max_iters=24000, val_interval=24001)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.001, by_epoch=False, begin=0, end=100),
    dict(type="MultiStepLR", by_epoch=False, begin=0, milestones=[18000, 22000], gamma=0.1),
]
