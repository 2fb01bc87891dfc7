"""Small objects on two CPU cores, with objects from other images pasted into each tile."""

_base_ = ["tiles_r18.py"]

train_pipeline = [
    *_base_.train_pipeline[:2],  # image and annotations
    dict(type="CollectPieces"),
    _base_.train_pipeline[2],  # the tile
    dict(type="PastePieces", number=(1, 6)),
    *_base_.train_pipeline[3:],
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
custom_imports = dict(
    imports=[*_base_.custom_imports.imports, "ccrop.projects.detection_transfer.copy_paste_transforms"]
)
