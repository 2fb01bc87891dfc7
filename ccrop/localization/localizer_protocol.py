"""The interface of every localizer."""

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor


class Localizer(Protocol):
    """Features of whole images -> boxes; see :class:`ccrop.localization.SingleObject`."""

    max_boxes: int
    uses_features: bool

    @property
    def levels(self) -> tuple[int, ...]: ...

    def __call__(
        self, features: Tensor | Sequence[Tensor], image_size: tuple[int, int], valid: Tensor | None = None
    ) -> tuple[Tensor, Tensor]: ...

    def heatmap(self, features: Tensor | Sequence[Tensor], valid: Tensor | None = None) -> Tensor: ...
