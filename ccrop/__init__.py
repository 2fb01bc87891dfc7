"""ContrastiveCrop for many objects: self-supervised pretraining on crops of where the objects are."""

__version__ = "0.2.0"
