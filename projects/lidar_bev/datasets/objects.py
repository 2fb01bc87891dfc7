"""The objects of a sweep, from its labels or from a teacher, whose boxes come in a file."""

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ccrop.files import written


class MissingLabels(ValueError):
    """A sweep has no label file, which a labeled one has even if it is empty; names it."""


class Objects(NamedTuple):
    """The labeled objects of a sweep.

    Attributes:
        names: ``M`` class names, including those of classes that no detector learns.
        boxes: ``(M, 7)`` float32, see :mod:`ccrop.projects.lidar_bev.boxes`.
        velocities: ``(M, 2)`` float32 along x and y in meters per second, NaN if not known; None where none is.
    """

    names: list[str]
    boxes: NDArray[np.float32]
    velocities: NDArray[np.float32] | None = None


def write_taught(file: Path, found: Mapping[str, Objects]) -> None:
    """Write the objects of sweeps, at least one, to an ``.npz`` file.

    Args:
        found: by the sweep's path, as its data set lists it; all or none with velocities.
    """
    objects = list(found.values())
    velocities = [each.velocities for each in objects if each.velocities is not None]
    with written(file) as partial:
        np.savez(
            partial,
            paths=np.array(list(found)),
            starts=np.cumsum([0, *(len(each.names) for each in objects)]),
            names=np.array([name for each in objects for name in each.names], dtype=np.str_),
            boxes=np.concatenate([each.boxes for each in objects]),
            velocities=np.concatenate([np.zeros((0, 2), np.float32), *velocities]),
        )


def read_taught(file: str | Path) -> dict[str, Objects]:
    """What :func:`write_taught` wrote."""
    with np.load(file) as content:
        known = {name: content[name] for name in content.files}
    return {
        path: Objects(
            known["names"][start:end].tolist(),
            known["boxes"][start:end],
            known["velocities"][start:end] if len(known["velocities"]) else None,
        )
        for path, (start, end) in zip(known["paths"].tolist(), pairwise(known["starts"].tolist()), strict=True)
    }
