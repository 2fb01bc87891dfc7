"""How a CenterPoint head encodes headings: by their angle, or by their axis and their direction along it."""

from typing import ClassVar, Protocol

import torch
from torch import Tensor
from torch.nn import functional as F


class HeadingCode(Protocol):
    """Encoding of the heading in the last channels of a box's regression.

    Attributes:
        channels: their number.
        mirrored: the factor of each when x, or y, is negated.
    """

    channels: ClassVar[int]
    mirrored: ClassVar[dict[str, tuple[int, ...]]]

    def encoded(self, heading: Tensor) -> Tensor:
        """``(M, channels)`` of headings ``(M,)`` in radians."""

    def decoded(self, values: Tensor) -> Tensor:
        """Headings ``(...)`` in [-pi, pi] of ``(..., channels)``, the inverse of :meth:`encoded`."""

    def loss(self, values: Tensor, targets: Tensor, axis_weights: Tensor | None) -> Tensor:
        """``(M,)``, of values ``(M, channels)`` compared with encoded headings.

        Args:
            axis_weights: ``(M,)``, of boxes whose front and back are not known: only the axis is learned, with this
                weight. None where headings are known.
        """


class AngleCode:
    """Sine and cosine of the heading, learned by L1 (Yin et al., CVPR 2021).

    If front and back look alike, all values between the two encodings have the same expected loss, so the axis is
    lost together with the direction; :class:`AxisCode` keeps it.
    """

    channels: ClassVar[int] = 2
    mirrored: ClassVar[dict[str, tuple[int, ...]]] = {"x": (1, -1), "y": (-1, 1)}

    def encoded(self, heading: Tensor) -> Tensor:
        return torch.stack([heading.sin(), heading.cos()], dim=1)

    def decoded(self, values: Tensor) -> Tensor:
        return torch.atan2(values[..., 0], values[..., 1])

    def loss(self, values: Tensor, targets: Tensor, axis_weights: Tensor | None) -> Tensor:
        """L1, to the nearer end of the axis if front and back are not known."""
        difference = (values - targets).abs().sum(dim=1)
        if axis_weights is None:
            return difference
        return axis_weights * difference.minimum((values + targets).abs().sum(dim=1))


class AxisCode:
    """Sine and cosine of twice the heading, learned by L1, and which end of this axis is the front, by cross-entropy.

    A classifier of the direction is SECOND's (Yan et al., Sensors 2018). Here, its logit for the end of the axis that
    the unit vector e points to is the scalar product of e and two channels, x and y. It changes its sign with e, so the
    two ends' probabilities add up to 1 and no heading is special, whereas a single channel would have to name the
    ends, and the names would swap at some heading.
    """

    channels: ClassVar[int] = 4
    mirrored: ClassVar[dict[str, tuple[int, ...]]] = {"x": (-1, 1, -1, 1), "y": (-1, 1, 1, -1)}

    def encoded(self, heading: Tensor) -> Tensor:
        double = 2 * heading
        return torch.stack([double.sin(), double.cos(), heading.cos(), heading.sin()], dim=1)

    def decoded(self, values: Tensor) -> Tensor:
        axis = torch.atan2(values[..., 0], values[..., 1]) / 2
        logit = values[..., 2] * axis.cos() + values[..., 3] * axis.sin()
        return axis.where(logit >= 0, axis - torch.pi * torch.where(axis > 0, 1, -1))

    def loss(self, values: Tensor, targets: Tensor, axis_weights: Tensor | None) -> Tensor:
        axis = (values - targets)[:, :2].abs().sum(dim=1)
        if axis_weights is not None:
            return axis_weights * axis
        logit = (values * targets)[:, 2:].sum(dim=1)  # of the front
        return axis + F.softplus(-logit)


HEADING_CODES: dict[str, HeadingCode] = {"angle": AngleCode(), "axis": AxisCode()}
