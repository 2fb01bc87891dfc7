"""Positions in float32 where mmdet computes them in the type of the features.

Under autocast features are bf16, whose 8 bits of precision leave multiples of 2 px from 256 px on, of 4 px from 512 px
on and of 8 px from 1024 px on. mmdet rounds anchors, points and RoIs so, and with them boxes: small objects are lost,
and NumPy cannot read such boxes at all.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor


@functools.cache
def keep_positions() -> None:
    """Make mmdet compute anchors, points and RoIs in float32 at least; calling it again changes nothing."""
    from mmdet.models.roi_heads.roi_extractors import SingleRoIExtractor
    from mmdet.models.task_modules.prior_generators import AnchorGenerator, MlvlPointGenerator

    for generator in (AnchorGenerator, MlvlPointGenerator):
        generator.grid_priors = _priors(generator.grid_priors)
    SingleRoIExtractor.forward = _extraction(SingleRoIExtractor.forward)


def _wide(dtype: torch.dtype) -> torch.dtype:
    return torch.promote_types(dtype, torch.float32)


def _priors(grid_priors: Callable[..., list[Tensor]]) -> Callable[..., list[Tensor]]:
    @functools.wraps(grid_priors)
    def exact(self: Any, featmap_sizes: Sequence, dtype: torch.dtype = torch.float32, **kwargs: Any) -> list[Tensor]:
        return grid_priors(self, featmap_sizes, dtype=_wide(dtype), **kwargs)

    return exact


def _extraction(forward: Callable[..., Tensor]) -> Callable[..., Tensor]:
    @functools.wraps(forward)
    def exact(self: Any, feats: Sequence[Tensor], rois: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        pooled = forward(self, [each.to(_wide(each.dtype)) for each in feats], rois, *args, **kwargs)
        return pooled.to(feats[0].dtype)

    return exact
