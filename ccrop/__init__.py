"""ContrastiveCrop for many objects: self-supervised pretraining on crops where the objects are."""

from ccrop.compat import old_names

__version__ = "0.2.0"

old_names.install()
