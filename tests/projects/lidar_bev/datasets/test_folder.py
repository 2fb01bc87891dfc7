import os
import pickle

import numpy as np
import pytest

from ccrop.datasets import MissingData, UnreadableFile
from ccrop.projects.lidar_bev.datasets import SweepFolder
from ccrop.projects.lidar_bev.datasets import folder as folders

XYZIR = ("x", "y", "z", "intensity", "ring")


def write(path, points):
    path.parent.mkdir(parents=True, exist_ok=True)
    np.asarray(points, dtype=np.float32).tofile(path)


@pytest.fixture
def root(tmp_path):
    for number in range(4):
        write(tmp_path / "drive" / f"{number}.bin", np.full((3 + number, 4), number + 1))
    return tmp_path


def test_sweeps_are_found_sorted_hidden_ones_not(root):
    write(root / "a" / "b" / "1.bin", np.ones((1, 4)))
    write(root / ".trash" / "1.bin", np.ones((1, 4)))
    write(root / "drive" / ".1.bin", np.ones((1, 4)))
    (root / "drive" / "notes.txt").write_text("no sweep")
    dataset = SweepFolder(root)
    names = [dataset.get_data_info(i)["path"] for i in range(len(dataset))]
    assert names == ["a/b/1.bin"] + [f"drive/{i}.bin" for i in range(4)]


def paths(dataset):
    return [dataset.get_data_info(i)["path"] for i in range(len(dataset))]


def test_circular_links_end_and_linked_folders_count_once(root):
    own = [f"drive/{i}.bin" for i in range(4)]
    (root / "drive" / "again").symlink_to(root / "drive")
    (root / "drive" / "top").symlink_to(root)
    assert paths(SweepFolder(root)) == own
    (root / "loop").mkdir()
    (root / "loop" / "a").symlink_to(root / "loop")
    (root / "loop" / "b").symlink_to(root / "loop" / "a")
    write(root / "loop" / "1.bin", np.ones((3, 4)))
    assert paths(SweepFolder(root)) == [*own, "loop/1.bin"]
    elsewhere = root.parent / f"{root.name} linked"
    elsewhere.mkdir()
    for name in ("first", "second"):
        (elsewhere / name).symlink_to(root / "loop")
    assert paths(SweepFolder(elsewhere)) == ["first/1.bin"]


def test_what_is_no_sweep_is_counted_in_one_line(root, warned):
    for name in ("drive/a.las", "drive/b.LAS", "drive/c.bin.gz", "drive/times", "drive/.hidden"):
        (root / name).touch()
    os.mkfifo(root / "drive" / "pipe.bin")
    (root / "drive" / "again").symlink_to(root / "drive")
    assert paths(SweepFolder(root)) == [f"drive/{i}.bin" for i in range(4)]
    assert warned == [
        f"{root}/: skipped 6 entries that cannot be read as sweeps, by suffix: .las (2), .gz (1), folder seen before "
        "(1), no regular file (1), no suffix (1)"
    ]


def test_a_folder_keeps_its_own_path_where_a_link_leads_there_too(root):
    (root / "alias").symlink_to("drive")
    assert paths(SweepFolder(root)) == [f"drive/{i}.bin" for i in range(4)]


def test_names_are_escaped_in_the_log(root, warned):
    for number in range(6):
        write(root / "drive" / f"\x1b[31m\n{number}.bin", np.full((100, 4), 1))
    assert len(SweepFolder(root)) == 10
    (line,) = warned
    assert line.isprintable()
    assert r"next to drive/\x1b[31m\n0.bin with 1600" in line


@pytest.fixture
def leftovers(tmp_path):
    """What other tools leave beside KITTI's sweeps: reduced copies and crops of objects."""
    for folder, number in (("training/velodyne", 4000), ("training/velodyne_reduced", 1000), ("gt_database", 9)):
        for frame in range(3):
            write(tmp_path / folder / f"{frame:06d}.bin", np.ones((number, 4)))
    return tmp_path


def test_small_files_among_sweeps_are_said_and_a_pattern_leaves_them_out(leftovers, warned):
    assert len(SweepFolder(leftovers)) == 9
    assert warned == [
        f"{leftovers}: 6 of 9 checked files are small for sweeps, such as gt_database/000000.bin with 144 bytes "
        "next to training/velodyne/000000.bin with 64000: if they are crops or copies, exclude them with the data "
        "set's pattern"
    ]
    assert paths(SweepFolder(leftovers, pattern="velodyne/*.bin")) == [
        f"training/velodyne/{i:06d}.bin" for i in range(3)
    ]
    assert paths(SweepFolder(leftovers, pattern="00000[12].bin"))[:2] == [
        "gt_database/000001.bin",
        "gt_database/000002.bin",
    ]
    assert len(warned) == 2
    with pytest.raises(MissingData, match=r"none of 9 sweeps, such as gt_database/000000\.bin, matches 'velodyn/\*'"):
        SweepFolder(leftovers, pattern="velodyn/*")


def test_sweeps_of_like_size_and_other_kinds_are_no_reason_for_a_warning(tmp_path, warned):
    for frame in range(30):
        write(tmp_path / f"{frame}.bin", np.ones((1000 + 20 * frame, 4)))
    write(tmp_path / "short.bin", np.ones((1, 4)))
    (tmp_path / "lost.bin").symlink_to(tmp_path / "nowhere")
    np.save(tmp_path / "double.npy", np.ones((9000, 4)))
    assert len(SweepFolder(tmp_path)) == 33
    assert not warned


def test_a_sample(root):
    sample = SweepFolder(root)[2]
    np.testing.assert_array_equal(sample["points"], np.full((5, 4), 3, np.float32))
    assert sample["index"] == 2
    assert "boxes" not in sample


def test_random_numbers_depend_on_seed_epoch_and_index_alone(root):
    dataset = SweepFolder(root)
    draws = {key: dataset[key]["rng"].random() for key in [(0, 0, 1), (1, 0, 1), (0, 1, 1), (0, 0, 2)]}
    assert len(set(draws.values())) == 4
    assert all(pickle.loads(pickle.dumps(dataset))[key]["rng"].random() == draw for key, draw in draws.items())


def test_columns_are_chosen_by_name(tmp_path):
    rows = np.arange(10).reshape(2, 5)
    write(tmp_path / "1.bin", rows)
    assert SweepFolder(tmp_path, columns=XYZIR)[0]["points"].tolist() == rows.tolist()
    used = SweepFolder(tmp_path, columns=("intensity", "x", "y", "z", "ring"), use=("x", "y", "z", "intensity"))
    assert used[0]["points"].tolist() == rows[:, [1, 2, 3, 0]].tolist()


@pytest.mark.parametrize("use", [("y", "x", "z"), ("x", "y", "z", "time"), ("x", "y")])
def test_refuses_columns_that_make_no_sweep(root, use):
    with pytest.raises(ValueError, match="use must list x, y, z and then others"):
        SweepFolder(root, use=use)
    with pytest.raises(ValueError, match="columns must be distinct"):
        SweepFolder(root, columns=("x", "y", "z", "x"))


def test_values_that_are_not_finite_are_left_out_and_counted(root):
    points = np.ones((6, 4))
    points[1, 2], points[4, 3] = np.nan, np.inf
    write(root / "drive" / "1.bin", points)
    dataset = SweepFolder(root)
    assert dataset[1]["points"].shape == (4, 4)
    assert [len(dataset[i]["points"]) for i in (0, 2)] == [3, 5]
    assert dataset.not_finite.tolist() == [0, 2, 0, 0]


def test_unreadable_and_empty_sweeps_are_counted_and_the_next_one_takes_their_place(root):
    write(root / "drive" / "1.bin", np.zeros((0, 4)))
    write(root / "drive" / "2.bin", np.full((2, 4), np.nan))
    dataset = SweepFolder(root)
    assert dataset[1]["index"] == 3
    assert dataset.unreadable.tolist() == [False, True, True, False]
    write(root / "drive" / "0.bin", np.zeros(3))
    write(root / "drive" / "3.bin", np.zeros(3))
    message = (
        rf"^{root}: none of its 4 sweeps is readable; the first: {root}/drive/0\.bin: its 12 bytes are not a whole"
    )
    with pytest.raises(UnreadableFile, match=message):
        SweepFolder(root)[0]


def test_five_columns_are_said_in_one_line(tmp_path):
    rng = np.random.default_rng(0)
    for number in range(3):
        write(tmp_path / f"{number}.bin", np.column_stack([rng.normal(size=(40, 3)), rng.random((40, 2))]))
    with pytest.raises(UnreadableFile) as caught:
        SweepFolder(tmp_path)[1]
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(f"{tmp_path}: none of its 3 sweeps is readable; the first: {tmp_path}/0.bin: ")
    assert message.endswith("columns other than x, y, z, intensity; list them in columns")


def test_one_bad_sweep_of_any_kind_ends_nothing(tmp_path, warned):
    rows = np.arange(1, 41).reshape(10, 4) / 40
    for number in range(4):
        write(tmp_path / f"{number}.bin", rows)
    (tmp_path / "4.ply").write_bytes(
        b"ply\nformat ascii 1.0\nelement vertex 1000000000000\nproperty float x\nend_header\n"
    )
    (tmp_path / "5.pcd").write_bytes(b"FIELDS x\nSIZE 3\nTYPE Q\nPOINTS 1\nDATA binary\n12345678")
    (tmp_path / "6.bin").symlink_to(tmp_path / "nowhere")
    np.savez(tmp_path / "7", rows)
    (tmp_path / "7.npz").rename(tmp_path / "7.npy")
    np.save(tmp_path / "8.npy", np.array([None, {}]), allow_pickle=True)
    dataset = SweepFolder(tmp_path)
    assert [sample["index"] for sample in dataset] == [0, 1, 2, 3, 0, 0, 0, 0, 0]
    assert dataset.unreadable.tolist() == [False] * 4 + [True] * 5
    assert [index for index, _ in dataset.readable()] == [0, 1, 2, 3]
    assert len(warned) == 6
    assert warned[-1] == f"{tmp_path}: 5 of 9 sweeps were left out"


def test_if_no_sweep_is_readable_the_first_and_its_fault_are_named(root, warned):
    for number in range(4):
        (root / "drive" / f"{number}.bin").write_bytes(b"cut off")
    message = rf"^{root}: none of 4 sweeps is readable; the first: {root}/drive/0\.bin: its 7 bytes are not a whole num"
    with pytest.raises(UnreadableFile, match=message):
        list(SweepFolder(root).readable())


def test_pipeline_and_subset(root):
    dataset = SweepFolder(root, pipeline=[lambda sample: len(sample["points"])], subset=2)
    assert list(dataset) == [3, 6]
    with pytest.raises(ValueError, match="subset must be a positive number of sweeps"):
        SweepFolder(root, subset=0)


def test_no_folder_and_no_sweeps_show_the_layout(tmp_path):
    for root in (tmp_path, tmp_path / "absent"):
        with pytest.raises(MissingData, match=r"expected layout:\n.*\.bin, \*\.npy"):
            SweepFolder(root)


def test_fingerprint_follows_the_names(root, tmp_path):
    before = SweepFolder(root).fingerprint()
    assert SweepFolder(root).fingerprint() == before
    (root / "drive" / "0.bin").rename(root / "drive" / "9.bin")
    assert SweepFolder(root).fingerprint() != before


def test_real_sweeps(lidar_data):
    dataset = SweepFolder(lidar_data / "sweeps")
    assert len(dataset) == 14
    for sample in dataset:
        points = sample["points"]
        assert 110_000 < len(points) < 130_000
        assert abs(points[:, :2]).max() < 121
        assert points[:, 3].min() >= 0
        assert points[:, 3].max() <= 1
    assert dataset.not_finite.sum() == 0


def test_a_file_is_a_set_of_one(root):
    dataset = SweepFolder(root / "drive/2.bin")
    assert len(dataset) == 1
    assert dataset[0]["points"].tolist() == [[3, 3, 3, 3]] * 5


@pytest.mark.parametrize(
    ("largest", "scale", "warning"),
    [
        (0.9, 1, None),
        (1, 1, None),
        (200, 255, None),
        (40, 1, "intensities exceed the declared maximum of 1: set intensity_scale to 255, so that"),
        (40000, 255, "intensities exceed the declared maximum of 255: set intensity_scale to 65535, so"),
        (0.9, 255, "a sweep's intensities do not exceed 1, but the declared maximum is 255"),
    ],
)
def test_intensities_are_scaled_and_checked(tmp_path, monkeypatch, largest, scale, warning):
    said = []
    monkeypatch.setattr(folders, "say_once", said.append)
    write(tmp_path / "1.bin", [[1, 2, 3, largest], [4, 5, 6, largest / 4], [7, 8, 9, np.nan]])
    points = SweepFolder(tmp_path, intensity_scale=scale)[0]["points"]
    np.testing.assert_allclose(points, [[1, 2, 3, largest / scale], [4, 5, 6, largest / 4 / scale]], rtol=1e-6)
    assert len(said) == (warning is not None)
    assert warning is None or said[0].startswith(f"{tmp_path}: {warning}")


def test_a_wrong_scale_is_said_once_and_not_for_every_sweep(tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr(folders, "say_once", said.append)
    for number in range(3):
        write(tmp_path / f"{number}.bin", [[1, 2, 3, 40 + number]])
    dataset = SweepFolder(tmp_path)
    for index in range(3):
        dataset[index]
    assert len(set(said)) == 1


def test_an_intensity_scale_is_positive(root):
    with pytest.raises(ValueError, match="intensity_scale must be positive, got 0"):
        SweepFolder(root, intensity_scale=0)
