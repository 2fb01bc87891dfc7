"""Windows around the same places in all views of a scene: ContrastiveCrop in feature space.

A transform is a 2x3 matrix from a frame that all views share (fractions of the image, meters of a sweep) to fractions
of one view, so that a map of any stride can be pooled there.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torchvision.ops import roi_align

from ccrop.views import rectangles
from ccrop.views.centers import BetaCenters, GaussianCenters

BACKGROUND_TRIES = 16


def mirrored(transforms: Tensor, chosen: Tensor) -> Tensor:
    """Transforms ``(N, 2, 3)`` to views of which the ``chosen (N,)`` are mirrored left to right."""
    flipped = transforms.clone()
    flipped[:, 0] *= -1
    flipped[:, 0, 2] += 1
    return torch.where(chosen[:, None, None], flipped, transforms)


def transformed(boxes: Tensor, transforms: Tensor) -> Tensor:
    """Boxes ``(..., M, 4)`` x0, y0, x1, y1 under transforms ``(..., 2, 3)``.

    The center goes where the transform takes it. The sides are those of the bounds of the ellipse in the box: exact
    where nothing turns, and a square stays as large when it does.
    """
    middle = (boxes[..., :2] + boxes[..., 2:]) / 2
    half = (boxes[..., 2:] - boxes[..., :2]) / 2
    linear, offset = transforms[..., None, :, :2], transforms[..., None, :, 2]
    middle = (linear * middle[..., None, :]).sum(dim=-1) + offset
    half = (linear * half[..., None, :]).square().sum(dim=-1).sqrt()
    return torch.cat([middle - half, middle + half], dim=-1)


class WindowNoise(NamedTuple):
    """The random numbers of ``W`` windows in ``N`` images with ``V`` views, in [0, 1].

    Attributes:
        order: ``(N, K)``, uniform: clusters become windows in the order of these numbers, the highest first.
        size: ``(N, W)``, uniform: whose size a background window has.
        place: ``(N, W, TRIES, 2)``, uniform: where it is in the first view, per try.
        center: ``(N, V, W, 2)``: position of each view's window in the box, see :mod:`ccrop.views.centers`.
        area: ``(N, V, W)``, uniform: position in the range of areas.
    """

    order: Tensor
    size: Tensor
    place: Tensor
    center: Tensor
    area: Tensor

    def placed(self, places: Tensor, transforms: Tensor) -> "WindowNoise":
        """The same, but background windows lie at ``places (N, P, 2)`` of the shared frame, drawn again.

        Args:
            transforms: ``(N, 2, 3)`` from the shared frame to fractions of the first view.
        """
        num, total = places.shape[:2]
        chosen = torch.randint(total, self.place.shape[1:3], device=places.device).expand(num, -1, -1)
        points = places.take_along_dim(chosen.flatten(1)[..., None], dim=1).unflatten(1, chosen.shape[1:])
        linear, offset = transforms[:, None, None, :, :2], transforms[:, None, None, :, 2]
        return self._replace(place=(linear * points[..., None, :]).sum(dim=-1) + offset)

    @classmethod
    def draw(
        cls,
        num: int,
        views: int,
        boxes: int,
        windows: int,
        centers: BetaCenters | GaussianCenters,
        device: torch.device | str = "cpu",
    ) -> "WindowNoise":
        def uniform(*shape: int) -> Tensor:
            return torch.rand(shape, device=device)

        return cls(
            uniform(num, boxes),
            uniform(num, windows),
            uniform(num, windows, BACKGROUND_TRIES, 2),
            centers.sample((num, views, windows), device),
            uniform(num, views, windows),
        )


def window_pairs(
    boxes: Tensor,
    counts: Tensor,
    transforms: Tensor,
    noise: WindowNoise,
    num_objects: int,
    scale: tuple[float, float] = (1.0, 2.0),
    offset: float = 0.5,
    min_side: float = 0.1,
    min_visible: float = 0.5,
) -> tuple[Tensor, Tensor]:
    """Windows around the same places in all views of a scene, for a whole batch on any device.

    ``num_objects`` windows per image are around clusters of which every view shows enough, in turn if there are
    fewer. All others, and all where no cluster is shown, are around background: places that every view shows, as far
    from the clusters as possible in ``BACKGROUND_TRIES`` draws, with the size of some cluster of the batch (a sixth of
    the first view where the batch has none).

    Args:
        boxes: ``(N, K, 4)`` x0, y0, x1, y1 in the shared frame, ``counts (N,)`` of them.
        transforms: ``(N, V, 2, 3)`` to fractions of each view; invertible.
        scale: smallest and largest area of a window in areas of the box, per view.
        offset: largest distance of a window's center from the box's along each axis, in half sides of the box.
        min_side: shortest side of a window as a fraction of the view.
        min_visible: fraction of a cluster's box that every view must show.

    Returns:
        ``windows (N, V, W, 4)`` in fractions of the views, inside them, and ``is_object (N, W)``.
    """
    num = len(transforms)
    exists = torch.arange(boxes.shape[1], device=boxes.device) < counts[:, None]
    seen = transformed(boxes[:, None], transforms)
    shown = rectangles.area(seen.clamp(0, 1)) >= min_visible * rectangles.area(seen)
    usable = shown.all(dim=1) & exists & (rectangles.area(boxes) > 0)

    base = _background(boxes, exists, transforms, noise)
    is_object = torch.zeros(num, base.shape[1], dtype=torch.bool, device=boxes.device)
    if num_objects and boxes.shape[1]:
        best = noise.order.where(usable, -1.0).argsort(dim=1, descending=True)
        found = usable.sum(dim=1, keepdim=True)
        slots = torch.arange(num_objects, device=boxes.device).expand(num, num_objects)
        turn = best.gather(1, slots % found.clamp(min=1))
        is_object[:, :num_objects] = found > 0
        chosen = boxes.take_along_dim(turn[..., None], dim=1)
        base[:, :num_objects] = torch.where(found[..., None] > 0, chosen, base[:, :num_objects])

    middle = ((base[..., :2] + base[..., 2:]) / 2)[:, None]
    half = ((base[..., 2:] - base[..., :2]) / 2)[:, None]
    middle = middle + offset * half * (2 * noise.center - 1)
    half = half * (scale[0] + (scale[1] - scale[0]) * noise.area).sqrt()[..., None]
    windows = transformed(torch.cat([middle - half, middle + half], dim=-1), transforms)
    sides = (windows[..., 2:] - windows[..., :2]).clamp(min_side, 1)
    start = ((windows[..., :2] + windows[..., 2:] - sides) / 2).clamp(min=0).minimum(1 - sides)
    return torch.cat([start, start + sides], dim=-1), is_object


def pooled_windows(maps: Tensor, windows: Tensor, size: int) -> Tensor:
    """RoIAlign (He et al., ICCV 2017) of windows in fractions of a map.

    Args:
        maps: ``(N, C, h, w)``.
        windows: ``(N, W, 4)`` x0, y0, x1, y1.
        size: bins along each axis.

    Returns:
        ``(N W, C size size)``.
    """
    num, per_image = windows.shape[:2]
    height, width = maps.shape[2:]
    corners = torch.stack([windows.float()[..., 0::2] * width, windows.float()[..., 1::2] * height], dim=-1)
    image = torch.arange(num, device=maps.device, dtype=torch.float32).repeat_interleave(per_image)
    rois = torch.cat([image[:, None], corners.view(-1, 4)], dim=1)
    samples = max(1, 4 // size)
    return roi_align(maps.float(), rois, size, sampling_ratio=samples, aligned=True).flatten(1)


def _background(boxes: Tensor, exists: Tensor, transforms: Tensor, noise: WindowNoise) -> Tensor:
    """Boxes ``(N, W, 4)`` in the shared frame, in places that all views show and clusters do not fill."""
    inverse = _inverse(transforms[:, 0])
    corners = (torch.arange(4, device=boxes.device) // 2 - 0.5) / 6  # of a square of a sixth of the view
    sixth = transformed(corners.expand(len(boxes), 1, 4), inverse)
    own = (sixth[..., 2:] - sixth[..., :2]).expand(-1, noise.size.shape[1], 2)
    if boxes.shape[1]:
        # the existing boxes of the batch in front, one of them for each window
        order = exists.flatten().int().argsort(descending=True, stable=True)
        total = exists.sum()
        drawn = order[(noise.size * total).long().clamp(max=exists.numel() - 1)]
        sizes = (boxes[..., 2:] - boxes[..., :2]).flatten(0, 1)[drawn]
        own = torch.where(total > 0, sizes, own)

    place = noise.place  # (N, W, T, 2)
    points = (inverse[:, None, None, :, :2] * place[..., None, :]).sum(dim=-1) + inverse[:, None, None, :, 2]
    in_views = (transforms[:, :, None, None, :, :2] * points[:, None, :, :, None, :]).sum(dim=-1)
    in_views = in_views + transforms[:, :, None, None, :, 2]
    inside = ((in_views >= 0) & (in_views <= 1)).all(dim=-1).all(dim=1)  # (N, W, T)
    candidates = torch.cat([points - own[:, :, None] / 2, points + own[:, :, None] / 2], dim=-1)
    taken = rectangles.intersection(candidates[:, :, :, None], boxes[:, None, None])
    taken = taken.where(exists[:, None, None], 0.0).sum(dim=-1) / rectangles.area(candidates).clamp(min=1e-12)
    best = (inside.to(taken) * 2 - taken.clamp(max=1)).argmax(dim=-1)
    return candidates.take_along_dim(best[..., None, None], dim=2).squeeze(2)


def _inverse(transforms: Tensor) -> Tensor:
    """Of transforms ``(N, 2, 3)``."""
    (a, b, c), (d, e, f) = (row.unbind(-1) for row in transforms.unbind(-2))
    determinant = a * e - b * d
    rows = [torch.stack([e, -b, b * f - c * e], dim=-1), torch.stack([-d, a, c * d - a * f], dim=-1)]
    return torch.stack(rows, dim=-2) / determinant[..., None, None]
