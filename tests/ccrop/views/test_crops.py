import math

import numpy as np
import pytest
import torch
from scipy import stats
from torchvision.transforms import RandomResizedCrop

from ccrop.views import ContrastiveCrop, CropNoise, RandomCrop, contrastive_crops, crop_sizes, random_crops
from ccrop.views.crops import TRIES

NO_BOXES = np.zeros((0, 5), np.float32)
IMAGE_SIZES = [(240, 320), (32, 32), (33, 47), (480, 640), (1000, 10), (10, 1000), (1, 1), (1, 7), (3, 2)]
SCALES = [(0.2, 1.0), (0.01, 0.05), (1.0, 1.0)]
RATIOS = [(3 / 4, 4 / 3), (0.2, 0.4), (1.0, 1.0)]


def crop_by_hand(image_size, box, area, aspect, center, scale, ratio):
    """One rectangle, in plain Python: ContrastiveCrop in a box, RandomResizedCrop without one (None)."""
    height, width = image_size
    for area_position, aspect_position in zip(area, aspect, strict=True):
        target = height * width * (scale[0] + area_position * (scale[1] - scale[0]))
        proportion = ratio[0] * (ratio[1] / ratio[0]) ** aspect_position
        w, h = round(math.sqrt(target * proportion)), round(math.sqrt(target / proportion))
        if 0 < w <= width and 0 < h <= height:
            break
    else:
        if width / height < ratio[0]:
            w, h = width, max(1, round(width / ratio[0]))
        elif width / height > ratio[1]:
            w, h = max(1, round(height * ratio[1])), height
        else:
            w, h = width, height
        return [(width - w) // 2, (height - h) // 2, (width - w) // 2 + w, (height - h) // 2 + h], True

    corner = []
    for length, size, axis in ((width, w, 0), (height, h, 1)):
        if box is None:
            corner.append(min(int(center[axis] * (length - size + 1)), length - size))
        else:
            start, stop = (min(max(int(length * box[i]) - size // 2, 0), length - size) for i in (axis, axis + 2))
            corner.append(start + int((stop - start) * center[axis]))
    return [*corner, corner[0] + w, corner[1] + h], False


def random_box(rng):
    x0, x1 = np.sort(rng.random(2))
    y0, y1 = np.sort(rng.random(2))
    return np.array([x0, y0, x1, y1])


def boxes_for_tests():
    rng = np.random.default_rng(1)
    special = [
        (0, 0, 1, 1),
        (0.25, 0.25, 0.75, 0.75),
        (0, 0, 0, 0),
        (1, 1, 1, 1),
        (0.3, 0.6, 0.3, 0.6),
        (0, 0.9, 0.1, 1),
    ]
    return [np.array(box, dtype=float) for box in special] + [random_box(rng) for _ in range(10)]


@pytest.mark.parametrize("ratio", RATIOS)
@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("image_size", IMAGE_SIZES)
def test_rectangles_agree_with_the_formulas(image_size, scale, ratio):
    rng = np.random.default_rng(0)
    for box in [None, *boxes_for_tests()]:
        noise = CropNoise.draw(rng, 20, alpha=0.6)
        if box is None:
            rectangles = random_crops(image_size, noise, scale, ratio)
        else:
            rectangles = contrastive_crops(image_size, box, noise, scale, ratio)
        expected = [
            crop_by_hand(image_size, box, *numbers, scale, ratio)[0]
            for numbers in zip(*(part.tolist() for part in noise), strict=True)
        ]
        assert rectangles.dtype == np.int64
        assert rectangles.tolist() == expected


def test_40000_crops_agree_with_the_formulas_to_the_pixel():
    """Boxes as a localizer gives them: indices of pixels over the size of the heatmap, in float32."""
    rng = np.random.default_rng(7)
    scale, ratio = (0.2, 1.0), (3 / 4, 4 / 3)
    for _ in range(10_000):
        image_size = tuple(rng.integers(32, 2000, 2).tolist())
        side = int(rng.choice([32, 100, 224, 448]))
        (x0, x1), (y0, y1) = np.sort(rng.integers(0, side, (2, 2)))
        box = (np.array([x0, y0, x1, y1]) / side).astype(np.float32)
        noise = CropNoise.draw(rng, 4, alpha=0.6)
        numbers = zip(*(part.tolist() for part in noise), strict=True)
        expected = [crop_by_hand(image_size, box.tolist(), *each, scale, ratio)[0] for each in numbers]
        assert contrastive_crops(image_size, box, noise, scale, ratio).tolist() == expected


def test_fallbacks_are_among_the_cases():
    noise = CropNoise.draw(np.random.default_rng(0), 50)

    def fallbacks(image_size):
        numbers = zip(*(part.tolist() for part in noise), strict=True)
        return sum(crop_by_hand(image_size, None, *n, (0.2, 1.0), (3 / 4, 4 / 3))[1] for n in numbers)

    assert fallbacks((1000, 10)) == fallbacks((10, 1000)) == 50
    assert fallbacks((240, 320)) == 0
    # ten tries at sizes that never fit leave the largest central crop
    assert random_crops((1000, 10), noise)[0].tolist() == [0, 493, 10, 506]
    assert contrastive_crops((10, 1000), np.zeros(4), noise)[0].tolist() == [493, 0, 506, 10]


def noise_of(area, aspect, center):
    return CropNoise(np.full((1, TRIES), area), np.full((1, TRIES), aspect), np.array([center]))


@pytest.mark.parametrize(
    ("center", "rectangle"),
    [
        # half of 100 x 200 px at aspect 1 is 100 x 100 px; centers between x = 100 and 200, cut to 150
        ((0.0, 0.5), (50, 0, 150, 100)),
        ((0.5, 0.5), (75, 0, 175, 100)),
        ((1.0, 0.5), (100, 0, 200, 100)),
    ],
)
def test_center_in_the_right_half(center, rectangle):
    noise = noise_of(0.375, 0.5, center)
    assert contrastive_crops((100, 200), np.array([0.5, 0.0, 1.0, 1.0]), noise)[0].tolist() == list(rectangle)


def test_the_first_try_that_fits_counts():
    noise = noise_of(0.0, 0.5, (0.0, 0.0))
    noise.area[0, :2] = 1.0  # as large as the image, but square
    noise.area[0, 2] = 0.375
    widths, heights, fitted = crop_sizes((100, 200), noise, (0.2, 1.0), (3 / 4, 4 / 3))
    assert (widths.tolist(), heights.tolist(), fitted.tolist()) == ([100], [100], [True])


@pytest.mark.parametrize("image_size", IMAGE_SIZES)
def test_crops_stay_inside_the_image(image_size):
    rng = np.random.default_rng(0)
    height, width = image_size
    for box in boxes_for_tests():
        noise = CropNoise.draw(rng, 60, alpha=0.1)
        for part in noise:
            part[:10] = 0
            part[10:20] = 1
        for rectangles in (contrastive_crops(image_size, box, noise), random_crops(image_size, noise)):
            left, top, right, bottom = rectangles.T
            assert (left >= 0).all()
            assert (top >= 0).all()
            assert (right <= width).all()
            assert (bottom <= height).all()
            assert (left < right).all()
            assert (top < bottom).all()


def test_centers_lie_in_the_box_as_far_as_the_image_allows():
    rng = np.random.default_rng(0)
    height, width = 240, 320
    inside = 0
    for box in boxes_for_tests():
        left, top, right, bottom = contrastive_crops((height, width), box, CropNoise.draw(rng, 100, 0.1)).T
        for start, stop, length, low, high in ((left, right, width, *box[::2]), (top, bottom, height, *box[1::2])):
            size = stop - start
            center = start + size // 2
            # a crop that touches the edge keeps its center this far inside
            nearest, farthest = size // 2, length - size + size // 2
            assert (center >= np.clip(int(length * low), nearest, farthest)).all()
            assert (center <= np.clip(int(length * high), nearest, farthest)).all()
            inside += ((center >= int(length * low)) & (center <= int(length * high))).sum()
    assert inside > 1000


def test_ends_of_the_noise_reach_the_ends_of_the_range():
    box = np.array([0.4, 0.3, 0.6, 0.7])
    first = contrastive_crops((200, 100), box, noise_of(0.0, 0.5, (0.0, 0.0)))[0]
    last = contrastive_crops((200, 100), box, noise_of(0.0, 0.5, (1.0, 1.0)))[0]
    # sqrt(0.2 * 20000) = 63 px; half is 31
    assert first.tolist() == [40 - 31, 60 - 31, 40 - 31 + 63, 60 - 31 + 63]
    assert last.tolist() == [min(60 - 31, 100 - 63), 140 - 31, min(60 - 31, 100 - 63) + 63, 140 - 31 + 63]


def centers(crop, image_size=(240, 320), box=(0.2, 0.2, 0.8, 0.8, 1.0), num=4000, seed=0):
    boxes = np.array([box], np.float32)
    rectangles = crop(np.random.default_rng(seed), image_size, boxes, num)
    return (rectangles[:, :2] + rectangles[:, 2:]) / 2


def test_small_alpha_suppresses_the_middle():
    spread = {
        alpha: centers(ContrastiveCrop(alpha, scale=(0.001, 0.002))).var(axis=0) for alpha in (0.1, 0.6, 1.0, 3.0)
    }
    # Beta(a, a) has the variance 1 / (4 (2 a + 1)) on the unit interval, here 192 and 144 px long
    for alpha, variance in spread.items():
        expected = np.array([192, 144]) ** 2 / (4 * (2 * alpha + 1))
        np.testing.assert_allclose(variance, expected, rtol=0.06)
    assert (spread[0.1] > 1.2 * spread[0.6]).all()
    assert (spread[0.6] > 1.2 * spread[1.0]).all()


@pytest.mark.parametrize("alpha", [0.1, 0.6, 1.0, 2.0])
def test_center_noise_is_beta_distributed(alpha):
    noise = CropNoise.draw(np.random.default_rng(0), 5000, alpha)
    for axis in noise.center.T:
        assert stats.kstest(axis, stats.beta(alpha, alpha).cdf).pvalue > 0.01
        assert stats.kstest(axis, stats.beta(1.3 * alpha, 1.3 * alpha).cdf).pvalue < 1e-4
    assert abs(np.corrcoef(noise.center.T)[0, 1]) < 0.05


def test_size_noise_is_uniform_and_independent():
    noise = CropNoise.draw(np.random.default_rng(0), 2000, 0.1)
    assert noise.area.shape == noise.aspect.shape == (2000, TRIES)
    for part in (noise.area, noise.aspect):
        assert stats.kstest(part.ravel(), "uniform").pvalue > 0.01
    assert abs(np.corrcoef(noise.area.ravel(), noise.aspect.ravel())[0, 1]) < 0.03


@pytest.mark.parametrize("image_size", [(240, 320), (64, 400), (1000, 10)])
def test_without_boxes_it_is_exactly_random_crop(image_size):
    expected = RandomCrop()(np.random.default_rng(3), image_size, NO_BOXES, 50)
    for alpha in (0.1, 1.0):
        assert (ContrastiveCrop(alpha)(np.random.default_rng(3), image_size, NO_BOXES, 50) == expected).all()


def test_random_crop_ignores_boxes():
    boxes = np.array([[0.0, 0.0, 0.1, 0.1, 1.0]], np.float32)
    with_boxes, without = (RandomCrop()(np.random.default_rng(3), (240, 320), b, 50) for b in (boxes, NO_BOXES))
    assert (with_boxes == without).all()


def test_only_the_first_box_counts():
    one = np.array([[0.1, 0.2, 0.3, 0.4, 1.0]], np.float32)
    two = np.concatenate([one, one[:, ::-1]])
    first, second = (ContrastiveCrop()(np.random.default_rng(3), (240, 320), boxes, 50) for boxes in (one, two))
    assert (first == second).all()


@pytest.mark.parametrize("boxes", [NO_BOXES, np.array([[0.1, 0.2, 0.8, 0.9, 1.0]], np.float32)])
def test_views_of_an_image_differ_and_repeat_with_the_generator(boxes):
    crop = ContrastiveCrop(0.6)
    rectangles = crop(np.random.default_rng(3), (240, 320), boxes, 2)
    assert rectangles.shape == (2, 4)
    assert (rectangles[0] != rectangles[1]).any()
    assert (crop(np.random.default_rng(3), (240, 320), boxes, 2) == rectangles).all()
    assert (crop(np.random.default_rng(4), (240, 320), boxes, 2) != rectangles).any()


def describe(rectangles, image_size):
    """Area and log aspect ratio, center in x and y: (V, 4)."""
    left, top, right, bottom = np.asarray(rectangles, dtype=float).T
    width, height = right - left, bottom - top
    return np.stack(
        [
            width * height / (image_size[0] * image_size[1]),
            np.log(width / height),
            (left + right) / 2 / image_size[1],
            (top + bottom) / 2 / image_size[0],
        ],
        axis=1,
    )


@pytest.mark.parametrize("image_size", [(300, 400), (150, 500)])
@pytest.mark.parametrize("scale", [(0.2, 1.0), (0.05, 0.5)])
def test_random_crop_has_the_distribution_of_torchvision(image_size, scale):
    num, ratio = 3000, (3 / 4, 4 / 3)
    image = torch.empty(3, *image_size, device="meta")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        reference = [RandomResizedCrop.get_params(image, list(scale), list(ratio)) for _ in range(num)]
    reference = describe([(left, top, left + w, top + h) for top, left, h, w in reference], image_size)
    ours = describe(RandomCrop(scale, ratio)(np.random.default_rng(0), image_size, NO_BOXES, num), image_size)
    for a, b in zip(ours.T, reference.T, strict=True):
        assert abs(a.mean() - b.mean()) < 4 * math.sqrt((a.var() + b.var()) / num)
        assert abs(a.var() - b.var()) < 4 * math.sqrt(sum(((c - c.mean()) ** 2).var() / num for c in (a, b)))
        assert stats.ks_2samp(a, b).pvalue > 1e-3


@pytest.mark.parametrize("scale", [(0.0, 1.0), (0.5, 0.2), (0.2, 1.1)])
@pytest.mark.parametrize("crop", [RandomCrop, ContrastiveCrop])
def test_refuses_scales_that_are_no_shares(crop, scale):
    with pytest.raises(ValueError, match="scale must satisfy"):
        crop(scale=scale)


@pytest.mark.parametrize("ratio", [(0.0, 1.0), (2.0, 1.0)])
def test_refuses_ratios(ratio):
    with pytest.raises(ValueError, match="ratio must satisfy"):
        RandomCrop(ratio=ratio)


@pytest.mark.parametrize("alpha", [0.0, -1.0, math.nan])
def test_refuses_alpha(alpha):
    with pytest.raises(ValueError, match="alpha must be positive"):
        ContrastiveCrop(alpha)
