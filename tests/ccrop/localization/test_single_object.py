import math
import time

import pytest
import torch
import torch.nn.functional as F
from operators import Operators

from ccrop.localization import SingleObject, feature_heatmap

MAP_SIZES = [(1, 1), (1, 6), (4, 4), (7, 7), (14, 9), (40, 30)]
IMAGE_SIZES = [(224, 224), (32, 32), (240, 320), (37, 101), (7, 7), (5, 3), (1, 1)]
THRESHOLDS = [0.0, 0.1, 0.5, 0.9]
WHOLE = (0.0, 0.0, 1.0, 1.0, 0.0)


def image_by_image(features, image_size, threshold):
    """ContrastiveCrop's procedure as it reads: boxes (N, 5) with a score."""
    height, width = image_size
    boxes = []
    for feature in features:
        heatmap = feature.float().sum(dim=0)
        heatmap = (heatmap - heatmap.min()) / (heatmap.max() - heatmap.min())
        heatmap = F.interpolate(heatmap[None, None], image_size, mode="bilinear", align_corners=False)[0, 0]
        y, x = torch.nonzero(heatmap > threshold, as_tuple=True)
        if len(x) == 0:
            boxes.append(torch.tensor(WHOLE))
        else:
            box = [x.min() / width, y.min() / height, x.max() / width, y.max() / height, torch.tensor(1.0)]
            boxes.append(torch.stack(box))
    return torch.stack(boxes)


def assert_equal_boxes(features, image_size, threshold):
    boxes, counts = SingleObject(threshold)(features, image_size)
    assert boxes.dtype == torch.float32
    assert torch.equal(boxes, image_by_image(features, image_size, threshold)[:, None])
    assert torch.equal(counts, torch.ones(len(features), dtype=torch.long))


def smooth(generator, num, size):
    """Two objects per image, as bumps on a low background."""
    x, y, width = torch.rand(3, num, 2, 1, 1, generator=generator)
    columns, rows = (torch.arange(length) / length for length in reversed(size))
    distance = (columns - x) ** 2 + (rows[:, None] - y) ** 2
    return torch.exp(-distance / (0.1 + 0.2 * width) ** 2) + 0.01 * torch.rand(num, 2, *size, generator=generator)


def rough(generator, num, size):
    return torch.randn(num, 16, *size, generator=generator).relu()


def half(generator, num, size):
    return rough(generator, num, size).bfloat16().to(memory_format=torch.channels_last)


def sparse(generator, num, size):
    """One pixel of ten responds; the others are exactly zero."""
    return (torch.rand(num, 1, *size, generator=generator) > 0.9).float()


@pytest.mark.parametrize("threshold", THRESHOLDS)
@pytest.mark.parametrize("maps", [smooth, rough, half, sparse])
@pytest.mark.parametrize("map_size", MAP_SIZES)
def test_equals_the_procedure_image_by_image(map_size, maps, threshold):
    features = maps(torch.Generator().manual_seed(sum(map_size)), 3, map_size)
    for image_size in IMAGE_SIZES:
        assert_equal_boxes(features, image_size, threshold)


def test_equals_the_procedure_on_many_maps():
    features = smooth(torch.Generator().manual_seed(0), 1000, (7, 7))
    assert_equal_boxes(features, (224, 224), 0.1)
    boxes, _ = SingleObject(0.1)(features, (224, 224))
    assert len(boxes.unique(dim=0)) > 500


@pytest.mark.parametrize("threshold", THRESHOLDS)
@pytest.mark.parametrize("image_size", IMAGE_SIZES)
def test_heights_on_both_sides_of_the_threshold(image_size, threshold):
    """Plateaus at the threshold and within a few float32 steps of it: rounding decides, as F.interpolate's does."""
    steps = torch.arange(-4, 5) * torch.finfo(torch.float32).eps
    features = torch.zeros(len(steps), 1, 7, 6)
    features[:, 0, 1:6, 1:5] = (threshold + steps * max(threshold, 0.01)).clamp(min=0)[:, None, None]
    features[:, 0, 3, 3] = 1
    assert_equal_boxes(features, image_size, threshold)


@pytest.mark.parametrize("threshold", THRESHOLDS)
def test_heights_of_few_levels(threshold):
    generator = torch.Generator().manual_seed(0)
    features = torch.randint(0, 11, (30, 1, 7, 7), generator=generator).float()
    for image_size in [(224, 224), (37, 101), (21, 21)]:
        assert_equal_boxes(features, image_size, threshold)


@pytest.mark.parametrize("image_size", IMAGE_SIZES)
def test_one_hot_pixel_anywhere(image_size):
    features = torch.eye(4 * 5).view(-1, 1, 4, 5)
    assert_equal_boxes(features, image_size, 0.1)
    assert_equal_boxes(1 - features, image_size, 0.1)


def test_box_of_a_hot_pixel():
    features = torch.zeros(1, 1, 7, 7)
    features[..., 2, 4] = 1
    # A source pixel is 32 px wide; its tent falls to 0.1 at 0.9 * 32 px on either side of (4.5 * 32, 2.5 * 32),
    # and output pixels have their centers at halves.
    (box,), _ = SingleObject(0.1)(features, (224, 224))
    first, last = [math.ceil(center - 0.9 * 32 - 0.5) for center in (144, 80)], [144 + 28, 80 + 28]
    assert (box * 224)[0, :4].tolist() == pytest.approx([*first, *last])
    assert box[0, 4] == 1


def test_everything_above():
    features = torch.ones(1, 1, 4, 4)
    features[..., 0, 0] = 0
    boxes, _ = SingleObject(0.1)(features, (100, 200))
    assert boxes[0, 0].tolist() == pytest.approx([0, 0, 199 / 200, 99 / 100, 1])


@pytest.mark.parametrize("image_size", [(224, 224), (5, 3)])
@pytest.mark.parametrize("value", [0.0, 7.0, math.nan, math.inf, -math.inf])
def test_no_signal_gives_the_whole_image(value, image_size):
    features = rough(torch.Generator().manual_seed(0), 3, (7, 7))
    expected, _ = SingleObject()(features, image_size)
    features[1] = value
    boxes, counts = SingleObject()(features, image_size)
    assert boxes[1, 0].tolist() == list(WHOLE)
    assert torch.equal(boxes[::2], expected[::2])
    assert counts.tolist() == [1, 1, 1]


def test_peak_lost_in_downsampling_gives_the_whole_image():
    features = torch.zeros(1, 1, 9, 9)
    features[..., 0, 0] = 1
    boxes, _ = SingleObject()(features, (3, 3))
    assert boxes[0, 0].tolist() == list(WHOLE)


def test_the_coarsest_of_several_levels_counts():
    generator = torch.Generator().manual_seed(0)
    fine, coarse = smooth(generator, 2, (28, 28)), smooth(generator, 2, (7, 7))
    boxes, _ = SingleObject()((fine, coarse), (224, 224))
    assert torch.equal(boxes, SingleObject()(coarse, (224, 224))[0])
    assert not torch.equal(boxes, SingleObject()(fine, (224, 224))[0])


def test_heatmap_of_the_coarsest_level():
    generator = torch.Generator().manual_seed(0)
    fine, coarse = smooth(generator, 2, (28, 28)), smooth(generator, 2, (7, 7))
    for features in (coarse, (fine, coarse)):
        assert torch.equal(SingleObject().heatmap(features), feature_heatmap(coarse))


@pytest.mark.parametrize("padding", [0.0, 1e3, math.nan])
def test_padding_is_no_object_and_boxes_are_of_the_image(padding):
    features = torch.full((3, 2, 8, 8), padding)
    features[:, :, 2:6] = smooth(torch.Generator().manual_seed(0), 3, (4, 8))
    features[1, :, 2:6] = 5
    features[2, :, 2:6] = torch.eye(4, 8) + torch.eye(4, 8).flip(1)
    valid = torch.tensor([0.0, 0.25, 1.0, 0.75]).expand(3, 4)
    boxes, counts = SingleObject()(features, (64, 64), valid)
    expected, _ = SingleObject()(features[:, :, 2:6], (32, 64))
    assert counts.tolist() == [1, 1, 1]
    # beside padding the heatmap falls, by which a box may lose or gain a cell's half
    assert (boxes - expected).abs().max() <= 4 / 32 + 1e-6
    assert boxes[1, 0].tolist() == list(WHOLE)
    assert ((boxes >= 0) & (boxes <= 1)).all()


def test_neither_autocast_nor_gradients_change_boxes():
    features = smooth(torch.Generator().manual_seed(0), 50, (7, 7))
    expected, _ = SingleObject()(features, (224, 224))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        boxes, _ = SingleObject()(features.requires_grad_(), (224, 224))
    assert torch.equal(boxes, expected)
    assert not boxes.requires_grad


def test_does_not_depend_on_the_rest_of_the_batch():
    features = smooth(torch.Generator().manual_seed(0), 20, (7, 7))
    together, _ = SingleObject()(features, (224, 224))
    alone = torch.cat([SingleObject()(feature, (224, 224))[0] for feature in features.split(1)])
    assert torch.equal(together, alone)


def test_never_waits_for_a_device():
    # a meta tensor has no values: whatever would read one back fails
    with Operators() as operators:
        boxes, counts = SingleObject()(torch.empty(4, 8, 7, 7, device="meta"), (224, 224))
    assert boxes.shape == (4, 1, 5)
    assert counts.shape == (4,)
    assert operators.counts["upsample_bilinear2d"]
    assert operators.waiting == {}


def test_an_accelerator_gives_the_same_boxes(monkeypatch):
    features = smooth(torch.Generator().manual_seed(0), 50, (7, 7))
    expected, _ = SingleObject()(features, (224, 224))
    monkeypatch.setattr(torch.Tensor, "is_cpu", False)
    boxes, _ = SingleObject()(features, (224, 224))
    assert torch.equal(boxes, expected)


@pytest.mark.timing
def test_is_20_times_as_fast_as_image_by_image():
    features = torch.randn(256, 512, 7, 7, generator=torch.Generator().manual_seed(0)).relu()

    def seconds(function):
        start = time.perf_counter()
        function()
        return time.perf_counter() - start

    slow = fast = math.inf
    for attempt in range(20):  # more than 6 only on a busy machine
        if attempt >= 6 and slow > 20 * fast:
            break
        slow = min(slow, seconds(lambda: image_by_image(features, (224, 224), 0.1)))
        fast = min(fast, *(seconds(lambda: SingleObject(0.1)(features, (224, 224))) for _ in range(10)))
    figures = f"{1e3 * fast:.1f} ms, image by image {1e3 * slow:.0f} ms: {slow / fast:.0f} times as fast"
    print(f"\nSingleObject, 256 maps of 7x7 at 224 px: {figures}")
    assert slow > 20 * fast


@pytest.mark.parametrize("threshold", [-0.1, 1.0, math.nan])
def test_refuses_thresholds_outside_the_heatmap(threshold):
    with pytest.raises(ValueError, match="threshold must be in"):
        SingleObject(threshold)
