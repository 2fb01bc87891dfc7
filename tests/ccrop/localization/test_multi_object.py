import math
import time

import one_heatmap
import pytest
import torch
import torch.nn.functional as F
from operators import Operators

from ccrop.localization import MultiObject, feature_heatmap, fused_heatmap

IMAGE = (224, 224)
RULES = [
    dict(),
    dict(min_distance=2),
    dict(max_boxes=3, threshold=0.8, floor=0.0, merge=1.0),
    dict(max_boxes=100, threshold=0.0, floor=0.5, min_distance=3, merge=0.5),
]


def noise(generator, size):
    return torch.rand(6, 1, *size, generator=generator)


def smooth(generator, size):
    coarse = torch.rand(6, 1, 2 + size[0] // 4, 2 + size[1] // 4, generator=generator)
    return F.interpolate(coarse, size, mode="bicubic")


def channels(generator, size):
    return torch.randn(6, 32, *size, generator=generator).relu().bfloat16().to(memory_format=torch.channels_last)


def plateaus(generator, size):
    return torch.randint(0, 5, (6, 1, *size), generator=generator).float()


def sparse(generator, size):
    return noise(generator, size) * (noise(generator, size) > 0.9)


def one_by_one(heatmap, max_boxes=8, **rule):
    """Boxes (N, K, 5), counts (N,) and areas (N, K) of :mod:`one_heatmap`."""
    boxes, areas = torch.zeros(len(heatmap), max_boxes, 5), torch.zeros(len(heatmap), max_boxes)
    counts = []
    for number, heights in enumerate(heatmap.numpy()):
        found = one_heatmap.objects(heights, max_boxes, **rule)
        for k, (box, area) in enumerate(found):
            boxes[number, k], areas[number, k] = torch.tensor(box), area
        counts.append(len(found))
    return boxes, torch.tensor(counts), areas


def picture(text):
    """Features (1, 1, h, w), as its digits read."""
    return torch.tensor([[int(digit) for digit in line] for line in text.split()])[None, None].float()


def found(text, **rule):
    """Boxes in cells (first column, first row, last column + 1, last row + 1) and scores in tenths of the maximum."""
    features = picture(text)
    (boxes,), (count,) = MultiObject(**rule)(features, IMAGE)
    assert (boxes[count:] == 0).all()
    height, width = features.shape[2:]
    scale = torch.tensor([width, height, width, height, features.max().item()])
    return (boxes[:count] * scale).round(decimals=4).tolist()


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("maps", [noise, smooth, channels, plateaus, sparse])
@pytest.mark.parametrize("size", [(1, 1), (1, 6), (7, 7), (14, 9), (28, 28)])
def test_equals_the_procedure_cell_by_cell(size, maps, rule):
    features = maps(torch.Generator().manual_seed(sum(size)), size)
    localizer = MultiObject(**rule)
    heatmap = localizer.heatmap(features)
    boxes, counts, areas = one_by_one(heatmap, **rule)
    actual = localizer(features, IMAGE)
    assert torch.equal(actual[0], boxes)
    assert torch.equal(actual[1], counts)
    assert torch.equal(localizer.objects(heatmap)[2], areas)


def test_equals_the_procedure_on_maps_of_a_detector_size():
    features = smooth(torch.Generator().manual_seed(0), (56, 56))
    boxes, counts = MultiObject()(features, IMAGE)
    expected_boxes, expected_counts, _ = one_by_one(feature_heatmap(features))
    assert torch.equal(boxes, expected_boxes)
    assert torch.equal(counts, expected_counts)
    assert (counts == 8).all()


def test_equals_the_procedure_upsampled():
    features = smooth(torch.Generator().manual_seed(0), (9, 7))
    localizer = MultiObject(upsample=3)
    assert localizer.heatmap(features).shape == (6, 27, 21)
    boxes, counts, _ = one_by_one(localizer.heatmap(features))
    assert torch.equal(localizer(features, IMAGE)[0], boxes)
    assert torch.equal(localizer(features, IMAGE)[1], counts)


def test_a_faint_small_object_beside_a_bright_big_one():
    scene = """
        0000000000
        0567500000
        0699900000
        0587500230
        0000000120"""
    big, small = [1, 1, 5, 4, 9], [7, 3, 9, 5, 3]
    assert found(scene) == [big, small]
    # one threshold for both erases the small one, or joins what lies between
    assert found(scene, floor=0.5) == [big]


def test_touching_objects():
    scene = "00000000 05855850 05955950 00000000"
    assert found(scene) == [[1, 1, 4, 3, 9], [4, 1, 7, 3, 9]]
    # the saddle of 5 between them is more than half of the lower peak
    assert found(scene, merge=0.5) == [[1, 1, 7, 3, 9]]


def test_scores_areas_and_order():
    localizer = MultiObject(threshold=0.5)
    boxes, counts, areas = localizer.objects(localizer.heatmap(picture("0040 5004 0000 6900")))
    assert boxes[0, :3, 4].tolist() == pytest.approx([1, 5 / 9, 4 / 9])
    assert areas[0, :4].tolist() == [2 / 16, 1 / 16, 2 / 16, 0]
    assert counts.tolist() == [3]


def test_equally_high_peaks_in_reading_order():
    assert [box[:2] for box in found("9090 0000 0909")] == [[0, 0], [2, 0], [1, 2], [3, 2]]


def test_objects_at_the_borders():
    assert found("90008 00000 70006") == [[0, 0, 1, 1, 9], [4, 0, 5, 1, 8], [0, 2, 1, 3, 7], [4, 2, 5, 3, 6]]
    assert found("99000 00000 00000 00005 00005") == [[0, 0, 2, 1, 9], [4, 3, 5, 5, 5]]


@pytest.mark.parametrize("position", [(0, 0), (0, 5), (2, 3), (4, 0), (4, 5)])
def test_one_pixel(position):
    features = torch.zeros(1, 1, 5, 6)
    features[0, 0][position] = 7
    (boxes,), counts = MultiObject()(features, IMAGE)
    y, x = position
    assert boxes[0].tolist() == pytest.approx([x / 6, y / 5, (x + 1) / 6, (y + 1) / 5, 1])
    assert counts.tolist() == [1]


def test_a_plateau_is_one_object():
    assert found("0000000 0990990 0999990 0000000") == [[1, 1, 6, 3, 9]]
    assert found("99 90") == [[0, 0, 2, 2, 9]]


def test_a_merged_object_covers_what_is_above_its_threshold():
    assert found("0976780", merge=0.8) == [[1, 0, 4, 1, 9], [4, 0, 6, 1, 8]]
    assert found("0976780", merge=0.7) == [[1, 0, 6, 1, 9]]
    assert found("0976770", merge=0.7, threshold=0.8) == [[1, 0, 2, 1, 9]]
    # on both sides of the saddle
    assert found("0976780", merge=0.7, threshold=0.8) == [[1, 0, 6, 1, 9]]


def test_the_best_of_too_many():
    text = "10203040 00000000 50607080"
    assert [box[4] for box in found(text, max_boxes=3, floor=0.0)] == [8, 7, 6]
    assert [box[4] for box in found(text, max_boxes=20, floor=0.0)] == [8, 7, 6, 5, 4, 3, 2, 1]
    boxes, counts = MultiObject(max_boxes=20, floor=0.0)(picture(text), IMAGE)
    assert boxes.shape == (1, 20, 5)
    assert counts.tolist() == [8]


def test_more_boxes_than_cells():
    boxes, counts = MultiObject(max_boxes=50)(picture("90 00"), IMAGE)
    assert boxes.shape == (1, 50, 5)
    assert counts.tolist() == [1]


def test_the_floor_is_exclusive():
    assert [box[4] for box in found("8040201", floor=0.25)] == [8, 4]
    assert [box[4] for box in found("8040201", floor=0.24)] == [8, 4, 2]


@pytest.mark.parametrize("value", [0.0, 7.0, math.nan, math.inf, -math.inf])
def test_no_signal_gives_no_box(value):
    features = smooth(torch.Generator().manual_seed(0), (7, 7))
    expected = MultiObject().objects(feature_heatmap(features))
    features[1] = value
    boxes, counts = MultiObject()(features, IMAGE)
    assert (boxes[1] == 0).all()
    assert counts[1] == 0
    assert torch.equal(boxes[2:], expected[0][2:])
    features[:] = value
    assert MultiObject()(features, IMAGE)[1].tolist() == [0] * 6


def test_levels_that_make_the_heatmap():
    generator = torch.Generator().manual_seed(0)
    levels = tuple(smooth(generator, size) for size in [(28, 28), (14, 14), (7, 7)])
    for index in (-1, 0, 1):
        localizer = MultiObject(levels=index)
        assert torch.equal(localizer.heatmap(levels), feature_heatmap(levels[index]))
        assert torch.equal(localizer(levels, IMAGE)[0], localizer(levels[index], IMAGE)[0])
    for fusion in ("geometric", "arithmetic"):
        localizer = MultiObject(levels=(0, 2), fusion=fusion)
        heatmap = fused_heatmap([levels[0], levels[2]], fusion)
        assert torch.equal(localizer.heatmap(levels), heatmap)
        assert torch.equal(localizer(levels, IMAGE)[0], localizer.objects(heatmap)[0])
    localizer = MultiObject(levels=(0, 2), response="distance")
    assert torch.equal(localizer.heatmap(levels), fused_heatmap([levels[0], levels[2]], response="distance"))
    assert not torch.equal(localizer.heatmap(levels), MultiObject(levels=(0, 2)).heatmap(levels))


@pytest.mark.parametrize(("levels", "missing"), [(2, 2), ((0, 3), 3), (-3, -3)])
def test_a_level_that_the_backbone_does_not_give(levels, missing):
    features = (torch.ones(1, 1, 4, 4), torch.ones(1, 1, 2, 2))
    with pytest.raises(ValueError, match=f"no level {missing} among the backbone's 2: .* out_indices"):
        MultiObject(levels=levels)(features, IMAGE)


@pytest.mark.parametrize("upsample", [1, 2])
@pytest.mark.parametrize("padding", [0.0, 1e3, math.nan])
def test_padding_never_becomes_an_object(padding, upsample):
    generator = torch.Generator().manual_seed(0)
    images = smooth(generator, (8, 14))
    features = torch.full((6, 1, 14, 14), padding)
    features[:, :, 3:11] = images
    valid = torch.tensor([0.0, 3 / 14, 1.0, 11 / 14]).expand(6, 4)
    localizer = MultiObject(upsample=upsample, merge=1.0)
    boxes, counts = localizer(features, IMAGE, valid)
    expected_boxes, expected_counts = localizer(images, IMAGE)
    torch.testing.assert_close(boxes, expected_boxes, atol=1e-5, rtol=0)
    assert torch.equal(counts, expected_counts)
    areas = localizer.objects(localizer.heatmap(features, valid), valid)[2]
    torch.testing.assert_close(areas, localizer.objects(localizer.heatmap(images))[2])


def test_an_image_thinner_than_a_cell_gives_no_box():
    features = smooth(torch.Generator().manual_seed(0), (4, 4))
    boxes, counts = MultiObject()(features, IMAGE, torch.tensor([0.0, 0.0, 1.0, 0.01]).expand(6, 4))
    assert (boxes == 0).all()
    assert (counts == 0).all()


def test_boxes_lie_in_the_image_and_around_their_cells():
    features = channels(torch.Generator().manual_seed(0), (20, 30))
    boxes, counts = MultiObject(max_boxes=30)(features, IMAGE)
    used = torch.arange(30) < counts[:, None]
    x0, y0, x1, y1, score = boxes[used].unbind(-1)
    assert ((x0 >= 0) & (x1 <= 1) & (y0 >= 0) & (y1 <= 1)).all()
    assert (((x1 - x0) * 30 > 0.99) & ((y1 - y0) * 20 > 0.99)).all()
    assert ((score > 0.1) & (score <= 1)).all()
    assert (boxes[~used] == 0).all()
    assert (boxes[..., 4].diff(dim=1) <= 0).all()


def test_neither_autocast_nor_gradients_nor_the_batch_change_boxes():
    features = smooth(torch.Generator().manual_seed(0), (14, 14))
    expected = MultiObject(upsample=2)(features, IMAGE)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        boxes, counts = MultiObject(upsample=2)(features.requires_grad_(), IMAGE)
    assert torch.equal(boxes, expected[0])
    assert torch.equal(counts, expected[1])
    assert not boxes.requires_grad
    alone = torch.cat([MultiObject(upsample=2)(feature, IMAGE)[0] for feature in features.split(1)])
    assert torch.equal(alone, expected[0])


def test_no_operator_runs_once_an_image():
    # copies of an image take the same rounds of merging as the image alone
    feature = torch.rand(1, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    numbers = []
    for images in (1, 64):
        with Operators() as operators:
            MultiObject()(feature.expand(images, -1, -1, -1), IMAGE)
        numbers.append(operators.counts.total())
    # pointer jumping takes log2(64) = 6 more steps per round
    assert numbers[1] - numbers[0] <= 6 * 8
    assert numbers[0] < 400


@pytest.mark.timing
@pytest.mark.parametrize("size", [28, 56])
def test_is_faster_than_cell_by_cell(size):
    generator = torch.Generator().manual_seed(0)
    heatmap = feature_heatmap(torch.randn(64, 16, size, size, generator=generator).relu())

    def seconds(function):
        start = time.perf_counter()
        function()
        return time.perf_counter() - start

    fast = min(seconds(lambda: MultiObject().objects(heatmap)) for _ in range(5))
    slow = min(seconds(lambda: one_by_one(heatmap[:8])) for _ in range(2)) * 8
    figures = f"{1e3 * fast:.0f} ms, one by one {1e3 * slow:.0f} ms: {slow / fast:.0f} times as fast"
    print(f"\nMultiObject, 64 maps of {size}x{size}: {figures}")
    assert slow > 5 * fast


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (dict(threshold=1.0), "threshold must be in"),
        (dict(threshold=math.nan), "threshold must be in"),
        (dict(floor=-0.1), "floor must be in"),
        (dict(merge=0.0), "merge must be in"),
        (dict(merge=1.1), "merge must be in"),
        (dict(max_boxes=0), "max_boxes must be a whole number"),
        (dict(min_distance=0), "min_distance must be a whole number"),
        (dict(min_distance=1.5), "min_distance must be a whole number"),
        (dict(upsample=0), "upsample must be a whole number"),
        (dict(fusion="sum"), "fusion must be one of"),
        (dict(response="max"), "response must be one of"),
        (dict(levels=()), "levels must list"),
    ],
)
def test_refuses_what_makes_no_sense(rule, message):
    with pytest.raises(ValueError, match=message):
        MultiObject(**rule)
