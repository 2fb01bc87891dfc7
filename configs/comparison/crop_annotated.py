"""Crops that follow one annotated object per pair: the ceiling of many objects by crop."""

from mmengine.config import read_base

from ccrop.hooks import AnnotatedBoxesHook

with read_base():
    from .crop_clusters import *

default_hooks.localization = dict(type=AnnotatedBoxesHook)
