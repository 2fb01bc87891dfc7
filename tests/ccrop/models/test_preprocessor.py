import itertools
import math
import re
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from PIL import Image

from ccrop.models import ViewPreprocessor, photometric, preprocessor
from ccrop.models.preprocessor import IMAGENET_MEAN, IMAGENET_STD
from ccrop.views import ReferenceAugmentation

NO_AUGMENTATION = dict(flip_prob=0, jitter_prob=0, gray_prob=0, blur_prob=0)


@pytest.fixture(autouse=True)
def own_random_numbers():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def colorful(size=32):
    """A gradient of many hues with fine stripes and a dark and a bright patch: (size, size, 3) uint8."""
    y, x = np.mgrid[:size, :size] / size
    image = np.stack([0.9 - 0.6 * x, 0.2 + 0.5 * y, 0.3 + 0.4 * (1 - x) * y], axis=-1)
    image[size // 2 :, ::2] *= 0.6
    image[: size // 4, : size // 4] *= 0.2
    image[size // 4 : size // 2, size // 2 :] = 1 - 0.3 * image[size // 4 : size // 2, size // 2 :]
    return (255 * image).round().astype(np.uint8)


def random_views(num, size=20):
    return torch.randint(0, 256, (num, size, size, 3), dtype=torch.uint8)


def normalized_by_hand(images):
    pixels = images.double() / 255
    return ((pixels - torch.tensor(IMAGENET_MEAN)) / torch.tensor(IMAGENET_STD)).permute(0, 3, 1, 2).float()


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("augment", ["device", "cpu"])
def test_normalizes_whole_images_and_nothing_else(augment, training):
    images = random_views(3)
    result = ViewPreprocessor(augment=augment)(dict(images=images.clone(), index=torch.arange(3)), training)
    torch.testing.assert_close(result["images"], normalized_by_hand(images), atol=1e-5, rtol=0)
    assert result["images"].is_contiguous(memory_format=torch.channels_last)
    assert result["index"].tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("settings", "training"), [(dict(augment="cpu"), True), (dict(), False), (NO_AUGMENTATION, True)]
)
def test_views_are_only_normalized_where_nothing_augments(settings, training):
    views = [random_views(3), random_views(3)]
    result = ViewPreprocessor(**settings)(dict(views=[view.clone() for view in views]), training)["views"]
    assert len(result) == 2
    for prepared, view in zip(result, views, strict=True):
        torch.testing.assert_close(prepared, normalized_by_hand(view), atol=2e-5, rtol=0)
        assert prepared.dtype == torch.float32
        assert prepared.is_contiguous(memory_format=torch.channels_last)


def test_values_of_white_and_black():
    images = torch.tensor([0, 255], dtype=torch.uint8).view(2, 1, 1, 1).expand(2, 4, 4, 3)
    black, white = ViewPreprocessor()(dict(images=images))["images"][:, :, 0, 0].tolist()
    assert black == pytest.approx([-0.485 / 0.229, -0.456 / 0.224, -0.406 / 0.225], abs=1e-5)
    assert white == pytest.approx([0.515 / 0.229, 0.544 / 0.224, 0.594 / 0.225], abs=1e-5)


def test_to_uint8_undoes_the_normalization():
    preprocessor = ViewPreprocessor(mean=(0.1, 0.2, 0.3), std=(0.5, 0.25, 2.0))
    images = random_views(4)
    assert torch.equal(preprocessor.to_uint8(preprocessor(dict(images=images.clone()))["images"]), images)


def test_flips_are_drawn_per_view():
    preprocessor = ViewPreprocessor(**NO_AUGMENTATION | dict(flip_prob=0.3))
    num = 1000
    view = random_views(1)
    prepared = preprocessor(dict(views=[view.expand(num, -1, -1, -1)]), training=True)["views"][0]
    plain = normalized_by_hand(view)
    same = (prepared - plain).abs().amax(dim=(1, 2, 3)) < 1e-4
    flipped = (prepared - plain.flip(3)).abs().amax(dim=(1, 2, 3)) < 1e-4
    assert (same ^ flipped).all()
    assert abs(flipped.float().mean().item() - 0.3) < 4 * math.sqrt(0.3 * 0.7 / num)
    # neighbors are independent
    assert abs((flipped[1:] & flipped[:-1]).float().mean().item() - 0.09) < 0.04


def test_gray_is_drawn_per_view():
    preprocessor = ViewPreprocessor(mean=(0, 0, 0), std=(1, 1, 1), **NO_AUGMENTATION | dict(gray_prob=0.2))
    view = random_views(1)
    prepared = preprocessor(dict(views=[view.expand(1000, -1, -1, -1)]), training=True)["views"][0]
    red, green, blue = (view[0].float() / 255).unbind(-1)
    gray = (prepared - (0.299 * red + 0.587 * green + 0.114 * blue)).abs().amax(dim=(1, 2, 3)) < 1e-5
    plain = (prepared - view.permute(0, 3, 1, 2) / 255).abs().amax(dim=(1, 2, 3)) < 1e-5
    assert (gray ^ plain).all()
    assert abs(gray.float().mean().item() - 0.2) < 4 * math.sqrt(0.2 * 0.8 / 1000)


@pytest.mark.parametrize(("num_views", "shared"), [(1, 16), (128, 16), (129, 17), (512, 64), (1000, 125)])
def test_an_eighth_of_a_batch_on_a_gpu_shares_its_order_of_color_operations(num_views, shared):
    assert preprocessor.views_per_order(num_views, on_cpu=False) == shared
    assert preprocessor.views_per_order(num_views, on_cpu=True) == 16


@pytest.mark.parametrize(("num_views", "groups"), [(5, [5]), (40, [16, 16, 8]), (250, [16] * 15 + [10])])
def test_sixteen_views_on_a_cpu_share_their_order_of_color_operations(num_views, groups, monkeypatch):
    names = ["adjust_brightness", "adjust_contrast", "adjust_saturation", "adjust_hue"]
    calls = []
    for name in names:
        monkeypatch.setattr(photometric, name, lambda images, _, name=name: calls.append((name, len(images))) or images)
    batches = 300 // len(groups)
    for _ in range(batches):
        ViewPreprocessor(jitter_prob=1, gray_prob=1, blur_prob=0)(
            dict(views=[random_views(num_views, size=2)]), training=True
        )
    # the fifth is the graying
    orders = [tuple(name for name, _ in calls[i : i + 4]) for i in range(0, len(calls), 5)]
    assert [size for _, size in calls[::5]] == groups * batches
    assert set(orders) == set(itertools.permutations(names))


def test_a_cpu_works_on_chosen_views_alone_with_the_result_of_working_on_all(monkeypatch):
    def prepared():
        torch.manual_seed(3)
        return ViewPreprocessor()(dict(views=[random_views(40, size=24)]), training=True)["views"][0]

    def on_all(chosen, operations, images):
        for operation, strengths in operations:
            images = operation(images, strengths)
        return images

    found = prepared()
    monkeypatch.setattr(preprocessor, "on_chosen", on_all)
    torch.testing.assert_close(found, prepared(), atol=1e-5, rtol=0)


def test_no_view_that_is_chosen_leaves_all_as_they_are():
    images = random_views(3).permute(0, 3, 1, 2) / 255
    none = torch.zeros(3, dtype=torch.bool)
    assert torch.equal(preprocessor.on_chosen(none, [(photometric.adjust_hue, torch.ones(3))], images.clone()), images)


def test_the_views_of_a_pair_differ_and_the_seed_repeats_them():
    view = random_views(4)

    def prepared():
        torch.manual_seed(1)
        return ViewPreprocessor()(dict(views=[view.clone(), view.clone()]), training=True)["views"]

    first, second = prepared()
    assert ((first - second).abs().amax(dim=(1, 2, 3)) > 0.05).all()
    assert all(torch.equal(a, b) for a, b in zip((first, second), prepared(), strict=True))


def test_leaves_its_input_alone():
    view = random_views(4)
    before = view.clone()
    ViewPreprocessor()(dict(views=[view], images=view), training=True)
    assert torch.equal(view, before)


def test_autocast_does_not_reach_it():
    view = random_views(4)
    results = []
    for enabled in (False, True):
        torch.manual_seed(1)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled):
            results.append(ViewPreprocessor()(dict(views=[view.clone()]), training=True)["views"][0])
    assert torch.equal(*results)


@pytest.mark.parametrize("size", [4, 1])
def test_tiny_views(size):
    prepared = ViewPreprocessor()(dict(views=[random_views(3, size)]), training=True)["views"][0]
    assert prepared.shape == (3, 3, size, size)
    assert torch.isfinite(prepared).all()


def test_never_waits_for_its_device():
    # a meta tensor has no values: whatever would read one back fails
    images = torch.empty(40, 32, 32, 3, dtype=torch.uint8, device="meta")
    views = ViewPreprocessor().to("meta").prepare(images, augment=True)
    assert views.is_meta
    assert views.shape == (40, 3, 32, 32)


def test_refuses_other_places():
    with pytest.raises(ValueError, match="augment must be 'device' or 'cpu', got 'gpu'"):
        ViewPreprocessor(augment="gpu")


def describe(views):
    """What the augmentation changes, from views (N, 3, H, W) in [0, 1]: numbers and fractions, by name."""
    red, green, blue = views.unbind(1)
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    half = views.shape[3] // 2
    contrast = luma.std(dim=(1, 2))
    color = (views.amax(dim=1) - views.amin(dim=1)).mean(dim=(1, 2))
    gray = color < 1 / 255
    numbers = {
        "red": red.mean(dim=(1, 2)),
        "green": green.mean(dim=(1, 2)),
        "blue": blue.mean(dim=(1, 2)),
        "contrast": contrast,
        "saturation": (color / contrast)[~gray],
        "red - green": (red - green).mean(dim=(1, 2))[~gray],
        "green - blue": (green - blue).mean(dim=(1, 2))[~gray],
        "stripes": luma.diff(dim=2).abs().mean(dim=(1, 2)) / contrast,
    }
    edges = torch.linspace(0, 1, 9)
    edges[-1] = 2
    for name, channel in (("red", red), ("green", green), ("blue", blue)):
        for low, high in itertools.pairwise(edges.tolist()):
            numbers[f"{name} from {low:.3f}"] = ((channel >= low) & (channel < high)).float().mean(dim=(1, 2))
    light = (torch.from_numpy(colorful()).float().mean(dim=(0, 1)) / 255) @ torch.tensor([0.299, 0.587, 0.114])
    shares = {
        "gray": gray,
        "flipped": luma[..., :half].mean(dim=(1, 2)) > luma[..., half:].mean(dim=(1, 2)),
        "as light as before": (luma.mean(dim=(1, 2)) - light).abs() < 2 / 255,
    }
    return {name: v.double() for name, v in numbers.items()}, {name: v.double() for name, v in shares.items()}


def disagreements(ours, reference):
    """Names of the descriptions whose means or variances differ by more than 4.5 standard errors of the samples.

    The reference rounds to uint8 after every operation; a little is allowed for that on top.
    """
    names = []
    for a, b, rounding in [(ours[0], reference[0], 1.5 / 255), (ours[1], reference[1], 0)]:
        names += [f"mean of {name}" for name in a if differ(a[name], b[name], rounding)]
    for name, a in ours[0].items():
        a, b = ((values - values.mean()) ** 2 for values in (a, reference[0][name]))
        if differ(a, b, 0.02 * b.mean()):
            names.append(f"variance of {name}")
    return names


def differ(a, b, tolerance):
    """Whether the means of two samples differ by more than the tolerance and chance."""
    return abs(a.mean() - b.mean()) > tolerance + 4.5 * math.sqrt(a.var() / len(a) + b.var() / len(b))


NUM_VIEWS = 3000


@pytest.fixture(scope="module")
def reference():
    """The views of torchvision's operations on PIL images, described."""
    image, augment, rng = Image.fromarray(colorful()), ReferenceAugmentation(), np.random.default_rng(0)
    views = np.stack([np.array(augment(image, rng)) for _ in range(NUM_VIEWS)])
    preprocessor = ViewPreprocessor(mean=(0, 0, 0), std=(1, 1, 1), augment="cpu")
    return describe(preprocessor(dict(views=[torch.from_numpy(views)]), training=True)["views"][0])


def on_device(**settings):
    preprocessor = ViewPreprocessor(mean=(0, 0, 0), std=(1, 1, 1), **settings)
    views = torch.from_numpy(colorful()).expand(NUM_VIEWS, -1, -1, -1)
    return describe(preprocessor(dict(views=[views]), training=True)["views"][0])


def test_both_augmentations_have_the_same_distribution(reference):
    assert disagreements(on_device(), reference) == []


@pytest.mark.parametrize(
    "settings",
    [
        dict(jitter=(0.3, 0.4, 0.4, 0.1)),
        dict(jitter=(0.4, 0.3, 0.4, 0.1)),
        dict(jitter=(0.4, 0.4, 0.3, 0.1)),
        dict(jitter=(0.4, 0.4, 0.4, 0.07)),
        dict(jitter_prob=0.7),
        dict(gray_prob=0.14),
        dict(flip_prob=0.4),
        dict(blur_prob=0.4),
        dict(blur_sigma=(0.1, 1.4)),
    ],
)
def test_another_augmentation_has_another_distribution(reference, settings):
    """The comparison above can tell the augmentation from a slightly different one."""
    assert disagreements(on_device(**settings), reference) != []


@pytest.mark.parametrize("channels", [1, 2, 5])
def test_other_channels_are_normalized_by_their_own_means_and_have_no_color(channels):
    mean, std = [0.1 * (number + 1) for number in range(channels)], [0.2] * channels
    views = torch.randint(0, 256, (40, 12, 12, channels), dtype=torch.uint8)
    settings = dict(mean=mean, std=std, flip_prob=0, blur_prob=0, gray_prob=1, jitter_prob=1)
    preprocessor = ViewPreprocessor(jitter=(0, 0, 0.9, 0.5), **settings)
    assert preprocessor.channels == channels
    (found,) = preprocessor(dict(views=[views.clone()]), training=True)["views"]
    expected = ((views.double() / 255 - torch.tensor(mean)) / 0.2).permute(0, 3, 1, 2).float()
    torch.testing.assert_close(found, expected, atol=2e-5, rtol=0)
    assert torch.equal(preprocessor.to_uint8(found), views)


def test_brightness_is_one_of_a_view_whatever_its_channels():
    views = torch.randint(20, 120, (40, 12, 12, 5), dtype=torch.uint8)
    settings = dict(mean=[0.0] * 5, std=[1.0] * 5, flip_prob=0, blur_prob=0, jitter_prob=1)
    (found,) = ViewPreprocessor(jitter=(0.4, 0, 0, 0), **settings)(dict(views=[views.clone()]), training=True)["views"]
    factors = (found / (views.permute(0, 3, 1, 2) / 255)).flatten(1)
    torch.testing.assert_close(factors, factors[:, :1].expand_as(factors))
    assert ((factors[:, 0] >= 0.6) & (factors[:, 0] <= 1.4)).all()
    assert factors[:, 0].std() > 0.1


@pytest.mark.parametrize(
    ("name", "value"), [("flip_prob", 7), ("jitter_prob", -0.1), ("gray_prob", 1.5), ("blur_prob", -1)]
)
def test_probabilities_are_fractions(name: str, value: float):
    with pytest.raises(ValueError, match=f"{name} must be from 0 to 1, got {value}"):
        ViewPreprocessor(**{name: value})


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (dict(jitter=(0.4, 0.4, 0.4)), "jitter must be four numbers of at least 0, the last at most 0.5, got (0.4, 0"),
        (dict(jitter=(0.4, -0.1, 0.4, 0.1)), "jitter must be four numbers of at least 0"),
        (dict(jitter=(0.4, 0.4, 0.4, 0.7)), "the last at most 0.5, got (0.4, 0.4, 0.4, 0.7)"),
        (dict(blur_sigma=(2.0, 0.1)), "blur_sigma must be two numbers from 0, the smaller first, got (2.0, 0.1)"),
        (dict(blur_sigma=(-1, 2)), "blur_sigma must be two numbers from 0"),
        (dict(blur_sigma=[2.0]), "blur_sigma must be two numbers from 0"),
    ],
)
def test_strengths_that_no_batch_can_have_are_refused(wrong: dict[str, Sequence[float]], reason: str):
    with pytest.raises(ValueError, match=re.escape(reason)):
        ViewPreprocessor(**wrong)
    ViewPreprocessor(jitter=(0, 0, 0, 0.5), blur_sigma=(0, 0))


def test_means_and_deviations_are_equally_many():
    with pytest.raises(ValueError, match=r"std must be positive, got \(0.2, 0, 0.2\)"):
        ViewPreprocessor(std=(0.2, 0, 0.2))
    with pytest.raises(ValueError, match="mean and std need one value per channel, got 1 and 3"):
        ViewPreprocessor(mean=[0.5])
