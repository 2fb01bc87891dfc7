"""COCO-format data, a schedule in iterations, and the runtime."""

default_scope = "mmdet"
default_data_root = "data/coco"
channels = 3  # of the images
white = 65535  # its level in 16-bit gray images and more: 4095 where their sensor gives 12

train_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="LoadAnnotations", with_bbox=True),
    # the benchmark's sizes: the shorter side is drawn, the longer one bounded
    dict(type="RandomResize", scale=[(1333, 640), (1333, 800)], keep_ratio=True),
    dict(type="RandomFlip", prob=0.5),
    dict(type="PackDetInputs"),
]
test_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="Resize", scale=(1333, 800), keep_ratio=True),
    dict(type="PackDetInputs", meta_keys=("img_id", "img_path", "ori_shape", "img_shape", "scale_factor")),
]
# tools/finetune.py fills in the root, the splits' files and the categories
train_dataloader = dict(
    batch_size=2,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type="InfiniteSampler", shuffle=True),
    batch_sampler=dict(type="AspectRatioBatchSampler"),
    dataset=dict(type="CocoDataset", filter_cfg=dict(filter_empty_gt=True), pipeline=train_pipeline),
)
test_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(type="CocoDataset", test_mode=True, pipeline=test_pipeline),
)
test_evaluator = dict(type="SmallObjectMetric")
test_cfg = dict(type="TestLoop")

# 1x: 90,000 iterations of 16 images, the rate divided by 10 after 2/3 and 8/9 of them
train_cfg = dict(type="IterBasedTrainLoop", max_iters=90000, val_interval=90001)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.001, by_epoch=False, begin=0, end=1000),
    dict(type="MultiStepLR", by_epoch=False, begin=0, milestones=[60000, 80000], gamma=0.1),
]
optim_wrapper = dict(type="OptimWrapper", optimizer=dict(type="SGD", lr=0.02, momentum=0.9, weight_decay=0.0001))
auto_scale_lr = dict(enable=True, base_batch_size=16)

self_training = dict(  # also learn the boxes that a fine-tuned detector finds on images without labels
    teacher=None,  # its work_dir or checkpoint
    min_score=0.35,  # of its boxes
    labeled_fraction=0.2,  # of what is trained on, about; labeled images are repeated to reach it
    unlabeled=None,  # a folder of further images; those of the train split without labels are used in any case
)
custom_imports = dict(imports=["ccrop.projects.detection_transfer.coco_metric"])
default_hooks = dict(
    timer=dict(type="IterTimerHook"),
    logger=dict(type="ccrop.hooks.SteadyLoggerHook", interval=50),
    param_scheduler=dict(type="ParamSchedulerHook"),
    checkpoint=dict(type="ccrop.hooks.WholeCheckpointHook", interval=0.05, by_epoch=False, keep=1),
    sampler_seed=dict(type="DistSamplerSeedHook"),
)
env_cfg = dict(
    cudnn_benchmark=False,
    mp_cfg=dict(mp_start_method="fork", opencv_num_threads=0),
    dist_cfg=dict(backend="nccl"),
)
log_processor = dict(by_epoch=False)
visualizer = dict(type="DetLocalVisualizer", vis_backends=[dict(type="LocalVisBackend")])  # for mmdet's DetInferencer
randomness = dict(seed=0)
