"""Rows of a comparison survive kills and neighbors."""

import csv
import multiprocessing
from pathlib import Path

import pytest

from ccrop.rows import append_row, read_rows

COLUMNS = ("arm", "seed", "figure")


def row(seed: int, arm: str = 'a, "quoted"') -> dict[str, str]:
    return dict(arm=arm, seed=str(seed), figure=f"0.{seed}25")


def test_what_is_written_is_read(tmp_path: Path):
    file = tmp_path / "x.csv"
    assert read_rows(file, COLUMNS) == []
    for seed in range(3):
        append_row(file, row(seed), COLUMNS)
    assert read_rows(file, COLUMNS) == [row(seed) for seed in range(3)]
    with file.open(newline="") as handle:
        assert list(csv.DictReader(handle)) == [row(seed) for seed in range(3)]


def test_wherever_a_write_is_cut_off_no_torn_row_counts_and_the_next_is_whole(tmp_path: Path):
    file = tmp_path / "x.csv"
    for seed in range(3):
        append_row(file, row(seed), COLUMNS)
    content = file.read_bytes()
    ends = [place + 1 for place, byte in enumerate(content) if byte == ord("\n")]
    for cut in range(len(content)):
        file.write_bytes(content[:cut])
        whole = max(0, sum(end <= cut for end in ends) - 1)  # the first line is the header
        if cut >= ends[0]:
            assert read_rows(file, COLUMNS) == [row(seed) for seed in range(whole)]
        append_row(file, row(7), COLUMNS)
        assert read_rows(file, COLUMNS) == [*(row(seed) for seed in range(whole)), row(7)]


def test_a_file_of_which_only_a_part_of_the_header_is_there_is_empty(tmp_path: Path):
    file = tmp_path / "x.csv"
    for content in (b"", b"arm,se"):
        file.write_bytes(content)
        assert read_rows(file, COLUMNS) == []


def test_other_columns_and_damaged_rows_are_named(tmp_path: Path):
    file = tmp_path / "x.csv"
    append_row(file, row(0), COLUMNS)
    with pytest.raises(ValueError, match=r"x\.csv has other columns than this comparison writes"):
        read_rows(file, ("arm", "seed"))
    with file.open("a") as handle:
        handle.write("b,1\n")
    with pytest.raises(ValueError, match=r"x\.csv, row 3: 2 fields instead of 3; remove the row"):
        read_rows(file, COLUMNS)


def _write(file: Path, arm: str) -> None:
    for seed in range(50):
        append_row(file, row(seed, arm), COLUMNS)


def test_two_comparisons_share_a_file(tmp_path: Path):
    file = tmp_path / "x.csv"
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_write, args=(file, arm)) for arm in "ab"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    found = read_rows(file, COLUMNS)
    for arm in "ab":
        assert [each for each in found if each["arm"] == arm] == [row(seed, arm) for seed in range(50)]
