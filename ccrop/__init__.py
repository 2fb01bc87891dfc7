"""ContrastiveCrop for many objects: self-supervised pretraining on crops where the objects are."""

from ccrop.compat import adafactor, old_names

__version__ = "0.2.0"

adafactor.install()
old_names.install()
