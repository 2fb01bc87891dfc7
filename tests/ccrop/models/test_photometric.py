import itertools

import pytest
import torch
from torchvision.transforms import functional

from ccrop.models import photometric

# torchvision rounds the luma's weight of red to 0.2989
TOLERANCE = 2e-4
COLORS = torch.tensor(list(itertools.product((0.0, 0.3, 0.5, 1.0), repeat=3)))


@pytest.fixture
def images():
    """Noise, a smooth gradient, a dark and a bright image, and one of pure colors, grays and ties: (5, 3, 16, 24)."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.rand(3, 16, 24, generator=generator)
    y, x = torch.meshgrid(torch.linspace(0, 1, 16), torch.linspace(0, 1, 24), indexing="ij")
    colors = COLORS.repeat(6, 1).T.reshape(3, 16, 24)
    return torch.stack([noise, torch.stack([x, y, (1 - x) * y]), 0.05 * noise, 1 - 0.05 * noise, colors])


def assert_agrees(operation, reference, images, strengths):
    before = images.clone()
    result = operation(images, torch.tensor(strengths))
    assert torch.equal(images, before)
    assert result.shape == images.shape
    expected = torch.stack([reference(image, s) for image, s in zip(images, strengths, strict=True)])
    torch.testing.assert_close(result, expected, atol=TOLERANCE, rtol=0)


FACTORS = [[0.6, 0.8, 1.0, 1.2, 1.4], [1.4, 0.6, 0.7, 1.0, 0.9], [0.0, 2.0, 3.0, 0.5, 0.1], [1.4, 1.3, 1.1, 0.9, 1.4]]


@pytest.mark.parametrize("factors", FACTORS)
@pytest.mark.parametrize("name", ["brightness", "contrast", "saturation"])
def test_agrees_with_torchvision(images, name, factors):
    assert_agrees(getattr(photometric, f"adjust_{name}"), getattr(functional, f"adjust_{name}"), images, factors)


@pytest.mark.parametrize(
    "shifts", [[-0.1, 0.1, 0.05, 0.0, 0.1], [0.1, -0.1, -0.03, 0.1, -0.07], [0.5, -0.5, 0.3, -0.25, 0.5], [0.0] * 5]
)
def test_hue_agrees_with_torchvision(images, shifts):
    assert_agrees(photometric.adjust_hue, functional.adjust_hue, images, shifts)


def test_hue_of_all_colors_by_many_shifts():
    shifts = torch.linspace(-0.5, 0.5, 41)
    assert_agrees(
        photometric.adjust_hue,
        functional.adjust_hue,
        COLORS.T.reshape(1, 3, 8, 8).repeat(41, 1, 1, 1),
        shifts.tolist(),
    )


def test_a_third_of_a_turn_makes_red_green():
    red = torch.tensor([1.0, 0.0, 0.0]).view(1, 3, 1, 1)
    turned = [photometric.adjust_hue(red, torch.tensor([shift])).flatten().tolist() for shift in (1 / 3, -1 / 3, 0.5)]
    expected = [[0, 1, 0], [0, 0, 1], [0, 1, 1]]
    assert turned == [pytest.approx(color, abs=1e-6) for color in expected]


def test_gray_agrees_with_torchvision(images):
    torch.testing.assert_close(photometric.to_gray(images), functional.rgb_to_grayscale(images), atol=TOLERANCE, rtol=0)
    expected = photometric.to_gray(images).expand_as(images)
    torch.testing.assert_close(photometric.adjust_saturation(images, torch.zeros(5)), expected, atol=1e-6, rtol=0)


def test_values_by_hand():
    image = torch.tensor([[0.2, 0.6], [0.4, 0.6], [0.8, 0.6]]).view(1, 3, 1, 2)
    luma = [0.299 * 0.2 + 0.587 * 0.4 + 0.114 * 0.8, 0.6]
    half, double = torch.tensor([0.5]), torch.tensor([2.0])
    assert photometric.to_gray(image).flatten().tolist() == pytest.approx(luma)
    brightness = photometric.adjust_brightness(image, double)
    assert brightness.flatten().tolist() == pytest.approx([0.4, 1.0, 0.8, 1.0, 1.0, 1.0])
    mean = sum(luma) / 2
    contrast = photometric.adjust_contrast(image, half)
    assert contrast.flatten().tolist() == pytest.approx([(v + mean) / 2 for v in (0.2, 0.6, 0.4, 0.6, 0.8, 0.6)])
    saturation = photometric.adjust_saturation(image, double)
    assert saturation[..., 0].flatten().tolist() == pytest.approx([max(0, 2 * v - luma[0]) for v in (0.2, 0.4)] + [1.0])


@pytest.mark.parametrize("sigmas", [[0.1, 0.5, 1.0, 1.5, 2.0], [2.0, 0.1, 0.3, 1.9, 0.7]])
@pytest.mark.parametrize("radius", [1, 4, 8])
def test_blur_agrees_with_torchvision(images, radius, sigmas):
    def reference(image, sigma):
        return functional.gaussian_blur(image, [2 * radius + 1] * 2, [sigma] * 2)

    def blur(images, sigma):
        return photometric.gaussian_blur(images, sigma, radius)

    assert_agrees(blur, reference, images, sigmas)


def test_blur_of_a_point():
    image = torch.zeros(1, 3, 9, 9)
    image[..., 4, 4] = 1
    blurred = photometric.gaussian_blur(image, torch.tensor([1.0]), radius=3)
    weights = torch.exp(-0.5 * torch.arange(-4.0, 5.0) ** 2)
    weights[[0, -1]] = 0
    weights /= weights.sum()
    torch.testing.assert_close(blurred, (weights[:, None] * weights).expand(1, 3, 9, 9))


@pytest.mark.parametrize(
    ("operation", "identity"),
    [
        (photometric.adjust_brightness, 1.0),
        (photometric.adjust_contrast, 1.0),
        (photometric.adjust_saturation, 1.0),
        (photometric.adjust_hue, 0.0),
        (lambda images, sigma: photometric.gaussian_blur(images, sigma, 8), 0.0),
    ],
)
def test_identity_leaves_an_image_alone_among_others(images, operation, identity):
    images = images[[0, 0, 1, 4, 4]]
    strengths = torch.tensor([identity, 0.5, identity, 0.4, identity])
    result = operation(images, strengths)
    torch.testing.assert_close(result[::2], images[::2], atol=1e-6, rtol=0)
    assert ((result - images)[1::2].abs().amax(dim=(1, 2, 3)) > 0.01).all()


def test_results_stay_in_range(images):
    for operation in (photometric.adjust_brightness, photometric.adjust_contrast, photometric.adjust_saturation):
        result = operation(images, torch.full((5,), 3.0))
        assert result.min() >= 0
        assert result.max() <= 1
    for shift in (-0.5, -0.1, 0.1, 0.3):
        result = photometric.adjust_hue(images, torch.full((5,), shift))
        assert result.min() >= 0
        assert result.max() <= 1


def test_each_image_is_alone(images):
    strengths = torch.tensor([0.1, 0.4, 0.2, 0.3, 0.45])
    for operation in (
        photometric.adjust_brightness,
        photometric.adjust_contrast,
        photometric.adjust_saturation,
        photometric.adjust_hue,
        lambda images, sigma: photometric.gaussian_blur(images, sigma, 4),
    ):
        alone = torch.cat([operation(image[None], s[None]) for image, s in zip(images, strengths, strict=True)])
        torch.testing.assert_close(operation(images, strengths), alone, atol=1e-6, rtol=0)


@pytest.mark.parametrize("channels", [1, 2, 5])
def test_contrast_of_other_channels_is_about_their_mean(channels):
    images = torch.rand(3, channels, 8, 9, generator=torch.Generator().manual_seed(0))
    factors = [0.5, 1.0, 1.3]
    assert torch.equal(photometric.to_gray(images), images.mean(dim=1, keepdim=True))
    found = photometric.adjust_contrast(images, torch.tensor(factors))
    for image, factor, own in zip(images, factors, found, strict=True):
        middle = image.double().mean().item()
        expected = (middle + factor * (image.double() - middle)).clamp(0, 1)
        torch.testing.assert_close(own.double(), expected, atol=1e-6, rtol=0)
