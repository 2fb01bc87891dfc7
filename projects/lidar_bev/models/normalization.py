"""Batch normalization of all encoders."""

from typing import TypedDict


class Norm(TypedDict):
    """Of PyTorch's batch normalization."""

    eps: float
    momentum: float


# OpenPCDet's eps; its momentum of 0.01 suits runs of many thousand steps: after some hundred, the running statistics
# still lag behind the weights
NORM = Norm(eps=1e-3, momentum=0.1)
