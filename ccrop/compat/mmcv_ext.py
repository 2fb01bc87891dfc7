"""mmcv without its compiled operators.

mmcv's pure-Python install has no `mmcv._ext`, and `mmcv.ops` loads that module when it is imported, asking it
for every operator by name. mmdet imports `mmcv.ops` even where it only builds a ResNet, so without the module
nothing of mmdet can be imported. mmcv has no wheels for current torch, hence the stand-in below:

- `nms`, `roi_align_forward` and `roi_align_backward` run torchvision's operators, which compute the same.
- Every other operator exists, because mmcv asserts `hasattr` at import, and raises when it is called.
"""

import functools
import importlib.util
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType

import torch
import torchvision
from torch import Tensor


def install_mmcv_ext() -> None:
    """Make `mmcv.ops`, and with it mmdet, importable; call it before the first import of either.

    Registers the stand-in as `mmcv._ext`, unless a compiled one is installed, which is then left to be
    imported. Imports `mmcv` itself but none of its operators. Calling it again changes nothing.

    Also drops one line that `mmdet.datasets` would print twice on import (see `_drop_onedl_notice`).

    Raises:
        ModuleNotFoundError: mmcv is not installed.
    """
    _drop_onedl_notice()
    if "mmcv._ext" not in sys.modules and importlib.util.find_spec("mmcv._ext") is None:
        sys.modules["mmcv._ext"] = _StandIn("mmcv._ext")


class _StandIn(ModuleType):
    """Has an operator for every name without a leading underscore, and no loader, as MMEngine's look for one asks."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.__spec__ = ModuleSpec(name, loader=None)

    def __getattr__(self, name: str):
        if name.startswith("_"):
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        return _OPERATORS.get(name) or functools.partial(_raise_missing, name)


def _raise_missing(operator: str, *args, **kwargs) -> None:
    raise NotImplementedError(
        f"mmcv's operator {operator!r} is not compiled here, and ccrop has no twin of it. Compile mmcv from "
        f"source with its operators against the installed torch {torch.__version__}: "
        "MMCV_WITH_OPS=1 pip install --no-build-isolation --no-cache-dir --no-deps --force-reinstall "
        "onedl-mmcv"
    )


def _nms(boxes: Tensor, scores: Tensor, iou_threshold: float, offset: int) -> Tensor:
    """Indices of the kept boxes `(N, 4)`, best score first; a side is `x2 - x1 + offset` pixels long."""
    return torchvision.ops.nms(boxes + boxes.new_tensor([0, 0, offset, offset]), scores, iou_threshold)


def _roi_align_forward(
    features: Tensor,
    rois: Tensor,
    output: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    *,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    """Pool `features (N, C, H, W)` into `output (K, C, h, w)`.

    `rois (K, 5)` are image index, x0, y0, x1, y1 in pixels of the image; `spatial_scale` is 1 / stride.
    """
    _require_average(pool_mode)
    size = (aligned_height, aligned_width)
    output.copy_(torchvision.ops.roi_align(features, rois, size, spatial_scale, sampling_ratio, aligned))


def _roi_align_backward(
    grad_output: Tensor,
    rois: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    grad_input: Tensor,
    *,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    """Add the gradient of `_roi_align_forward` with respect to the features to `grad_input (N, C, H, W)`."""
    _require_average(pool_mode)
    size = (aligned_height, aligned_width)
    grad_input += torch.ops.torchvision._roi_align_backward(
        grad_output, rois, spatial_scale, *size, *grad_input.shape, sampling_ratio, aligned
    )


def _require_average(pool_mode: int) -> None:
    """torchvision's RoIAlign averages the samples of a bin; mmcv's mode 0 takes their maximum."""
    if pool_mode != 1:
        _raise_missing("roi_align (pool_mode='max')")


_OPERATORS = {"nms": _nms, "roi_align_forward": _roi_align_forward, "roi_align_backward": _roi_align_backward}


@functools.cache
def _drop_onedl_notice() -> None:
    """Keep `mmdet.datasets` from printing "Could not import OneDL. Skipping OneDL datasets.".

    The line is about optional data sets and has level DEBUG, but MMEngine's `print_log` prints whatever
    comes without a logger. mmdet takes `print_log` from `mmengine.logging`, so it is replaced there.
    """
    import mmengine.logging

    print_log = mmengine.logging.print_log

    @functools.wraps(print_log)
    def without_notice(msg, *args, **kwargs) -> None:
        if not str(msg).startswith("Could not import OneDL"):
            print_log(msg, *args, **kwargs)

    mmengine.logging.print_log = without_notice
