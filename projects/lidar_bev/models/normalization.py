"""Batch normalization of all encoders."""

from typing import TypedDict


class Norm(TypedDict):
    """Of PyTorch's batch normalization."""

    eps: float
    momentum: float


# OpenPCDet's eps; its momentum of 0.01 suits many thousands of steps: after a few hundred, the running statistics
# still lag behind the weights
NORM = Norm(eps=1e-3, momentum=0.1)
