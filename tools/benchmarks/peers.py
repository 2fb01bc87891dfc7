"""A peer of several paths: SimSiam's augmentation on PIL images, as its authors published it."""

import random
from collections.abc import Callable

from PIL import Image, ImageFilter
from torch import Tensor
from torchvision import transforms

from ccrop.models.preprocessor import IMAGENET_MEAN, IMAGENET_STD


class PilBlur:
    """Pillow's Gaussian blur of sigma 0.1 to 2.0 px."""

    def __call__(self, image: Image.Image) -> Image.Image:
        return image.filter(ImageFilter.GaussianBlur(random.uniform(0.1, 2.0)))


def simsiam_on_pil(*before: Callable[[Image.Image], Image.Image]) -> Callable[[Image.Image], Tensor]:
    """Color jitter, grayscale, blur and flip of a PIL image, ``(3, H, W)`` normalized, after the steps ``before``."""
    return transforms.Compose(
        [
            *before,
            transforms.RandomApply([transforms.ColorJitter(0.4, 0.4, 0.4, 0.1)], p=0.8),
            transforms.RandomGrayscale(p=0.2),
            transforms.RandomApply([PilBlur()], p=0.5),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize(IMAGENET_MEAN, IMAGENET_STD),
        ]
    )
