"""Fractions of a set's labels: nested, and by scene if examples of one scene resemble each other."""

import math
from collections.abc import Hashable, Iterable, Sequence

import numpy as np


def fraction_of(text: str, what: str = "labels") -> float:
    """A fraction in (0, 1], written ``10%`` or ``0.1``.

    Args:
        what: it is a fraction of, for the error.

    Raises:
        ValueError: it is not a number, or out of range.
    """
    try:
        fraction = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        fraction = math.nan
    if not 0 < fraction <= 1:
        raise ValueError(f"the fraction of {what} must be above 0 and at most 100%, such as 10% or 0.1, got {text}")
    return fraction


def drawn_fraction(
    examples: Iterable[int], fraction: float, seed: int, scenes: Sequence[Hashable] | None = None
) -> list[int]:
    """Which of the examples a run may use: a subset of those of any larger fraction with this seed.

    Args:
        examples: indices.
        fraction: in [0, 1]; rounded up to whole examples, and then to whole scenes.
        seed: draws the order.
        scenes: by index; examples of a scene are drawn together. Default: each example is its own scene.
    """
    members: dict[Hashable, list[int]] = {}
    for example in examples:
        members.setdefault(example if scenes is None else scenes[example], []).append(example)
    groups = list(members.values())
    wanted = math.ceil(fraction * sum(map(len, groups)))
    chosen: list[int] = []
    for number in np.random.default_rng(seed).permutation(len(groups)):
        if len(chosen) >= wanted:
            break
        chosen += groups[number]
    return sorted(chosen)
