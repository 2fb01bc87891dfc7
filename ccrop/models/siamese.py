"""What every Siamese method shares: a backbone, pooled features, and a loss over views."""

from abc import abstractmethod
from typing import Any

import torch
from mmengine.model import BaseModel
from mmengine.registry import MODELS
from torch import Tensor, nn


class Siamese(BaseModel):
    """Base of the methods: subclasses add their heads and :meth:`loss`.

    Args:
        backbone: its config; a forward pass gives a tuple of feature maps, finest first.
        data_preprocessor: config of the preprocessor, see :class:`ccrop.models.ViewPreprocessor`.
        channels_last: keep the convolutions' weights channels last, faster with bf16 and fp16.
    """

    def __init__(
        self,
        backbone: dict[str, Any],
        data_preprocessor: dict[str, Any] | None = None,
        channels_last: bool = False,
        init_cfg: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(data_preprocessor=data_preprocessor, init_cfg=init_cfg)
        self.backbone: nn.Module = MODELS.build(backbone)
        if channels_last:
            self.backbone.to(memory_format=torch.channels_last)
        self.embeddings: Tensor | None = None

    def forward(
        self,
        views: list[Tensor] | None = None,
        images: Tensor | None = None,
        mode: str = "loss",
        **_: Any,
    ) -> dict[str, Tensor] | tuple[Tensor, ...]:
        """Loss of views, or feature maps of images.

        Args:
            views: ``(N, 3, H, W)`` each, normalised; for ``mode='loss'``.
            images: ``(N, 3, H, W)``, normalised; for ``mode='tensor'``.

        Returns:
            ``dict(loss=...)``, or the backbone's tuple of feature maps.
        """
        if mode == "loss":
            return self.loss(views)
        if mode == "tensor":
            return self.extract_feat(images)
        raise ValueError(f"mode must be 'loss' or 'tensor', got {mode!r}")

    def extract_feat(self, images: Tensor) -> tuple[Tensor, ...]:
        """Feature maps ``(N, C, h, w)`` of the backbone's levels, finest first."""
        return self.backbone(images)

    def pooled(self, images: Tensor) -> Tensor:
        """Global average of the coarsest feature map, ``(N, C)``."""
        return self.extract_feat(images)[-1].mean(dim=(2, 3))

    @abstractmethod
    def loss(self, views: list[Tensor]) -> dict[str, Tensor]:
        """``dict(loss=scalar)`` of the views; sets :attr:`embeddings` to z ``(N, d)``, detached, for health."""
