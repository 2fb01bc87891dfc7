import math

import pytest
import torch
from operators import Operators
from torch.testing import assert_close

from ccrop.localization import center_heatmaps, gaussian_heatmaps, gaussian_radius


def root_of(a, b, c, sign):
    return (-b + sign * math.sqrt(b * b - 4 * a * c)) / (2 * a)


def overlaps_at(r, height, width):
    """IoU of a box with itself, its corners moved by r: one in and one out, both in, both out."""
    shared = (height - r) * (width - r)
    inner, outer = (height - 2 * r) * (width - 2 * r), (height + 2 * r) * (width + 2 * r)
    return shared / (2 * height * width - shared), inner / (height * width), height * width / outer


def smallest_radius(height, width, overlap):
    """Largest r at which all three IoUs are at least the overlap, by bisection."""
    low, high = 0.0, min(height, width) / 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if min(overlaps_at(middle, height, width)) >= overlap else (low, middle)
    return low


def shipped_radius(height, width, overlap):
    """CenterPoint's gaussian_radius, line by line."""
    b1 = height + width
    c1 = width * height * (1 - overlap) / (1 + overlap)
    r1 = (b1 + math.sqrt(b1**2 - 4 * c1)) / 2
    b2 = 2 * (height + width)
    c2 = (1 - overlap) * width * height
    r2 = (b2 + math.sqrt(b2**2 - 16 * c2)) / 2
    a3 = 4 * overlap
    b3 = -2 * overlap * (height + width)
    c3 = (overlap - 1) * width * height
    r3 = (b3 + math.sqrt(b3**2 - 4 * a3 * c3)) / 2
    return min(r1, r2, r3)


def object_by_object(centers, radii, images, labels, shape):
    """CenterPoint's draw_gaussian as a loop over objects and cells."""
    heatmaps = torch.zeros(shape)
    height, width = shape[2:]
    for (x, y), radius, image, label in zip(centers.tolist(), radii.tolist(), images, labels, strict=True):
        if not (0 <= x < width and 0 <= y < height):
            continue
        column, row = int(x), int(y)
        sigma = (2 * radius + 1) / 6
        for down in range(-radius, radius + 1):
            for right in range(-radius, radius + 1):
                if 0 <= row + down < height and 0 <= column + right < width:
                    value = math.exp(-(down**2 + right**2) / (2 * sigma**2))
                    cell = heatmaps[image, label, row + down, column + right]
                    cell.copy_(max(cell, torch.tensor(value)))
    return heatmaps


def draw(centers, radii, shape=(1, 1, 8, 10), images=None, labels=None):
    nothing = torch.zeros(len(centers), dtype=torch.long)
    images = nothing if images is None else torch.tensor(images)
    labels = nothing if labels is None else torch.tensor(labels)
    return center_heatmaps(torch.tensor(centers).view(-1, 2), torch.tensor(radii).long(), images, labels, shape)


SIDES = torch.rand(300, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 120


@pytest.mark.parametrize("overlap", [0.1, 0.3, 0.5, 0.7])
def test_shipped_radius(overlap):
    expected = [max(2, math.floor(shipped_radius(*sides, overlap))) for sides in SIDES.tolist()]
    assert gaussian_radius(SIDES, overlap).tolist() == expected
    assert max(expected) > 2


@pytest.mark.parametrize("overlap", [0.1, 0.3, 0.5, 0.7])
def test_corrected_radius_keeps_the_overlap_and_no_larger_one_does(overlap):
    radii = gaussian_radius(SIDES, overlap, min_radius=0, formula="corrected")
    assert radii.tolist() == [math.floor(smallest_radius(*sides, overlap)) for sides in SIDES.tolist()]
    for radius, sides in zip(radii.tolist(), SIDES.tolist(), strict=True):
        assert min(overlaps_at(radius, *sides)) >= overlap
        # beyond half a side both corners inwards is no box any more
        assert radius + 1 > min(sides) / 2 or min(overlaps_at(radius + 1, *sides)) < overlap


@pytest.mark.parametrize("overlap", [0.1, 0.5, 0.9])
def test_corrected_radius_solves_the_quadratic_equations(overlap):
    for sides in SIDES.tolist():
        height, width = sides
        roots = [
            root_of(1, -(height + width), height * width * (1 - overlap) / (1 + overlap), -1),
            root_of(4, -2 * (height + width), (1 - overlap) * height * width, -1),
            root_of(4 * overlap, 2 * overlap * (height + width), (overlap - 1) * height * width, 1),
        ]
        radius = gaussian_radius(torch.tensor(sides, dtype=torch.float64), overlap, 0, "corrected")
        assert radius == math.floor(min(roots))


def test_radii_of_a_car_in_cells():
    # 4.6 m x 1.9 m in cells of 0.8 m: 5.75 x 2.375
    car = torch.tensor([[5.75, 2.375], [2.375, 5.75]])
    assert gaussian_radius(car).tolist() == [2, 2]
    assert gaussian_radius(car, min_radius=0).tolist() == [1, 1]
    assert gaussian_radius(torch.tensor([[40.0, 40.0]]), 0.5).tolist() == [math.floor(shipped_radius(40, 40, 0.5))]
    assert gaussian_radius(torch.tensor([[40.0, 40.0]]), 0.5, formula="corrected").tolist() == [5]


def test_radii_keep_the_shape_and_grow_with_the_box():
    sizes = torch.arange(1, 201).float()[:, None].expand(200, 2).view(2, 100, 2)
    for formula in ("shipped", "corrected"):
        radii = gaussian_radius(sizes, 0.3, formula=formula)
        assert radii.shape == (2, 100)
        assert radii.dtype == torch.long
        assert radii.flatten().diff().amin() >= 0
        assert radii.amin() == 2


def test_boxes_without_an_area_have_the_smallest_radius():
    sizes = torch.tensor([[0.0, 0.0], [0.0, 50.0], [-3.0, 4.0]])
    for formula in ("shipped", "corrected"):
        assert gaussian_radius(sizes, formula=formula).tolist() == [2, 2, 2]
        assert gaussian_radius(sizes, min_radius=5, formula=formula).tolist() == [5, 5, 5]
    assert gaussian_radius(torch.zeros(0, 2)).shape == (0,)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(dict(min_overlap=0.0), "min_overlap must be in"), (dict(formula="cornernet"), "formula must be one of")],
)
def test_refuses_what_makes_no_radius(arguments, message):
    with pytest.raises(ValueError, match=message):
        gaussian_radius(torch.ones(1, 2), **arguments)


def test_one_object_by_hand():
    heatmap = draw([[4.7, 3.2]], [2])[0, 0]
    sigma = 5 / 6
    assert heatmap[3, 4] == 1
    assert heatmap[3, 5].item() == pytest.approx(math.exp(-1 / (2 * sigma**2)))
    assert heatmap[1, 2].item() == pytest.approx(math.exp(-8 / (2 * sigma**2)))
    assert heatmap[1, 4].item() == pytest.approx(math.exp(-4 / (2 * sigma**2)))
    assert (heatmap > 0).sum() == 25
    assert (heatmap[1:6, 2:7] > 0).all()


@pytest.mark.parametrize("shape", [(3, 2, 16, 16), (2, 4, 5, 40), (1, 1, 1, 1), (2, 1, 30, 7)])
def test_equals_the_loop_over_objects(shape):
    generator = torch.Generator().manual_seed(0)
    number = 60
    # a third of the centers is outside the grid
    reach = torch.tensor([shape[3], shape[2]]).float()
    centers = (torch.rand(number, 2, generator=generator) * 1.4 - 0.2) * reach
    radii = torch.randint(0, 9, (number,), generator=generator)
    images, labels = (torch.randint(0, length, (number,), generator=generator) for length in shape[:2])
    heatmaps = center_heatmaps(centers, radii, images, labels, shape)
    expected = object_by_object(centers, radii, images, labels, shape)
    assert heatmaps.dtype == torch.float32
    torch.testing.assert_close(heatmaps, expected, atol=1e-6, rtol=1e-5)
    assert torch.equal(heatmaps > 0, expected > 0)
    inside = ((centers >= 0) & (centers < reach)).all(dim=1)
    assert 0 < inside.sum() < number
    x, y = centers[inside].long().unbind(1)
    assert (heatmaps[images[inside], labels[inside], y, x] == 1).all()
    assert (heatmaps == 1).sum() == len(torch.stack([images[inside], labels[inside], y, x]).unique(dim=1)[0])


def test_objects_on_the_borders_are_cut():
    whole = draw([[10.5, 10.5]], [3], (1, 1, 21, 21))[0, 0]
    for x, y in [(0, 0), (9, 0), (0, 7), (9, 7), (0, 3), (5, 7)]:
        heatmap = draw([[x + 0.5, y + 0.5]], [3])[0, 0]
        assert torch.equal(heatmap, whole[10 - y : 18 - y, 10 - x : 20 - x])


@pytest.mark.parametrize(
    "center", [[-0.01, 3.0], [10.0, 3.0], [3.0, -0.5], [3.0, 8.0], [-1e9, 0.0], [math.nan, 3.0], [3.0, math.inf]]
)
def test_centers_outside_the_grid_draw_nothing(center):
    assert (draw([center], [4]) == 0).all()
    assert torch.equal(draw([center, [2.0, 2.0]], [4, 2]), draw([[2.0, 2.0]], [2]))


def test_overlapping_objects_take_the_maximum():
    first, second = draw([[3.0, 3.0]], [3]), draw([[5.0, 4.0]], [2])
    both = draw([[3.0, 3.0], [5.0, 4.0]], [3, 2])
    assert torch.equal(both, torch.maximum(first, second))
    assert torch.equal(both, draw([[5.0, 4.0], [3.0, 3.0], [3.0, 3.0]], [2, 3, 2]))


def test_images_and_classes_do_not_mix():
    heatmaps = draw([[1.0, 1.0], [9.0, 7.0]], [2, 2], (2, 3, 8, 10), images=[0, 1], labels=[2, 0])
    drawn = heatmaps.flatten(2).any(dim=2)
    assert drawn.tolist() == [[False, False, True], [True, False, False]]


def test_no_objects():
    heatmaps = draw([], [], (2, 3, 4, 5))
    assert heatmaps.shape == (2, 3, 4, 5)
    assert (heatmaps == 0).all()


@pytest.mark.parametrize(("name", "wrong"), [("images", [0, 2]), ("labels", [-1, 0])])
def test_refuses_objects_of_no_image_or_class(name, wrong):
    with pytest.raises(ValueError, match=f"{name} must be from 0 to 1, got"):
        draw([[1.0, 1.0], [2.0, 2.0]], [2, 2], (2, 2, 8, 10), **{name: wrong})
    # unless they lie outside the grid, as the padding of a batch does
    draw([[-1.0, 1.0], [-2.0, 2.0]], [2, 2], (2, 2, 8, 10), **{name: wrong})


def test_on_an_accelerator_objects_are_drawn_alike_and_the_host_never_waits(monkeypatch):
    """What runs there, run here, in more than one part."""
    generator = torch.Generator().manual_seed(3)
    number, shape = 40, (2, 3, 9, 14)
    centers = torch.rand(number, 2, generator=generator) * torch.tensor([18.0, 13.0]) - 2
    centers[5] = torch.nan
    radii = torch.randint(0, 6, (number,), generator=generator)
    images, labels = (torch.randint(0, length, (number,), generator=generator) for length in shape[:2])
    expected = object_by_object(centers.nan_to_num(-1), radii, images, labels, shape)
    assert expected.count_nonzero() > 200
    monkeypatch.setattr(gaussian_heatmaps, "_draw_into_squares", gaussian_heatmaps._draw_into_planes)
    monkeypatch.setattr(gaussian_heatmaps, "CELLS", 9 * 14 * 16)  # parts of 16 objects
    assert_close(center_heatmaps(centers, radii, images, labels, shape), expected)
    heatmaps = torch.zeros(6, 9, 14)
    x, y = centers.nan_to_num(0).long().unbind(-1)
    with Operators() as operators:
        gaussian_heatmaps._draw_into_planes(
            heatmaps, x, y, radii, images * 3 + labels, torch.ones(number, dtype=torch.bool)
        )
    assert operators.counts["index_reduce_"] == 3
    assert operators.waiting == {}
    assert operators.counts["repeat_interleave"] == 0  # by counts that only the device knows
