"""Images divided into two parts with the same fraction of each class, from a seed."""

from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray


def stratified(
    classes: NDArray[np.bool_], fraction: float, seed: int, scenes: Sequence[Hashable] | None = None
) -> list[int]:
    """Which examples make up a fraction in which every class is in proportion.

    The iterative stratification of Sechidis et al., On the Stratification of Multi-Label Data, ECML PKDD 2011: the
    rarest class is assigned first, each example to the part that still needs it most.

    Args:
        classes: ``(N, C)``, whether an example shows a class; one without any counts as its own class.
        fraction: fraction of the examples, in (0, 1).
        seed: draws the order.
        scenes: by example; examples of a scene stay together. Default: each example is its own scene.

    Returns:
        Sorted indices, at least one, and not all if there are several scenes.

    Raises:
        ValueError: the fraction is not in (0, 1), or all examples are of one scene.
    """
    if not 0 < fraction < 1:
        raise ValueError(f"the fraction of images must be between 0 and 1, got {fraction:g}")
    names, groups = np.unique(
        np.array([str(each) for each in (range(len(classes)) if scenes is None else scenes)]), return_inverse=True
    )
    if len(names) < 2:
        raise ValueError(
            f"{len(classes)} images of {len(names)} scene(s) cannot be divided: at least two scenes are needed"
        )
    labels = np.column_stack([classes, ~classes.any(axis=1)]).astype(int)
    counts = np.zeros((len(names), labels.shape[1] + 1), dtype=int)  # of examples by class, and of all
    np.add.at(counts, groups, np.column_stack([labels, np.ones(len(labels), dtype=int)]))
    chosen = _dealt(counts, fraction, np.random.default_rng(seed))
    return np.flatnonzero(chosen[groups]).tolist()


def _dealt(counts: NDArray[np.int_], fraction: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """``(G,)``: the groups that go to the fraction.

    Args:
        counts: ``(G, C + 1)``, examples of a group by class and, last, all.
    """
    order = rng.permutation(len(counts))
    order = order[np.argsort(-counts[order, -1], kind="stable")]  # what remains to be assigned last should be small
    lacks = np.array([[fraction], [1 - fraction]]) * counts.sum(axis=0)  # (2, C + 1): of the fraction, of the rest
    part = np.full(len(counts), -1)
    while (part < 0).any():
        left = counts[:, :-1][part < 0].sum(axis=0)
        rarest = np.where(left > 0, left, np.iinfo(left.dtype).max).argmin()
        for group in order[(part[order] < 0) & (counts[order, rarest] > 0)]:
            target = max((0, 1), key=lambda side: (lacks[side, rarest], lacks[side, -1]))
            part[group] = target
            lacks[target] -= counts[group]
    for side in (0, 1):  # neither may be empty
        if not (part == side).any():
            part[order[counts[order, -1].argmin()]] = side
    return part == 0
