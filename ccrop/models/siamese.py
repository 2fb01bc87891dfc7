"""What every Siamese method shares: a backbone, pooled features, and a loss over views."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, Protocol

import torch
from mmengine.model import BaseModel
from mmengine.registry import MODELS, TASK_UTILS
from torch import Tensor

from ccrop.backbones import BackboneLike, build_backbone
from ccrop.models.distillation import StartDistillation
from ccrop.models.region_pairs import RegionPairs


class Pool(Protocol):
    """What the heads see of a view."""

    def __call__(self, maps: Sequence[Tensor], view: int, target: bool = False) -> Tensor:
        """Vectors ``(M, C)``, row i of every view a pair.

        Args:
            maps: a backbone's, of one view, finest first.
            view: its number.
            target: the backbone is a target network, which nothing trains.
        """


def average(maps: Sequence[Tensor], view: int = 0, target: bool = False) -> Tensor:
    """Global average of the coarsest map, ``(N, C)``, whichever view and network it is of."""
    return maps[-1].mean(dim=(2, 3))


def joined(views: Sequence[Tensor | list[Tensor]]) -> Tensor | list[Tensor]:
    """Views as one batch: images ``(N, ...)`` each, or N sweeps each, which stay a list."""
    images = [view for view in views if isinstance(view, Tensor)]
    return torch.cat(images) if images else [sweep for view in views for sweep in view]


class Siamese(BaseModel):
    """Base of the methods: subclasses add their heads and :meth:`loss`.

    Args:
        backbone: its config, its name or a module, see :func:`ccrop.backbones.build_backbone`.
        data_preprocessor: config of the preprocessor, see :class:`ccrop.models.ViewPreprocessor`.
        regions: config of :class:`ccrop.models.RegionPairs`, whose windows then replace whole views.
        channels_last: keep the convolutions' weights channels last, faster with bf16 and fp16.
        distillation: config of :class:`ccrop.models.StartDistillation`, which keeps the backbone near its start.

    Attributes:
        in_channels: of the vectors that the heads see, as the backbone and the regions have it: of the coarsest map,
            or of all that are pooled.
    """

    def __init__(
        self,
        backbone: BackboneLike,
        data_preprocessor: dict[str, Any] | None = None,
        regions: dict[str, Any] | None = None,
        channels_last: bool = False,
        distillation: dict[str, Any] | None = None,
        init_cfg: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(data_preprocessor=data_preprocessor, init_cfg=init_cfg)
        self.backbone = build_backbone(backbone)
        self.regions: RegionPairs | None = None
        self.in_channels = self.backbone.channels[-1]
        if regions is not None:
            self.regions = TASK_UTILS.build(regions, default_args=dict(channels=self.backbone.channels))
            self.in_channels = self.regions.out_channels
        if channels_last:
            self.backbone.to(memory_format=torch.channels_last)
        self.distillation: StartDistillation | None = None
        if distillation is not None:
            self.distillation = MODELS.build(distillation, default_args=dict(backbone=self.backbone))
        self.embeddings: Tensor | None = None

    def forward(
        self,
        views: list[Tensor] | None = None,
        images: Tensor | None = None,
        mode: str = "loss",
        transforms: list[Tensor] | None = None,
        boxes: Tensor | None = None,
        counts: Tensor | None = None,
        places: Tensor | None = None,
        **_: Any,
    ) -> dict[str, Tensor] | tuple[Tensor, ...]:
        """Loss of views, or feature maps of images.

        Args:
            views: ``(N, channels, H, W)`` each, normalized, or whatever else the backbone takes; for ``mode='loss'``.
            images: ``(N, channels, H, W)``, normalized; for ``mode='tensor'``.
            transforms, boxes, counts, places: of scene views, see :meth:`ccrop.models.RegionPairs.windows`.

        Returns:
            ``dict(loss=...)`` and, where ``regions`` has a heatmap, ``loss_heatmap``, and with ``distillation``
            ``loss_start``, the means over the views that train the backbone; or the backbone's tuple of feature maps.
        """
        if mode == "loss":
            assert views is not None
            heatmap_losses: list[Tensor] = []
            losses = self.loss(views, self._pool(transforms, boxes, counts, places, heatmap_losses))
            if heatmap_losses:
                losses["loss_heatmap"] = torch.stack(heatmap_losses).mean()
            if self.distillation is not None:
                losses["loss_start"] = self.distillation.loss()
            return losses
        if mode == "tensor":
            assert images is not None
            return self.extract_feat(images)
        raise ValueError(f"mode must be 'loss' or 'tensor', got {mode!r}")

    def extract_feat(self, images: Tensor | list[Tensor]) -> tuple[Tensor, ...]:
        """Feature maps ``(N, C, h, w)`` of the backbone's levels, finest first, of images, or of sweeps."""
        maps = self.backbone(images)
        if self.distillation is not None and self.training:
            self.distillation.compare(images, maps)
        return maps

    def pooled(self, images: Tensor) -> Tensor:
        """Global average of the coarsest feature map, ``(N, C)``."""
        return average(self.extract_feat(images))

    def _pool(
        self,
        transforms: list[Tensor] | None,
        boxes: Tensor | None,
        counts: Tensor | None,
        places: Tensor | None,
        heatmap_losses: list[Tensor],
    ) -> Pool:
        regions = self.regions
        if regions is None:
            return average
        if transforms is None or boxes is None or counts is None:
            raise ValueError(
                "regions need scene views: make ccrop.views.SceneViews the first step of the data set's pipeline"
            )
        windows, _ = regions.windows(boxes, counts, transforms, places)

        def pool(maps: Sequence[Tensor], view: int, target: bool = False) -> Tensor:
            if regions.heatmap is not None and not target:
                heatmap_losses.append(regions.heatmap(maps, boxes, counts, transforms[view]))
            return regions.pool(maps, windows[:, view])

        return pool

    @abstractmethod
    def loss(self, views: list[Tensor], pool: Pool = average) -> dict[str, Tensor]:
        """``dict(loss=scalar)`` of the views; sets :attr:`embeddings` to z ``(M, d)``, detached, for health.

        Args:
            pool: see :class:`Pool`.
        """

    def weights_changed(self) -> None:
        """Called after weights were initialized or loaded: copies of them are copied again."""
        if self.distillation is not None:
            self.distillation.copy_from(self.backbone)

    def before_epoch(self, epoch: int, epochs: int) -> None:
        """Called before each epoch, counted from 0, of ``epochs``, by :class:`ccrop.hooks.MethodHook`."""

    def after_step(self, progress: float) -> None:
        """Called after each step of the optimizer by :class:`ccrop.hooks.MethodHook`.

        Args:
            progress: fraction of the run's iterations before this one, in [0, 1).
        """
