import math
import random

import pytest
import torch

from ccrop.evaluation import effective_rank, embedding_std


def test_std_is_one_for_random_directions():
    z = torch.randn(20_000, 64, generator=torch.Generator().manual_seed(0))
    assert embedding_std(z).item() == pytest.approx(1, abs=0.01)


def test_std_is_zero_for_one_point_and_small_near_it():
    z = torch.randn(1, 64, generator=torch.Generator().manual_seed(0)).expand(100, 64)
    assert embedding_std(z).item() == pytest.approx(0, abs=1e-5)
    noise = torch.randn(100, 64, generator=torch.Generator().manual_seed(1))
    assert embedding_std(z + 0.01 * noise).item() == pytest.approx(0.01, rel=0.3)


def test_std_is_the_formula():
    rng = random.Random(0)
    z = [[rng.gauss(0.5, 1) for _ in range(3)] for _ in range(7)]
    unit = [[x / math.sqrt(sum(y * y for y in row)) for x in row] for row in z]
    stds = []
    for channel in zip(*unit, strict=True):
        mean = sum(channel) / 7
        stds.append(math.sqrt(sum((x - mean) ** 2 for x in channel) / 7))
    assert embedding_std(torch.tensor(z)).item() == pytest.approx(sum(stds) / 3 * math.sqrt(3), rel=1e-5)


def test_std_ignores_lengths_and_takes_half_precision():
    z = torch.randn(50, 8, generator=torch.Generator().manual_seed(0))
    lengths = torch.linspace(0.1, 10, 50)[:, None]
    assert embedding_std(z * lengths).item() == pytest.approx(embedding_std(z).item(), rel=1e-5)
    assert embedding_std(z.bfloat16()).item() == pytest.approx(embedding_std(z).item(), rel=0.01)
    assert embedding_std(z.bfloat16()).dtype == torch.float32


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_std_of_a_diverged_batch_is_nan(value):
    z = torch.randn(6, 4)
    z[2, 1] = value
    assert embedding_std(z).isnan()


def with_spectrum(values, num_rows, num_columns, seed=0):
    """A matrix ``(num_rows, num_columns)`` with the given singular values, in random directions."""
    rng = torch.Generator().manual_seed(seed)
    left = torch.linalg.qr(torch.randn(num_rows, num_rows, generator=rng, dtype=torch.double))[0]
    right = torch.linalg.qr(torch.randn(num_columns, num_columns, generator=rng, dtype=torch.double))[0]
    return left[:, : len(values)] @ torch.diag(torch.tensor(values, dtype=torch.double)) @ right[: len(values)]


def test_rank_of_one_direction_is_one():
    z = torch.arange(1.0, 41)[:, None] * torch.randn(1, 256, generator=torch.Generator().manual_seed(0))
    assert effective_rank(z).item() == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize(("num_rows", "num_columns"), [(6, 6), (20, 6), (6, 20)])
def test_rank_of_orthonormal_directions_is_their_number(num_rows, num_columns):
    assert effective_rank(with_spectrum([1.0] * 6, num_rows, num_columns)).item() == pytest.approx(6, abs=1e-6)


@pytest.mark.parametrize("values", [[3.0, 1.0], [5.0, 2.0, 2.0, 1.0], [1.0, 1e-3]])
@pytest.mark.parametrize(("num_rows", "num_columns"), [(30, 9), (9, 30)])
def test_rank_is_the_exponential_of_the_entropy_of_the_singular_values(values, num_rows, num_columns):
    shares = [value / sum(values) for value in values]
    expected = math.exp(-sum(share * math.log(share) for share in shares))
    z = with_spectrum(values, num_rows, num_columns)
    assert effective_rank(z).item() == pytest.approx(expected, abs=1e-5)
    assert effective_rank(1000 * z).item() == pytest.approx(expected, abs=1e-5)
    assert effective_rank(z.float()).item() == pytest.approx(expected, abs=1e-3)
