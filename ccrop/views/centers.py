"""Where in a box the center of a crop is: center suppression."""

import math
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


class BetaCenters:
    """Each coordinate from Beta(alpha, alpha): ContrastiveCrop (Peng et al., CVPR 2022, equation 5).

    Args:
        alpha: below 1 suppresses the middle of the box, 1 is uniform.
    """

    def __init__(self, alpha: float = 0.6) -> None:
        if not alpha > 0:
            raise ValueError(f"alpha must be positive, got {alpha}")
        self.alpha = alpha

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float64]:
        """Positions ``(*shape, 2)`` in the box, horizontal and vertical, in [0, 1]."""
        return rng.beta(self.alpha, self.alpha, size=(*shape, 2))

    def sample(self, shape: tuple[int, ...], device: torch.device | str = "cpu") -> Tensor:
        """The same ``(*shape, 2)`` on a device, by torch's own generator."""
        concentration = torch.full((*shape, 2), self.alpha, device=device)
        first, second = (torch._standard_gamma(concentration) for _ in range(2))
        return first / (first + second).clamp(min=torch.finfo(first.dtype).tiny)


class GaussianCenters:
    """A ring inside the ellipse of the box: density 1 - exp(-d^2 / 2 sigma^2), zero outside.

    d is the distance to the middle in half sides of the box, so the density is zero at the peak of a Gaussian
    center and nothing lies beyond its footprint.

    Args:
        sigma: of the suppressing Gaussian, in half sides of the box; CenterPoint's footprint has 1/3.
    """

    def __init__(self, sigma: float = 1 / 3) -> None:
        if not sigma > 0:
            raise ValueError(f"sigma must be positive, got {sigma}")
        self.sigma = sigma

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float64]:
        """Positions ``(*shape, 2)`` in the box, horizontal and vertical, in [0, 1]."""
        share, turn = rng.random((2, *shape))
        radii, mass = _ring(self.sigma)
        radius = np.interp(share, mass, radii)
        angle = 2 * np.pi * turn
        return 0.5 + 0.5 * np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=-1)

    def sample(self, shape: tuple[int, ...], device: torch.device | str = "cpu") -> Tensor:
        """The same ``(*shape, 2)`` on a device, by torch's own generator."""
        share, turn = torch.rand((2, *shape), device=device)
        radii, mass = (torch.from_numpy(values).to(share) for values in _ring(self.sigma))
        upper = torch.searchsorted(mass, share).clamp(1, len(mass) - 1)
        low, high = mass[upper - 1], mass[upper]
        radius = torch.lerp(radii[upper - 1], radii[upper], ((share - low) / (high - low)).clamp(0, 1))
        angle = 2 * math.pi * turn
        return 0.5 + 0.5 * torch.stack([radius * angle.cos(), radius * angle.sin()], dim=-1)


@lru_cache(maxsize=8)
def _ring(sigma: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Radii in [0, 1] and the fraction of the ring's mass within each.

    The mass within r is the integral of t (1 - exp(-t^2 / 2 s^2)), which is r^2 / 2 - s^2 (1 - exp(-r^2 / 2 s^2)).
    """
    radii = np.linspace(0, 1, 1025, dtype=np.float64)
    variance = sigma**2
    mass = radii**2 / 2 + variance * np.expm1(-(radii**2) / (2 * variance))
    return radii, mass / (0.5 + variance * math.expm1(-1 / (2 * variance)))
