"""SimSiam without one of its parts (section 4), to see what each contributes.

``--cfg-options model.without=``: ``stop_gradient`` (the loss falls to -1 and the embedding to a point, section 4.1),
``predictor`` (as if without stop-gradient, section 4.2), ``predictor_training`` (no collapse, but the loss stays high,
section 4.2) or ``bn`` (no collapse, but hard to optimize, section 4.4).
"""

from ccrop.models import SimSiamAblation

requires = ("simsiam",)
model = dict(type=SimSiamAblation, without="stop_gradient")
