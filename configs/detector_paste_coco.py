"""A whole detector learns pseudo-boxes, pasted into other scenes: pretraining for small objects that needs no labels.

Clusters of a backbone's features, snapped to what stands out, are the boxes, without those that look like background
(:mod:`ccrop.pseudo`).
"""

_base_ = ["../projects/detection_transfer/configs/tiles_r18_paste.py"]

pretraining = "ccrop.projects.detection_transfer.pseudo_pretraining"
pseudo_boxes = dict(
    clusters=dict(  # by a pretraining's network and localizer; --init and --backbone replace its weights and network
        config="comparison/region_clusters.py",
        options={"default_hooks.localization.localizer.levels": (0, 1)},
    ),
    file=None,  # COCO-format boxes of another method, instead of clusters
    detector=None,  # a fine-tuning's work_dir or checkpoint, whose boxes are learned instead of clusters
    min_objectness=0.8,  # of clusters, see ccrop.pseudo.objectness; 0 keeps all
    max_boxes=16,  # an image; those with the best scores; more where images have many objects
    rounds=1,  # each further one learns the boxes that the detector of the round before is sure of
    min_score=0.5,  # of a detector's boxes
    agreement=0.9,  # of them with those that the detector learned, at which the rounds end (F1 at IoU 0.5)
)
train_cfg = dict(max_iters=2000, val_interval=2001)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.05, by_epoch=False, begin=0, end=50),
    dict(type="CosineAnnealingLR", by_epoch=False, begin=50, end=2000, eta_min_ratio=0.01),
]
