from collections import Counter
from functools import partial

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import InterpolationMode, functional, v2

from ccrop.datasets.channel_stack import from_array
from ccrop.models.preprocessor import IMAGENET_MEAN, IMAGENET_STD
from ccrop.views import ContrastiveCrop, CropViews, MultiObjectCrop, RandomCrop, ReferenceAugmentation, WholeImage
from ccrop.views.transforms import fitted_size


def noise_image(width=50, height=40, seed=0):
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8))


def make_sample(image, seed=0, boxes=None, **others):
    boxes = np.zeros((0, 5), np.float32) if boxes is None else boxes
    return dict(image=image, index=7, rng=np.random.default_rng(seed), clusters=boxes, **others)


class Rectangles:
    """A crop that gives what it was told and remembers what it was asked."""

    def __init__(self, *rectangles):
        self.rectangles = np.array(rectangles)
        self.asked = None

    def __call__(self, rng, image_size, boxes, num_views):
        self.asked = (rng, image_size, boxes, num_views)
        return self.rectangles


def pixels(image):
    return torch.from_numpy(np.array(image))


class TestCropViews:
    def test_cuts_exactly(self):
        image = noise_image()
        result = CropViews(Rectangles((3, 5, 35, 37), (18, 8, 50, 40)), size=32)(make_sample(image))
        assert sorted(result) == ["index", "rectangles", "views"]
        assert result["index"] == 7
        assert result["rectangles"].tolist() == [[3, 5, 35, 37], [18, 8, 50, 40]]
        assert torch.equal(result["views"][0], pixels(image)[5:37, 3:35])
        assert torch.equal(result["views"][1], pixels(image)[8:40, 18:50])
        assert result["views"][0].dtype == torch.uint8

    @pytest.mark.parametrize("rectangle", [(0, 0, 50, 40), (10, 4, 17, 39), (49, 39, 50, 40)])
    @pytest.mark.parametrize("size", [24, 64])
    def test_resizes_as_random_resized_crop_does(self, rectangle, size):
        image = noise_image()
        left, top, right, bottom = rectangle
        (view,) = CropViews(Rectangles(rectangle), size, num_views=1)(make_sample(image))["views"]
        by_hand = image.crop(rectangle).resize((size, size), Image.Resampling.BILINEAR)
        reference = functional.resized_crop(
            image, top, left, bottom - top, right - left, [size, size], InterpolationMode.BILINEAR
        )
        assert view.shape == (size, size, 3)
        assert torch.equal(view, pixels(by_hand))
        assert torch.equal(view, pixels(reference))

    def test_leaves_the_image_as_it_is(self):
        image = noise_image()
        before = image.tobytes()
        result = CropViews(Rectangles((0, 0, 50, 40)), size=50, num_views=1)(make_sample(image))
        result["views"][0].zero_()
        assert image.tobytes() == before

    def test_asks_the_crop_with_height_first_and_the_samples_boxes(self):
        crop = Rectangles(*[(0, 0, 9, 9)] * 3)
        sample = make_sample(noise_image(), boxes=np.ones((2, 5), np.float32))
        assert len(CropViews(crop, size=8, num_views=3)(sample)["views"]) == 3
        rng, image_size, boxes, num_views = crop.asked
        assert rng is sample["rng"]
        assert image_size == (40, 50)
        assert boxes is sample["clusters"]
        assert num_views == 3

    def test_views_have_a_size_each(self):
        crop = Rectangles((0, 0, 40, 40), (3, 5, 35, 37), (18, 8, 34, 24))
        image = noise_image()
        views = CropViews(crop, size=[40, 32, 16])(make_sample(image))["views"]
        assert crop.asked[3] == 3
        for view, (left, top, right, bottom) in zip(views, crop.rectangles.tolist(), strict=True):
            assert torch.equal(view, pixels(image)[top:bottom, left:right])

    @pytest.mark.parametrize("crop", [RandomCrop, ContrastiveCrop, partial(MultiObjectCrop, cluster_scale=None)])
    def test_views_of_any_crop_have_areas_of_their_own(self, crop):
        scale = [(0.6, 0.8)] * 2 + [(0.05, 0.14)] * 6
        boxes = np.array([[0.2, 0.3, 0.8, 0.7, 1.0]], np.float32)
        steps = CropViews(crop(scale=scale), size=[32] * 2 + [16] * 6)
        for seed in range(20):
            result = steps(make_sample(noise_image(400, 400), seed, boxes))
            sides = (result["rectangles"][:, 2:] - result["rectangles"][:, :2]).double() / 400
            assert [view.shape[0] for view in result["views"]] == [32] * 2 + [16] * 6
            for area, (low, high) in zip(sides.prod(dim=1).tolist(), scale, strict=True):
                assert low - 0.01 < area < high + 0.01

    def test_draws_from_the_samples_generator_only(self):
        box = np.array([[0.1, 0.2, 0.7, 0.8, 1.0]], np.float32)
        for crop, boxes in ((RandomCrop(), box[:0]), (ContrastiveCrop(), box)):
            expected = crop(np.random.default_rng(5), (40, 50), boxes, 2)
            for _ in range(2):
                result = CropViews(crop, 16)(make_sample(noise_image(), seed=5, boxes=boxes))
                assert result["rectangles"].tolist() == expected.tolist()

    def test_augments_each_resized_view_with_the_samples_generator(self):
        calls = []

        def invert(view, rng):
            calls.append((view.size, rng))
            return Image.eval(view, lambda value: 255 - value)

        sample = make_sample(noise_image())
        plain, inverted = (
            CropViews(Rectangles((0, 0, 40, 40), (5, 5, 40, 30)), 16, augment=augment)(sample)["views"]
            for augment in (None, invert)
        )
        assert calls == [((16, 16), sample["rng"])] * 2
        for view, other in zip(plain, inverted, strict=True):
            assert torch.equal(255 - view, other)


class TestWholeImage:
    @pytest.mark.parametrize("size", [(20, 30), (64, 48), (7, 5)])
    def test_resizes_without_keeping_the_aspect_ratio(self, size):
        image = noise_image()
        result = WholeImage(size)(make_sample(image))
        assert sorted(result) == ["images", "index"]
        assert result["images"].shape == (*size, 3)
        assert torch.equal(result["images"], pixels(image.resize(size[::-1], Image.Resampling.BILINEAR)))

    def test_the_right_size_passes_unchanged(self):
        image = noise_image()
        result = WholeImage((40, 50))(make_sample(image))
        assert torch.equal(result["images"], pixels(image))

    def test_hands_on_a_label_where_there_is_one(self):
        assert WholeImage((4, 4))(make_sample(noise_image(), label=3))["label"] == 3

    @pytest.mark.parametrize(
        ("size", "inner", "valid"),
        [
            ((20, 20), (16, 20), [0, 0, 1, 0.8]),  # 40 x 50 is fitted by its width
            ((20, 100), (20, 25), [0, 0, 0.25, 1]),
            ((80, 125), (80, 100), [0, 0, 0.8, 1]),  # and made larger
            ((40, 64), (40, 50), [0, 0, 50 / 64, 1]),
        ],
    )
    def test_keeps_the_ratio_in_the_top_left_corner_of_the_canvas(self, size, inner, valid):
        image = noise_image()
        result = WholeImage(size, keep_ratio=True)(make_sample(image))
        assert sorted(result) == ["images", "index", "valid"]
        height, width = inner
        resized = image if inner == (40, 50) else image.resize((width, height), Image.Resampling.BILINEAR)
        assert result["images"].shape == (*size, 3)
        assert torch.equal(result["images"][:height, :width], pixels(resized))
        assert result["valid"].tolist() == torch.tensor(valid).tolist()
        assert result["valid"].dtype == torch.float32
        padding = torch.cat([result["images"][height:].flatten(0, 1), result["images"][:, width:].flatten(0, 1)])
        assert len(padding) > 0
        normalized = (padding / 255 - torch.tensor(IMAGENET_MEAN)) / torch.tensor(IMAGENET_STD)
        assert normalized.abs().max() < 0.01

    @pytest.mark.parametrize("size", [(40, 50), (20, 25), (80, 100)])
    def test_a_canvas_of_the_images_ratio_has_no_padding(self, size):
        kept, squashed = (WholeImage(size, keep)(make_sample(noise_image())) for keep in (True, False))
        assert torch.equal(kept["images"], squashed["images"])
        assert kept["valid"].tolist() == [0, 0, 1, 1]
        assert "valid" not in squashed

    def test_an_image_like_a_thread_keeps_a_pixel(self):
        assert fitted_size((1, 1000), (100, 100)) == (1, 100)
        assert fitted_size((1000, 1), (100, 200)) == (100, 1)
        result = WholeImage((50, 100), keep_ratio=True)(make_sample(noise_image(1000, 1)))
        assert result["valid"].tolist() == pytest.approx([0, 0, 1, 0.02])


class TestReferenceAugmentation:
    def test_repeats_with_the_generator(self):
        image = noise_image()
        first, again, other = (ReferenceAugmentation()(image, np.random.default_rng(seed)) for seed in (1, 1, 2))
        assert first.tobytes() == again.tobytes()
        assert first.tobytes() != other.tobytes()
        rng = np.random.default_rng(1)
        assert len({ReferenceAugmentation()(image, rng).tobytes() for _ in range(10)}) == 10

    def test_is_torchvisions_composition(self):
        image = noise_image(24, 20)
        steps = v2.Compose(
            [
                v2.RandomHorizontalFlip(0.5),
                v2.RandomApply([v2.ColorJitter(0.4, 0.4, 0.4, 0.1)], p=0.8),
                v2.RandomGrayscale(0.2),
                v2.RandomApply([v2.GaussianBlur(17, (0.1, 2.0))], p=0.5),
            ]
        )
        for seed in range(100):
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(int(np.random.default_rng(seed).integers(2**63)))
                expected = steps(image)
            assert ReferenceAugmentation()(image, np.random.default_rng(seed)).tobytes() == expected.tobytes()

    def test_leaves_global_generators_alone(self, monkeypatch):
        monkeypatch.setattr(torch.cuda, "manual_seed_all", None)
        np.random.seed(0)  # noqa: NPY002
        before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
        ReferenceAugmentation()(noise_image(), np.random.default_rng(0))
        assert torch.equal(before[0], torch.get_rng_state())
        assert (before[1] == np.random.get_state()[1]).all()  # noqa: NPY002

    def test_does_not_depend_on_the_global_generator(self):
        image = noise_image()
        results = []
        with torch.random.fork_rng(devices=[]):
            for seed in (0, 1):
                torch.manual_seed(seed)
                results.append(ReferenceAugmentation()(image, np.random.default_rng(0)).tobytes())
        assert results[0] == results[1]

    def test_flips_half_and_grays_a_fifth(self):
        augment = ReferenceAugmentation(jitter=(0, 0, 0, 0), blur=0)
        image = noise_image()
        flipped = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        names = {image.tobytes(): "plain", flipped.tobytes(): "flipped"}
        for picture, name in ((image, "plain"), (flipped, "flipped")):
            names[picture.convert("L").convert("RGB").tobytes()] = f"{name} gray"
        rng = np.random.default_rng(0)
        num = 1000
        counts = Counter(names[augment(image, rng).tobytes()] for _ in range(num))
        for name, probability in {"plain": 0.4, "flipped": 0.4, "plain gray": 0.1, "flipped gray": 0.1}.items():
            assert abs(counts[name] / num - probability) < 4 * (probability * (1 - probability) / num) ** 0.5


@pytest.mark.parametrize("channels", [1, 5])
def test_images_of_other_channels_are_cut_as_rgb_is(channels):
    rgb = noise_image()
    pixels = np.concatenate([np.array(rgb), np.array(rgb)], axis=2)[..., :channels]
    image = from_array(pixels)
    crop = Rectangles((3, 5, 35, 37), (0, 0, 50, 40))
    views, expected = (CropViews(crop, size=16)(make_sample(each))["views"] for each in (image, rgb))
    for view, other in zip(views, expected, strict=True):
        assert view.shape == (16, 16, channels)
        assert torch.equal(view, torch.cat([other, other], dim=2)[..., :channels])
    for keep_ratio in (False, True):
        whole, other = (WholeImage((32, 64), keep_ratio)(make_sample(each)) for each in (image, rgb))
        assert whole["images"].shape == (32, 64, channels)
        inside = slice(None, 40 if keep_ratio else 64)
        assert torch.equal(whole["images"][:, inside], torch.cat([other["images"]] * 2, 2)[:, inside, :channels])
        if keep_ratio:
            assert torch.equal(whole["valid"], other["valid"])
            assert (whole["images"][:, 40:] == round(255 * sum(IMAGENET_MEAN) / 3)).all()
