import numpy as np
import pytest

from projects.lidar_bev.datasets import UnreadableSweep, read_sweep

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
    body = (
        points.tobytes()
        if kind == "binary"
        else "\n".join(" ".join(map(repr, row)) for row in points.tolist()).encode()
    )
    path.write_bytes(header.encode() + body)


def write_ply(path, points):
    header = f"ply\nformat binary_little_endian 1.0\nelement vertex {len(points)}\n"
    header += "".join(f"property float {name}\n" for name in XYZIR) + "end_header\n"
    path.write_bytes(header.encode() + points.tobytes())


def write(path, points):
    if path.suffix == ".bin":
        points.tofile(path)
    elif path.suffix == ".npy":
        np.save(path, points)
    elif path.suffix == ".ply":
        write_ply(path, points)
    else:
        write_pcd(path, points, "ascii" if "ascii" in path.name else "binary")


@pytest.mark.parametrize("name", ["a.bin", "a.pcd.bin", "a.npy", "a.pcd", "ascii.pcd", "a.ply", "a.BIN"])
def test_every_kind_of_file_gives_the_same_points(tmp_path, points, name):
    write(tmp_path / name.lower(), points)
    (tmp_path / name.lower()).rename(tmp_path / name)
    found = read_sweep(tmp_path / name, XYZIR)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, points, rtol=1e-6)


def test_five_values_a_point_are_not_read_as_four_where_the_size_allows_it(tmp_path, points):
    write(tmp_path / "a.bin", points)  # 100 values, 25 points of 4
    with pytest.raises(UnreadableSweep, match=r"a\.bin: \d+% of its intensities are negative.*name them in columns"):
        read_sweep(tmp_path / "a.bin")
    assert read_sweep(tmp_path / "a.bin", ("x", "y", "z", "value")).shape == (25, 4)


@pytest.mark.parametrize("name", ["a.pcd", "a.ply"])
def test_fields_are_taken_by_name(tmp_path, points, name):
    write(tmp_path / name, points)
    np.testing.assert_array_equal(read_sweep(tmp_path / name, ("x", "y", "z", "ring")), points[:, [0, 1, 2, 4]])
    with pytest.raises(UnreadableSweep, match=r"no field reflectance, only .*intensity.*: name some"):
        read_sweep(tmp_path / name, ("x", "y", "z", "reflectance"))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.bin", b"1234567", "7 bytes are no whole number of points with 4 float32 values"),
        ("a.bin", b"", "holds no point: remove it"),
        ("a.npy", b"nonsense", "no array of numbers"),
        ("a.npy", b"", "no array of numbers"),
        ("a.pcd", b"nonsense", "damaged, or holds no point"),
        ("a.ply", b"", "damaged, or holds no point"),
        ("a.txt", b"1 2 3", "'.txt' are not read: convert it to one of"),
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
    with pytest.raises(UnreadableSweep, match=r"shape \(20, 5\), expected \(points, 4\) for the columns x, y, z"):
        read_sweep(tmp_path / "a.npy")
    np.save(tmp_path / "b.npy", points.astype(str))
    with pytest.raises(UnreadableSweep, match="expected numbers"):
        read_sweep(tmp_path / "b.npy", XYZIR)
