"""Point files whose header names the fields of a point: PLY (Turk, 1994) and PCD (Point Cloud Library, version 0.7).

A header is checked against the file's size before memory is allocated.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ccrop.projects.lidar_bev.extras import extra

PLY_TYPES = dict(char="i1", uchar="u1", short="i2", ushort="u2", int="i4", uint="u4", float="f4", double="f8")
PLY_TYPES |= dict(int8="i1", uint8="u1", int16="i2", uint16="u2", int32="i4", uint32="u4", float32="f4", float64="f8")
PLY_ORDERS = dict(ascii="=", binary_little_endian="<", binary_big_endian=">")
LONGEST_HEADER = 1000  # lines
MOST_COMPRESSION = 264 / 3  # LZF's longest match over its code


class Malformed(ValueError):
    """What is wrong with the content of a file, and what to do; the caller adds the file's name."""


class Element(NamedTuple):
    """An element of a PLY header: its name, number of rows, and each property's name and NumPy type, None for lists."""

    name: str
    number: int
    properties: list[tuple[str, str | None]]


def read_ply(path: Path) -> dict[str, NDArray]:
    """The vertices' properties by name, each ``(N,)``, of an ASCII or binary file.

    Raises:
        Malformed: it is not a PLY file, its vertices have lists, or there are not as many as its header declares.
    """
    with path.open("rb") as file:
        lines = _header(file, "end_header")
        if not lines or lines[0] != ["ply"]:
            raise Malformed("it is damaged, or not a PLY file: it does not begin with 'ply' and a header")
        kind = next((words[1] for words in lines if words[0] == "format" and len(words) > 1), None)
        if kind not in PLY_ORDERS:
            raise Malformed(f"its format is {kind!r}, expected one of {', '.join(PLY_ORDERS)}")
        elements = _elements(lines)
        before, vertices = _up_to_vertices(elements)
        is_last = vertices is elements[-1]
        if kind == "ascii":
            names = [name for name, _ in vertices.properties]
            table = _text_table(file, sum(each.number for each in before), vertices.number, len(names), is_last)
            return dict(zip(names, table.T, strict=True))
        order = PLY_ORDERS[kind]
        file.seek(sum(each.number * _dtype(each, order).itemsize for each in before), os.SEEK_CUR)
        rows = _binary_table(file, vertices.number, _dtype(vertices, order), is_last)
    return {name: rows[name] for name, _ in vertices.properties}


def read_pcd(path: Path) -> dict[str, NDArray]:
    """The fields with one value per point, by name, each ``(N,)``, of an ASCII or binary file, compressed or not.

    Raises:
        Malformed: it is not a PCD file, or does not have as many points as its header declares.
        ImportError: it is compressed, and Open3D is not installed.
    """
    with path.open("rb") as file:
        header = {words[0].upper(): words[1:] for words in _header(file, "DATA") if words[0][0] != "#"}
        missing = [name for name in ("FIELDS", "TYPE", "SIZE", "DATA") if name not in header]
        if missing:
            raise Malformed(f"it is damaged, or not a PCD file: its header has no line {missing[0]}")
        try:
            names, kinds, sizes = header["FIELDS"], header["TYPE"], [int(size) for size in header["SIZE"]]
            counts = [int(count) for count in header.get("COUNT", ["1"] * len(names))]
            number = int(header["POINTS"][0]) if "POINTS" in header else _area(header)
            if number < 0:
                raise ValueError(f"{number} points")
            data = header["DATA"][0].lower()
            # names of padding repeat
            fields = [
                (f"{name} {place}" if count > 1 or name == "_" else name, f"<{kind.lower()}{size}", (count,))
                for place, (name, kind, size, count) in enumerate(zip(names, kinds, sizes, counts, strict=True))
            ]
            dtype = np.dtype(fields)
        except (LookupError, ValueError, TypeError) as error:
            raise Malformed(f"it is damaged: its PCD header is not as expected ({error})") from error
        single = [place for place, count in enumerate(counts) if count == 1 and names[place] != "_"]
        if data == "ascii":
            table = _text_table(file, 0, number, sum(counts))
            starts = np.cumsum([0, *counts])
            return {names[place]: table[:, starts[place]] for place in single}
        if data == "binary":
            rows = _binary_table(file, number, dtype)
            return {names[place]: rows[names[place]][:, 0] for place in single}
        if data != "binary_compressed":
            raise Malformed(f"its data is {data!r}, expected ascii, binary or binary_compressed")
        _check_compressed(file, number * dtype.itemsize)
    return _read_by_open3d(path)


def _header(file: BinaryIO, last: str) -> list[list[str]]:
    """The words of a header's lines, through the one that starts with ``last``; none if that does not come."""
    lines = []
    for _ in range(LONGEST_HEADER):
        words = file.readline(10_000).decode("latin-1").removeprefix("\xef\xbb\xbf").split()
        if words:
            lines.append(words)
            if words[0] == last:
                return lines
    return []


def _elements(lines: Sequence[Sequence[str]]) -> list[Element]:
    elements: list[Element] = []
    for words in lines:
        if words[0] == "element" and len(words) == 3 and words[2].isdecimal():
            elements.append(Element(words[1], int(words[2]), []))
        elif words[0] == "property" and elements and len(words) > 2:
            kind = None if words[1] == "list" else PLY_TYPES.get(words[1])
            if kind is None and words[1] != "list":
                raise Malformed(f"its property {words[-1]} is of the unknown type {words[1]!r}")
            elements[-1].properties.append((words[-1], kind))
        elif words[0] in ("element", "property"):
            raise Malformed(f"its header is damaged at {' '.join(words)!r}")
    return elements


def _up_to_vertices(elements: Sequence[Element]) -> tuple[Sequence[Element], Element]:
    """The elements before the vertices, and the vertices."""
    place = next((place for place, each in enumerate(elements) if each.name == "vertex"), None)
    if place is None:
        raise Malformed("it has no element 'vertex', which holds the points")
    for each in elements[: place + 1]:
        if any(kind is None for _, kind in each.properties):
            raise Malformed(f"its element {each.name!r} has a list, which is not supported: save only the points")
        if len(dict(each.properties)) < max(1, len(each.properties)):
            raise Malformed(f"its element {each.name!r} has no properties, or two with the same name")
    return elements[:place], elements[place]


def _dtype(element: Element, order: str) -> np.dtype:
    return np.dtype([(name, f"{order}{kind}") for name, kind in element.properties])


def _area(header: dict[str, list[str]]) -> int:
    return int(header["WIDTH"][0]) * int(header["HEIGHT"][0])


def _left(file: BinaryIO) -> int:
    return os.fstat(file.fileno()).st_size - file.tell()


def _binary_table(file: BinaryIO, number: int, dtype: np.dtype, is_last: bool = True) -> NDArray:
    """``number`` rows; after the last table of a file, nothing else may follow but a line's end."""
    present = _left(file) // dtype.itemsize if _left(file) > 0 else 0
    if present < number or (is_last and present > number):
        raise _other_number(number, present)
    return np.fromfile(file, dtype, number)


def _text_table(file: BinaryIO, skipped: int, number: int, width: int, is_last: bool = True) -> NDArray[np.float64]:
    """``number`` rows of ``width`` numbers, after some that are skipped; a value takes at least two bytes."""
    if 2 * (skipped + number) > _left(file) + 1 or 2 * number * width > _left(file) + 1:
        raise _other_number(number, "fewer")
    if not number:
        return np.zeros((0, width))
    rows = number + 1 if is_last else number
    try:
        table = np.loadtxt(file, comments=None, skiprows=skipped, max_rows=rows, ndmin=2, encoding="latin-1")
    except ValueError as error:
        raise Malformed(f"it is damaged: a row does not have {width} numbers ({error})") from error
    if len(table) != number:
        raise _other_number(number, "more" if len(table) > number else len(table))
    if table.shape[1] != width:
        raise Malformed(f"its rows have {table.shape[1]} values, but its header declares {width}")
    return table


def _other_number(declared: int, present: int | str) -> Malformed:
    return Malformed(f"its header declares {declared} points, but the file holds {present}: it is truncated or damaged")


def _check_compressed(file: BinaryIO, expected: int) -> None:
    sizes = np.fromfile(file, "<u4", 2).tolist()
    if len(sizes) < 2 or sizes[0] > _left(file):
        raise Malformed("its compressed points are truncated: write the file again")
    if sizes[1] != expected or expected > MOST_COMPRESSION * sizes[0]:
        raise Malformed(
            f"its header declares points of {expected} bytes, but {sizes[0]} compressed bytes for {sizes[1]} "
            "follow: it is damaged"
        )


def _read_by_open3d(path: Path) -> dict[str, NDArray]:
    open3d = extra("open3d", f"{path}: reading compressed {path.suffix} files")
    with open3d.utility.VerbosityContextManager(open3d.utility.VerbosityLevel.Error):
        cloud = open3d.t.io.read_point_cloud(str(path))
    fields = {name: value.numpy() for name, value in cloud.point.items()}
    if "positions" not in fields:
        raise Malformed("it is damaged, or its points lack the fields x, y and z")
    fields |= dict(zip("xyz", fields.pop("positions").T, strict=True))
    return {name: values.reshape(len(values), -1)[:, 0] for name, values in fields.items()}
