"""Reading a sweep file of any common format as an array of points."""

import math
import os
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np
from mmengine.logging import MMLogger
from numpy.typing import NDArray

from ccrop.datasets.reading import UnreadableFile
from ccrop.projects.lidar_bev.datasets.fields import Malformed, read_pcd, read_ply

SWEEP_SUFFIXES = (".bin", ".npy", ".pcd", ".ply")
XYZ = ("x", "y", "z")
XYZI = ("x", "y", "z", "intensity")
NEGATIVE = 0.05  # fraction of negative intensities above which the columns cannot be as declared
FAR = 1000.0  # meters; if half of the points are farther away, the origin is not the sensor
PLAUSIBLE = (1e-6, 1e9)  # meters; of a number that is not 0; bytes of another type are hardly ever between these
COARSE = 0.01  # meters between adjacent values of a number type above which a sweep's shape is lost


class UnreadableSweep(UnreadableFile):
    """A sweep file that cannot be read."""


def read_sweep(path: str | os.PathLike, columns: Sequence[str] = XYZI) -> NDArray[np.float32]:
    """The points of a sweep.

    Returns at exactly (0, 0, 0) are dropped: drivers write them for missing returns. Map coordinates (UTM)
    are centered on their rounded median before conversion to float32, and the log says so.

    Args:
        path: ``.bin`` (float32 values, point after point, as in KITTI and nuScenes), ``.npy`` (an array whose
            last or first axis is that of the columns, or a structured one), ``.pcd`` or ``.ply`` (compressed .pcd
            needs Open3D).
        columns: names of the values of a point, x, y and z among them. Those of .bin and .npy files in their order,
            all of them; of the fields of .pcd and .ply files and structured arrays these are taken,
            ignoring case.

    Returns:
        ``(N, len(columns))``, N > 0; points may be NaN, see :func:`finite`.

    Raises:
        UnreadableSweep: with the file and the reason.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    readers = {".bin": _read_bin, ".npy": _read_npy, ".pcd": _read_fields, ".ply": _read_fields}
    if suffix not in readers:
        raise UnreadableSweep(
            path, f"files of type {suffix!r} are not supported: convert it to one of {SWEEP_SUFFIXES}"
        )
    try:
        if path.exists() and not path.is_file():
            raise Malformed("it is not a regular file")  # reading a pipe would wait forever
        points = _relative(_returns(readers[suffix](path, columns), columns), columns, path.parent)
    except (MemoryError, ImportError):
        raise
    except Malformed as error:
        raise UnreadableSweep(path, str(error)) from error
    except OSError as error:
        raise UnreadableSweep(path, error.strerror or str(error)) from error
    except Exception as error:  # anything that a damaged file can raise
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UnreadableSweep(path, f"damaged or of an unsupported format ({reason})") from error
    if not len(points):
        raise UnreadableSweep(path, "it holds no points: remove it from the data set")
    return points


def read_text(path: Path) -> str:
    """The text of a file in UTF-8, without the byte order mark that some editors put first.

    Raises:
        ValueError: it has another encoding; names the file.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not UTF-8 text ({error.reason} at byte {error.start}): save it as UTF-8") from error


def finite(points: NDArray[np.float32]) -> NDArray[np.float32]:
    """The points ``(N, C)`` all of whose values are finite."""
    usable = np.isfinite(points).all(axis=1)
    return points if usable.all() else points[usable]


def _coordinates(points: NDArray, columns: Sequence[str]) -> NDArray:
    return points[:, [list(columns).index(name) for name in XYZ]]


def _returns(points: NDArray, columns: Sequence[str]) -> NDArray:
    """The points that are not at the origin."""
    usable = (_coordinates(points, columns) != 0).any(axis=1)
    return points if usable.all() else points[usable]


def _relative(points: NDArray, columns: Sequence[str], folder: Path) -> NDArray[np.float32]:
    """The points as float32, with map coordinates centered on their median."""
    places = _coordinates(points, columns)
    places = places[np.isfinite(places).all(axis=1)]
    if not len(places):
        return points.astype(np.float32, copy=False)
    sizes = abs(places)
    low, high = PLAUSIBLE
    if (((sizes < low) & (sizes != 0)) | (sizes > high)).mean() > 0.5:
        raise Malformed(
            "most of its values cannot be meters: it is no sweep, or of another number type or byte order than is read"
        )
    if sizes.max() <= FAR:
        return points.astype(np.float32, copy=False)
    middle = np.median(places, axis=0)
    if np.median(abs(places - middle).max(axis=1)) > FAR:
        raise Malformed(f"half of its points are more than {FAR:.0f} m from its middle: convert it to meters")
    farthest = abs(middle).max()
    if farthest <= FAR:  # a few strays
        return points.astype(np.float32, copy=False)
    step = np.spacing(farthest.astype(points.dtype)) if points.dtype.kind == "f" else 0.0
    if step > COARSE:
        raise Malformed(
            f"its coordinates are around {farthest:.0f} m, where {points.dtype} resolves only {step:.2g} m: save "
            "them as float64, or relative to the sensor"
        )
    _say_moved(folder)
    moved = points.astype(np.float64)
    for name, offset in zip(XYZ, middle.round(), strict=True):
        moved[:, list(columns).index(name)] -= offset
    return moved.astype(np.float32)


@cache
def _say_moved(folder: Path) -> None:
    MMLogger.get_current_instance().warning(
        f"{folder}: the coordinates are in a map frame, not the sensor's: each sweep is centered on its median point"
    )


def _read_bin(path: Path, columns: Sequence[str]) -> NDArray[np.float32]:
    size = path.stat().st_size
    if size % (4 * len(columns)):
        raise Malformed(
            f"its {size} bytes are not a whole number of points with {len(columns)} float32 values "
            f"({', '.join(columns)}): the file is truncated, or its points have other columns; list them in columns"
        )
    points = np.fromfile(path, dtype=np.float32).reshape(-1, len(columns))
    if "intensity" in columns and len(points):  # the size of a five-column file may fit four columns by chance
        negative = (points[:, list(columns).index("intensity")] < 0).mean()
        if negative > NEGATIVE:
            raise Malformed(
                f"{negative:.0%} of its intensities are negative, which no sensor gives: its points "
                f"have columns other than {', '.join(columns)}; list them in columns"
            )
    return points


def _read_npy(path: Path, columns: Sequence[str]) -> NDArray:
    values = _load_npy(path)
    if values.dtype.names:
        return _stacked({name: values[name].ravel() for name in values.dtype.names}, columns)
    if values.dtype.kind not in "fiu":
        raise Malformed(f"its values are of type {values.dtype}, expected numbers")
    width = len(columns)
    if values.ndim < 2 or width not in (values.shape[-1], values.shape[0]):
        raise Malformed(
            f"its array has shape {values.shape}, expected (points, {width}), ({width}, points) or "
            f"(rows, points, {width}) for the columns {', '.join(columns)}: list its columns in columns"
        )
    points = values if values.shape[-1] == width else np.moveaxis(values, 0, -1)
    return points.reshape(-1, width)


def _load_npy(path: Path) -> NDArray:
    """The array of a file that is exactly as long as its header says."""
    headers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    with path.open("rb") as file:
        try:
            shape, _, dtype = headers[np.lib.format.read_magic(file)](file)
        except (ValueError, KeyError) as error:
            raise Malformed(f"not an array of numbers ({error})") from error
        declared, present = math.prod(shape) * dtype.itemsize, path.stat().st_size - file.tell()
    if declared != present:
        raise Malformed(
            f"its header declares an array of shape {shape}, {declared} bytes, but {present} follow: it is "
            "truncated or damaged"
        )
    try:
        return np.load(path, allow_pickle=False)
    except ValueError as error:
        raise Malformed(f"not an array of numbers ({error})") from error


def _read_fields(path: Path, columns: Sequence[str]) -> NDArray:
    return _stacked(read_ply(path) if path.suffix.lower() == ".ply" else read_pcd(path), columns)


def _stacked(fields: Mapping[str, NDArray], columns: Sequence[str]) -> NDArray:
    """``(N, len(columns))`` of the fields with these names, in the floating-point type of the coordinates."""
    known = {name.lower(): values for name, values in fields.items()} | dict(fields)
    called = [name if name in known else name.lower() for name in columns]
    missing = [name for name, own in zip(columns, called, strict=True) if own not in known]
    if missing:
        raise Malformed(
            f"it has no field {', '.join(missing)}, only {', '.join(fields)}: list some of these in columns"
        )
    chosen = [known[own] for own in called]
    kind = np.result_type(np.float32, *(values for name, values in zip(columns, chosen, strict=True) if name in XYZ))
    return np.stack([values.astype(kind) for values in chosen], axis=1)
