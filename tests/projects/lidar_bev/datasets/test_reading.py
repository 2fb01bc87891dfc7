import contextlib
import os
import tracemalloc

import numpy as np
import pytest

from ccrop.projects.lidar_bev.datasets import UnreadableSweep, read_sweep

XYZIR = ("x", "y", "z", "intensity", "ring")


@pytest.fixture
def points():
    values = np.random.default_rng(0).normal(size=(20, 5)).astype(np.float32)
    values[:, 3:] = np.abs(values[:, 3:])
    return values


def write_pcd(path, points, kind):
    """A .pcd file with the fields x, y, z, intensity, ring."""
    header = f"""VERSION .7\nFIELDS {" ".join(XYZIR)}\nSIZE 4 4 4 4 4\nTYPE F F F F F\nCOUNT 1 1 1 1 1
WIDTH {len(points)}\nHEIGHT 1\nVIEWPOINT 0 0 0 1 0 0 0\nPOINTS {len(points)}\nDATA {kind}\n"""
    path.write_bytes(header.encode() + (points.tobytes() if kind == "binary" else text(points)))


def write_ply(path, points, kind):
    header = f"ply\nformat {kind} 1.0\nelement vertex {len(points)}\n"
    header += "".join(f"property float {name}\n" for name in XYZIR) + "end_header\n"
    path.write_bytes(header.encode() + (text(points) if kind == "ascii" else points.tobytes()))


def text(points):
    return "\n".join(" ".join(map(repr, row)) for row in points.tolist()).encode() + b"\n"


def write(path, points):
    if path.suffix == ".bin":
        points.tofile(path)
    elif path.suffix == ".npy":
        np.save(path, points)
    elif path.suffix == ".ply":
        write_ply(path, points, "ascii" if "ascii" in path.name else "binary_little_endian")
    else:
        write_pcd(path, points, "ascii" if "ascii" in path.name else "binary")


@pytest.mark.parametrize("name", ["a.bin", "a.pcd.bin", "a.npy", "a.pcd", "ascii.pcd", "a.ply", "ascii.ply", "a.BIN"])
def test_every_kind_of_file_gives_the_same_points(tmp_path, points, name):
    write(tmp_path / name.lower(), points)
    (tmp_path / name.lower()).rename(tmp_path / name)
    found = read_sweep(tmp_path / name, XYZIR)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, points, rtol=1e-6)


def test_five_values_a_point_are_not_read_as_four_where_the_size_allows_it(tmp_path, points):
    write(tmp_path / "a.bin", points)  # 100 values, 25 points of 4
    with pytest.raises(UnreadableSweep, match=r"a\.bin: \d+% of its intensities are negative.*list them in columns"):
        read_sweep(tmp_path / "a.bin")
    assert read_sweep(tmp_path / "a.bin", ("x", "y", "z", "value")).shape == (25, 4)


@pytest.mark.parametrize("name", ["a.pcd", "a.ply"])
def test_fields_are_taken_by_name(tmp_path, points, name):
    write(tmp_path / name, points)
    np.testing.assert_array_equal(read_sweep(tmp_path / name, ("x", "y", "z", "ring")), points[:, [0, 1, 2, 4]])
    with pytest.raises(UnreadableSweep, match=r"no field reflectance, only .*intensity.*: list some"):
        read_sweep(tmp_path / name, ("x", "y", "z", "reflectance"))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.bin", b"1234567", "7 bytes are not a whole number of points with 4 float32 values"),
        ("a.bin", b"", "holds no points: remove it"),
        ("a.npy", b"nonsense", "not an array of numbers"),
        ("a.npy", b"", "not an array of numbers"),
        ("a.npy", b"PK\x05\x06" + bytes(18), "not an array of numbers"),  # an empty .npz under another name
        ("a.pcd", b"nonsense", "damaged, or not a PCD file: its header has no line FIELDS"),
        ("a.pcd", b"FIELDS x\nSIZE 4\nTYPE F\nPOINTS -3\nDATA binary\n", r"header is not as expected \(-3 points\)"),
        ("a.pcd", b"FIELDS x y\nSIZE 4\nTYPE F F\nPOINTS 1\nDATA ascii\n1 2\n", "header is not as expected"),
        ("a.pcd", b"FIELDS x\nSIZE 4\nTYPE F\nPOINTS 1\nDATA morse\n", "its data is 'morse', expected ascii, binary"),
        ("a.ply", b"", "damaged, or not a PLY file: it does not begin with 'ply' and a header"),
        ("a.ply", b"ply\nformat ascii 1.0\nelement face 1\nproperty int x\nend_header\n1\n", "no element 'vertex'"),
        ("a.ply", b"ply\nformat octal 1.0\nend_header\n", "its format is 'octal', expected one of ascii"),
        ("a.ply", b"ply\nformat ascii 1.0\nelement vertex 1\nproperty half x\nend_header\n1\n", "unknown type 'half'"),
        (
            "a.ply",
            b"ply\nformat ascii 1.0\nelement vertex 1\nproperty list uchar int x\nend_header\n1 1\n",
            "element 'vertex' has a list, which is not supported: save only the points",
        ),
        ("a.txt", b"1 2 3", "'.txt' are not supported: convert it to one of"),
    ],
)
def test_a_damaged_file_is_named_with_what_is_wrong(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UnreadableSweep, match=message) as caught:
        read_sweep(tmp_path / name)
    assert str(caught.value).startswith(str(tmp_path / name))


@pytest.mark.parametrize("name", ["a.bin", "a.npy", "a.pcd", "a.ply"])
def test_a_file_that_is_not_there(tmp_path, name):
    with pytest.raises(UnreadableSweep, match=r"[Nn]o such file"):
        read_sweep(tmp_path / name)


def test_an_array_of_another_shape_or_type(tmp_path, points):
    np.save(tmp_path / "a.npy", points)
    with pytest.raises(UnreadableSweep, match=r"shape \(20, 5\), expected \(points, 4\), .* for the columns x, y, z"):
        read_sweep(tmp_path / "a.npy")
    np.save(tmp_path / "b.npy", points.astype(str))
    with pytest.raises(UnreadableSweep, match="expected numbers"):
        read_sweep(tmp_path / "b.npy", XYZIR)


def declaring(path, number):
    """The file of `points` whose header declares another number of points."""
    content = path.read_bytes()
    for old, new in (
        (b"POINTS 20", f"POINTS {number}".encode()),
        (b"vertex 20", f"vertex {number}".encode()),
        (b"(20, 5), }" + b" " * 12, f"({number}, 5), }}".encode().ljust(22)),
    ):
        content = content.replace(old, new)
    path.write_bytes(content)


@pytest.mark.parametrize("name", ["a.npy", "a.pcd", "ascii.pcd", "a.ply", "ascii.ply"])
@pytest.mark.parametrize("number", [13, 21, 60, 10**6, 10**12])
def test_a_header_of_another_number_of_points_is_not_believed(tmp_path, points, name, number):
    write(tmp_path / name, points)
    assert read_sweep(tmp_path / name, XYZIR).shape == (20, 5)
    declaring(tmp_path / name, number)
    tracemalloc.start()
    with pytest.raises(UnreadableSweep, match=rf"{name}: its header declares .*{number}.*truncated or damaged$"):
        read_sweep(tmp_path / name, XYZIR)
    assert tracemalloc.get_traced_memory()[1] < 2**20  # bytes
    tracemalloc.stop()


@pytest.mark.parametrize("name", ["a.npy", "a.pcd", "a.ply", "ascii.pcd", "ascii.ply"])
def test_a_file_cut_off_anywhere_is_refused(tmp_path, points, name):
    """But for the last number of a text, of which nobody knows how many digits it had."""
    write(tmp_path / name, points)
    content = (tmp_path / name).read_bytes()
    last = len(content.rstrip().rpartition(b" ")[0]) + 1 if "ascii" in name else len(content) - 1
    for length in [*range(0, last, 17), last]:
        (tmp_path / name).write_bytes(content[:length])
        with pytest.raises(UnreadableSweep):
            read_sweep(tmp_path / name, XYZIR)


@pytest.mark.parametrize("name", ["a.bin", "a.npy", "a.pcd", "a.ply", "ascii.pcd", "ascii.ply"])
def test_damaged_bytes_give_points_or_the_reason(tmp_path, points, name):
    write(tmp_path / name, points)
    content = (tmp_path / name).read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(150):
        damaged = np.frombuffer(content, np.uint8).copy()
        damaged[rng.integers(0, len(content), rng.integers(1, 5))] = rng.integers(0, 256)
        (tmp_path / name).write_bytes(damaged.tobytes())
        with contextlib.suppress(UnreadableSweep):
            found = read_sweep(tmp_path / name, XYZIR)
            assert found.dtype == np.float32
            assert found.shape[1] == 5


def compressed_pcd(points, promised=None, cut=None):
    """LZF without a match: each run of up to 32 bytes follows its length less one. Values stand field after field."""
    values = points.T.tobytes()
    runs = b"".join(bytes([len(run) - 1]) + run for run in (values[i : i + 32] for i in range(0, len(values), 32)))
    number = len(points) if promised is None else promised
    header = f"VERSION .7\nFIELDS x y z intensity\nSIZE 4 4 4 4\nTYPE F F F F\nCOUNT 1 1 1 1\nWIDTH {number}\n"
    header += f"HEIGHT 1\nVIEWPOINT 0 0 0 1 0 0 0\nPOINTS {number}\nDATA binary_compressed\n"
    return header.encode() + np.array([len(runs), len(values)], "<u4").tobytes() + runs[:cut]


def test_compressed_pcd(tmp_path, points):
    pytest.importorskip("open3d")
    path = tmp_path / "a.pcd"
    path.write_bytes(compressed_pcd(points[:, :4]))
    np.testing.assert_array_equal(read_sweep(path), points[:, :4])
    path.write_bytes(compressed_pcd(points[:, :4], cut=100))
    with pytest.raises(UnreadableSweep, match=r"a\.pcd: its compressed points are truncated"):
        read_sweep(path)
    path.write_bytes(compressed_pcd(points[:, :4], promised=10**12))
    with pytest.raises(UnreadableSweep, match=r"declares points of 16000000000000 bytes, but \d+ compressed"):
        read_sweep(path)


@pytest.mark.parametrize("order", ["ascii", "binary_little_endian", "binary_big_endian"])
def test_ply_with_integers_capitals_and_other_elements(tmp_path, points, order):
    rows = [(*map(float, point[:3]), int(1000 * point[3])) for point in points]
    byte_order = ">" if "big" in order else "<"
    cameras = np.array([(7, 1.5)], dtype=f"{byte_order}i4, {byte_order}f8")
    vertices = np.array(rows, dtype=", ".join(f"{byte_order}{kind}" for kind in ("f4", "f8", "f4", "u2")))
    faces = np.array([(1, 2)], dtype="u1, u1")
    header = f"ply\r\nformat {order} 1.0\r\ncomment made by hand\r\nelement camera 1\r\nproperty int32 id\r\n"
    header += f"property float64 focal\r\nelement vertex {len(rows)}\r\nproperty float X\r\nproperty double Y\r\n"
    header += "property float32 Z\r\nproperty ushort Intensity\r\nelement face 1\r\n"
    header += "property list uchar uchar vertex_indices\r\nend_header\r\n"
    tables = (cameras, vertices, faces)
    if order == "ascii":
        body = "".join(" ".join(map(repr, row.item())) + "\r\n" for table in tables for row in table).encode()
    else:
        body = b"".join(table.tobytes() for table in tables)
    (tmp_path / "a.ply").write_bytes(header.encode() + body)
    np.testing.assert_allclose(read_sweep(tmp_path / "a.ply"), np.array(rows), rtol=1e-6)
    np.testing.assert_array_equal(
        read_sweep(tmp_path / "a.ply", ("Intensity", "z", "y", "x"))[:, 0], [row[3] for row in rows]
    )


def test_pcd_with_padding_integers_and_without_counts(tmp_path, points):
    path, rows = tmp_path / "a.pcd", points[:, :4]
    dtype = np.dtype("<f4, <f4, <f4, (4,)u1, <u2, (2,)u1")
    table = np.array([(*row[:3], (9,) * 4, int(100 * row[3]), (9, 9)) for row in rows], dtype=dtype)
    header = "VERSION 0.7\nFIELDS x y z _ intensity _\nSIZE 4 4 4 1 2 1\nTYPE F F F U U U\nCOUNT 1 1 1 4 1 2\n"
    header += f"WIDTH {len(rows)}\nHEIGHT 1\nDATA binary\n"
    path.write_bytes(header.encode() + table.tobytes())
    expected = np.column_stack([rows[:, :3], (100 * rows[:, 3]).astype(int)])
    np.testing.assert_allclose(read_sweep(path), expected, rtol=1e-6)
    text = "\n".join(" ".join(map(repr, row)) for row in rows.tolist())
    header = f"FIELDS x y z intensity\nSIZE 4 4 4 4\nTYPE F F F F\nWIDTH 5\nHEIGHT {len(rows) // 5}\nDATA ascii\n"
    path.write_text(f"# by hand\n{header}{text}\n")
    np.testing.assert_allclose(read_sweep(path), rows, rtol=1e-6)


def test_arrays_of_other_layouts(tmp_path, points):
    named = np.zeros((4, 5), dtype=[("X", "f8"), ("Y", "f4"), ("Z", "f4"), ("t", "u8"), ("intensity", "u1")])
    for name, column in zip("XYZ", points.T, strict=False):
        named[name] = column.reshape(4, 5)
    named["intensity"] = np.arange(20).reshape(4, 5)
    np.save(tmp_path / "a.npy", named)
    expected = np.column_stack([points[:, :3], np.arange(20)])
    np.testing.assert_allclose(read_sweep(tmp_path / "a.npy"), expected, rtol=1e-6)
    layouts = [points.T, points.reshape(4, 5, 5), points.T.reshape(5, 4, 5)[:, :, :4], np.asfortranarray(points)]
    for values, rows in zip(layouts, [points, points, None, points], strict=True):
        np.save(tmp_path / "a.npy", values)
        expected = values.reshape(5, 16).T if rows is None else rows
        np.testing.assert_array_equal(read_sweep(tmp_path / "a.npy", XYZIR), expected)
    np.save(tmp_path / "a.npy", points[:5])  # as many rows as columns: rows are points
    np.testing.assert_array_equal(read_sweep(tmp_path / "a.npy", XYZIR), points[:5])


EASTING, NORTHING = 691_000.25, 5_649_433.75


@pytest.mark.parametrize("name", ["a.npy", "ascii.ply", "b.ply", "ascii.pcd"])
def test_coordinates_of_a_map_keep_their_millimeters(tmp_path, warned, name):
    rng = np.random.default_rng(1)
    rows = np.column_stack([rng.uniform(-60, 60, (500, 2)), rng.normal(-1.7, 0.2, 500), rng.random(500)])
    rows = rows.round(3)
    far = rows + np.array([EASTING, NORTHING, 120, 0])
    if name == "b.ply":
        header = "ply\nformat binary_little_endian 1.0\nelement vertex 500\n"
        header += "".join(f"property double {column}\n" for column in XYZIR[:4]) + "end_header\n"
        (tmp_path / name).write_bytes(header.encode() + far.tobytes())
    else:
        write(tmp_path / name, np.column_stack([far, np.zeros(500)]) if name != "a.npy" else far)
    found = read_sweep(tmp_path / name)
    assert found.dtype == np.float32
    moved = found[:, :3].astype(np.float64) - rows[:, :3]
    assert np.ptp(moved, axis=0).max() < 2e-5  # meters
    np.testing.assert_allclose(found[:, 3], rows[:, 3], atol=1e-6)
    assert abs(np.median(found[:, :3], axis=0)).max() <= 0.501
    assert len(warned) == 1
    assert f"{tmp_path}: the coordinates are in a map frame" in warned[0]


def test_coordinates_of_a_map_in_float32_are_refused_and_strays_left_alone(tmp_path, points, warned):
    far = (points + np.array([EASTING, NORTHING, 120, 0, 0])).astype(np.float32)
    far.tofile(tmp_path / "a.bin")
    with pytest.raises(UnreadableSweep, match=r"around 5649434 m, where float32 resolves only 0\.5 m: save them as"):
        read_sweep(tmp_path / "a.bin", XYZIR)
    strays = points.copy()
    strays[:3, 0] = (1e5, -3e6, np.nan)
    strays.tofile(tmp_path / "b.bin")
    np.testing.assert_array_equal(read_sweep(tmp_path / "b.bin", XYZIR), strays)
    assert not warned


def test_returns_at_the_origin_are_left_out(tmp_path, points):
    rows = points.copy()
    rows[[0, 7, 19], :3] = 0
    rows[5, :3] = (0, 0, np.nan)
    rows[6, :2] = 0
    kept = [index for index in range(20) if index not in (0, 7, 19)]
    for name in ("a.bin", "a.npy", "a.pcd", "ascii.ply"):
        write(tmp_path / name, rows)
        np.testing.assert_allclose(read_sweep(tmp_path / name, XYZIR), rows[kept], rtol=1e-6)
    rows[:, :3] = 0
    rows.tofile(tmp_path / "a.bin")
    with pytest.raises(UnreadableSweep, match="it holds no points"):
        read_sweep(tmp_path / "a.bin", XYZIR)


def test_a_pipe_is_refused(tmp_path):
    os.mkfifo(tmp_path / "a.bin")
    with pytest.raises(UnreadableSweep, match=r"a\.bin: it is not a regular file"):
        read_sweep(tmp_path / "a.bin")


@pytest.mark.parametrize("kind", ["<i4", ">f4", "text"])
def test_bytes_of_another_kind_are_no_sweep(tmp_path, kind):
    """Integers, which are tiny numbers as float32, the other byte order, and a pointer of Git LFS."""
    places = np.random.default_rng(0).integers(1, 50, (400, 4))
    content = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"4d7a" * 16 + b"\nsize 2345678\n"
    (tmp_path / "a.bin").write_bytes(content[:128] if kind == "text" else places.astype(kind).tobytes())
    with pytest.raises(UnreadableSweep, match="most of its values cannot be meters"):
        read_sweep(tmp_path / "a.bin")


@pytest.mark.parametrize("offset", [0, 5e6])
def test_millimeters_are_refused(tmp_path, offset):
    places = np.random.default_rng(0).uniform(-40, 40, (401, 4)) * [1000, 1000, 1000, 0] + [offset, 0, 0, 0]
    np.save(tmp_path / "a.npy", places)
    with pytest.raises(UnreadableSweep, match="more than 1000 m from its middle: convert it to meters"):
        read_sweep(tmp_path / "a.npy")
