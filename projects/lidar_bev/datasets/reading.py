"""Reading a sweep file of any common kind as an array of points."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ccrop.datasets.reading import UnreadableFile

SWEEP_SUFFIXES = (".bin", ".npy", ".pcd", ".ply")
XYZ = ("x", "y", "z")
XYZI = ("x", "y", "z", "intensity")
NEGATIVE = 0.05  # share of negative intensities above which the columns are not what they are said to be


class UnreadableSweep(UnreadableFile):
    """A sweep file that cannot be read."""


def read_sweep(path: str | os.PathLike, columns: Sequence[str] = XYZI) -> NDArray[np.float32]:
    """The points of a sweep.

    Args:
        path: ``.bin`` (float32 values, point after point, as KITTI and nuScenes have them), ``.npy`` (an array with a
            row a point), ``.pcd`` or ``.ply`` (fields by name; needs Open3D).
        columns: names of the values of a point. Those of .bin and .npy files in their order, all of them; of the
            fields of .pcd and .ply files these are taken.

    Returns:
        ``(N, len(columns))``, N > 0; points may be NaN, see :func:`finite`.

    Raises:
        UnreadableSweep: with the file and the reason.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    readers = {".bin": _read_bin, ".npy": _read_npy, ".pcd": _read_fields, ".ply": _read_fields}
    if suffix not in readers:
        raise UnreadableSweep(path, f"files of kind {suffix!r} are not read: convert it to one of {SWEEP_SUFFIXES}")
    try:
        points = readers[suffix](path, columns)
    except OSError as error:
        raise UnreadableSweep(path, error.strerror or str(error)) from error
    if not len(points):
        raise UnreadableSweep(path, "it holds no point: remove it from the data set")
    return points


def finite(points: NDArray[np.float32]) -> NDArray[np.float32]:
    """The points ``(N, C)`` all of whose values are finite."""
    usable = np.isfinite(points).all(axis=1)
    return points if usable.all() else points[usable]


def _read_bin(path: Path, columns: Sequence[str]) -> NDArray[np.float32]:
    size = path.stat().st_size
    if size % (4 * len(columns)):
        raise UnreadableSweep(
            path,
            f"its {size} bytes are no whole number of points with {len(columns)} float32 values "
            f"({', '.join(columns)}): the file is cut off, or its points have other columns; name them in columns",
        )
    points = np.fromfile(path, dtype=np.float32).reshape(-1, len(columns))
    if "intensity" in columns and len(points):  # the size of a file of five columns may suit four by chance
        negative = (points[:, list(columns).index("intensity")] < 0).mean()
        if negative > NEGATIVE:
            raise UnreadableSweep(
                path,
                f"{negative:.0%} of its intensities are negative, as no sensor's are: its points have other "
                f"columns than {', '.join(columns)}; name them in columns",
            )
    return points


def _read_npy(path: Path, columns: Sequence[str]) -> NDArray[np.float32]:
    try:
        points = np.load(path, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise UnreadableSweep(path, f"no array of numbers ({error})") from error
    if points.ndim != 2 or points.shape[1] != len(columns):
        raise UnreadableSweep(
            path,
            f"its array has shape {points.shape}, expected (points, {len(columns)}) for the columns "
            f"{', '.join(columns)}: name the columns that it has in columns",
        )
    if points.dtype.kind not in "fiu":
        raise UnreadableSweep(path, f"its values are of type {points.dtype}, expected numbers")
    return points.astype(np.float32, copy=False)


def _read_fields(path: Path, columns: Sequence[str]) -> NDArray[np.float32]:
    if not path.is_file():
        raise UnreadableSweep(path, "there is no such file")
    try:
        import open3d
    except ImportError as error:
        raise ImportError(f"{path}: reading {path.suffix} files needs Open3D: pip install open3d") from error
    with open3d.utility.VerbosityContextManager(open3d.utility.VerbosityLevel.Error):
        cloud = open3d.t.io.read_point_cloud(str(path))
    fields = {name: value.numpy() for name, value in cloud.point.items()}
    if "positions" not in fields:
        raise UnreadableSweep(path, "it is damaged, or holds no point with fields x, y and z")
    fields |= dict(zip(XYZ, fields.pop("positions").T[..., None], strict=True))
    missing = [name for name in columns if name not in fields]
    if missing:
        raise UnreadableSweep(
            path, f"it has no field {', '.join(missing)}, only {', '.join(fields)}: name some of these in columns"
        )
    return np.concatenate([fields[name].astype(np.float32) for name in columns], axis=1)
