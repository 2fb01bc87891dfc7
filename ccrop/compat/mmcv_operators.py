"""Twins of mmcv's compiled operators over torchvision, with the signatures of `mmcv._ext`.

mmcv's wrappers allocate the outputs, and the operators fill them. All run on the CPU and on the GPU. Inputs of 16 bits
are computed in float32: torchvision has no such kernels for the backward pass, and the focal loss of an easy example
would be rounded to 0.
"""

from collections.abc import Callable, Iterator
from typing import Any

import torch
import torchvision
from torch import Tensor

MAXIMUM, AVERAGE = 0, 1  # mmcv's pool modes
NAIVE, LINEAR, GAUSSIAN = 0, 1, 2  # mmcv's methods of soft NMS


def missing(operator: str, *args: Any, **kwargs: Any) -> None:
    """Stands in for every operator without a twin.

    Raises:
        NotImplementedError: names the operator, and how to compile mmcv.
    """
    raise NotImplementedError(
        f"mmcv's operator {operator!r} is not compiled here, and ccrop has no replacement for it. Compile mmcv from "
        f"source with its operators against the installed torch {torch.__version__}: "
        "MMCV_WITH_OPS=1 pip install --no-build-isolation --no-cache-dir --no-deps --force-reinstall "
        "onedl-mmcv"
    )


def _wide(*tensors: Tensor) -> list[Tensor]:
    """The tensors in float32, or in float64 where they are."""
    return [each.to(torch.promote_types(each.dtype, torch.float32)) for each in tensors]


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float, offset: int) -> Tensor:
    """Indices of the kept boxes `(N, 4)`, best score first; a side is `x2 - x1 + offset` pixels long."""
    boxes, scores = _wide(boxes, scores)
    return torchvision.ops.nms(boxes + boxes.new_tensor([0, 0, offset, offset]), scores, iou_threshold)


def softnms(
    boxes: Tensor,
    scores: Tensor,
    dets: Tensor,
    iou_threshold: float,
    sigma: float,
    min_score: float,
    method: int,
    offset: int,
) -> Tensor:
    """Indices of the kept boxes, best score first (Bodla et al., ICCV 2017); their boxes and scores go to `dets`.

    The score of every box that is left falls by its IoU with the best one; below `min_score` it drops out.

    Args:
        boxes: `(N, 4)` as x0, y0, x1, y1 in pixels; a side is `x1 - x0 + offset` pixels long.
        scores: `(N,)`.
        dets: `(N, 5)`, filled from the top with the kept boxes and their decayed scores.
        method: 0 drops boxes above the threshold, as NMS does; 1 decays those linearly; 2 all by a Gaussian.
    """
    boxes, scores = _wide(boxes, scores)
    closed = boxes + boxes.new_tensor([0, 0, offset, offset])
    left, scores = torch.arange(len(boxes), device=boxes.device), scores.clone()
    kept: list[Tensor] = []
    while len(left):
        best = left[scores[left].argmax()]
        dets[len(kept), :4], dets[len(kept), 4] = boxes[best], scores[best]
        kept.append(best)
        left = left[left != best]
        iou = torchvision.ops.box_iou(closed[best, None], closed[left])[0]
        if method == GAUSSIAN:
            scores[left] *= torch.exp(-iou.square() / sigma)
        else:
            scores[left] *= torch.where(iou < iou_threshold, 1.0, 1 - iou if method == LINEAR else 0.0)
        left = left[scores[left] >= min_score]
    return torch.stack(kept) if kept else left


def roi_align_forward(
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

    `rois (K, 5)` are image index, x0, y0, x1, y1 in pixels of the image; `spatial_scale` is 1 / stride. For the
    maximum, `argmax_y` and `argmax_x` take the row and the column of the highest sample in its bin.
    """
    features, rois = _wide(features, rois)
    size = (aligned_height, aligned_width)
    if pool_mode == AVERAGE:
        output.copy_(torchvision.ops.roi_align(features, rois, size, spatial_scale, sampling_ratio, aligned))
        return
    for chosen, rows, columns in _sample_grids(rois, size, spatial_scale, sampling_ratio, aligned):
        # one sample a bin of a grid so fine that every sample is a bin of its own
        fine = (size[0] * rows, size[1] * columns)
        samples = torchvision.ops.roi_align(features, rois[chosen], fine, spatial_scale, 1, aligned)
        samples = samples.unflatten(2, (size[0], rows)).unflatten(4, (size[1], columns))
        highest, number = samples.transpose(3, 4).flatten(4).max(dim=4)
        output[chosen] = highest.to(output)
        argmax_y[chosen], argmax_x[chosen] = (number // columns).to(argmax_y), (number % columns).to(argmax_x)


def roi_align_backward(
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
    """Add the gradient of `roi_align_forward` with respect to the features to `grad_input (N, C, H, W)`."""
    grad_output, rois = _wide(grad_output, rois)
    backward = torch.ops.torchvision._roi_align_backward
    size = (aligned_height, aligned_width)
    if pool_mode == AVERAGE:
        grad_input += backward(grad_output, rois, spatial_scale, *size, *grad_input.shape, sampling_ratio, aligned)
        return
    for chosen, rows, columns in _sample_grids(rois, size, spatial_scale, sampling_ratio, aligned):
        grad = grad_output[chosen]
        samples = grad.new_zeros(*grad.shape, rows * columns)
        number = columns * argmax_y[chosen].long() + argmax_x[chosen].long()
        samples.scatter_(4, number[..., None], grad[..., None])
        fine = samples.unflatten(4, (rows, columns)).transpose(3, 4).flatten(4, 5).flatten(2, 3).contiguous()
        grad_input += backward(fine, rois[chosen], spatial_scale, *fine.shape[2:], *grad_input.shape, 1, aligned)


def _sample_grids(
    rois: Tensor, size: tuple[int, int], spatial_scale: float, sampling_ratio: int, aligned: bool
) -> Iterator[tuple[Tensor, int, int]]:
    """Indices of RoIs that have the same number of samples per bin, with its rows and columns.

    With `sampling_ratio` 0 a bin has as many rows of samples as it is cells high, rounded up, columns likewise.
    """
    if sampling_ratio > 0:
        yield torch.arange(len(rois), device=rois.device), sampling_ratio, sampling_ratio
        return
    sides = (rois[:, [4, 3]] - rois[:, [2, 1]]) * spatial_scale
    if not aligned:
        sides = sides.clamp(min=1)
    grids = torch.ceil(sides / sides.new_tensor(size)).clamp(min=1).long()
    kinds, kind_of = grids.unique(dim=0, return_inverse=True)
    for kind, (rows, columns) in enumerate(kinds.tolist()):
        yield (kind_of == kind).nonzero()[:, 0], rows, columns


def sigmoid_focal_loss_forward(
    logits: Tensor, target: Tensor, weight: Tensor, output: Tensor, *, gamma: float, alpha: float
) -> None:
    """Focal loss (Lin et al., ICCV 2017, equation 5) of `logits (N, C)` into `output (N, C)`.

    `target (N,)` are classes from 0; C is background. A `weight` per class is refused: mmdet never passes one.
    """
    (logits,) = _wide(logits)
    output.copy_(_focal_loss(logits, target, weight, gamma, alpha))


def sigmoid_focal_loss_backward(
    logits: Tensor, target: Tensor, weight: Tensor, grad_input: Tensor, *, gamma: float, alpha: float
) -> None:
    """The gradient of each element of `sigmoid_focal_loss_forward` by its logit, into `grad_input (N, C)`."""
    with torch.enable_grad():
        (logits,) = _wide(logits.detach())
        logits.requires_grad_()
        loss = _focal_loss(logits, target, weight, gamma, alpha).sum()
    grad_input.copy_(torch.autograd.grad(loss, logits)[0])


def _focal_loss(logits: Tensor, target: Tensor, weight: Tensor, gamma: float, alpha: float) -> Tensor:
    if weight.numel():
        missing("sigmoid_focal_loss with a weight per class")
    positive = target[:, None] == torch.arange(logits.shape[1], device=logits.device)
    return torchvision.ops.sigmoid_focal_loss(logits, positive.to(logits), alpha, gamma)


TWINS: dict[str, Callable] = {
    each.__name__: each
    for each in (
        nms,
        softnms,
        roi_align_forward,
        roi_align_backward,
        sigmoid_focal_loss_forward,
        sigmoid_focal_loss_backward,
    )
}
