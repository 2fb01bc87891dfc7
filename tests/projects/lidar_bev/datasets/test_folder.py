import pickle

import numpy as np
import pytest
from torch.utils.data import DataLoader

from ccrop.datasets import MissingData, UnreadableFile
from projects.lidar_bev.datasets import SweepFolder

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
    with pytest.raises(ValueError, match="use must name x, y, z and then others"):
        SweepFolder(root, use=use)
    with pytest.raises(ValueError, match="columns must differ"):
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
    message = rf"^{root}: none of its 4 sweeps is readable; the first: {root}/drive/0\.bin: its 12 bytes are no whole"
    with pytest.raises(UnreadableFile, match=message):
        SweepFolder(root)[0]


def test_five_columns_are_said_in_one_line_also_by_a_worker(tmp_path):
    rng = np.random.default_rng(0)
    for number in range(3):
        write(tmp_path / f"{number}.bin", np.column_stack([rng.normal(size=(40, 3)), rng.random((40, 2))]))
    loader = DataLoader(SweepFolder(tmp_path), num_workers=1, collate_fn=list)
    with pytest.raises(UnreadableFile) as caught:
        next(iter(loader))
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(f"{tmp_path}: none of its 3 sweeps is readable; the first: {tmp_path}/0.bin: ")
    assert message.endswith("other columns than x, y, z, intensity; name them in columns")


def test_one_bad_sweep_of_any_kind_ends_nothing(tmp_path, warned):
    rows = np.arange(1, 41).reshape(10, 4)
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
