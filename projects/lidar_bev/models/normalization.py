"""Batch normalization of all encoders."""

# OpenPCDet's eps; its momentum of 0.01 suits runs of many thousand steps: after some hundred, the running statistics
# still lag behind the weights
NORM = dict(eps=1e-3, momentum=0.1)
