"""CenterPoint learns pseudo-boxes of simulated sweeps: no labels, though if there are any the log compares."""

from mmengine.config import read_base

with read_base():
    from .centerpoint_pillar_demo import *
    from ._base_.pseudo import *
