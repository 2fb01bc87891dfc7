"""Rows of a comparison survive kills and neighbors, and no run has two."""

import csv
import multiprocessing
import resource
from pathlib import Path

import pytest

from ccrop.experiments.class_measure import ClassMeasure
from ccrop.experiments.rows import OPTIONS, append_row, header_of, listed, read_rows, require_distinct, same_columns
from ccrop.experiments.summary import write_summary
from ccrop.files import DiskFull
from ccrop.report.comparison import read

COLUMNS = ("arm", "seed", "metric")
KEY = ("arm", "seed")


def row(seed: int, arm: str = 'a, "quoted"') -> dict[str, str]:
    return dict(arm=arm, seed=str(seed), metric=f"0.{seed}25")


def test_what_is_written_is_read(tmp_path: Path):
    file = tmp_path / "x.csv"
    assert read_rows(file, COLUMNS) == []
    for seed in range(3):
        append_row(file, row(seed), COLUMNS, KEY)
    assert read_rows(file, COLUMNS) == [row(seed) for seed in range(3)]
    with file.open(newline="") as handle:
        assert list(csv.DictReader(handle)) == [row(seed) for seed in range(3)]


def test_wherever_a_write_is_cut_off_no_torn_row_counts_and_the_next_is_whole(tmp_path: Path):
    file = tmp_path / "x.csv"
    for seed in range(3):
        append_row(file, row(seed), COLUMNS, KEY)
    content = file.read_bytes()
    ends = [place + 1 for place, byte in enumerate(content) if byte == ord("\n")]
    for cut in range(len(content)):
        file.write_bytes(content[:cut])
        whole = max(0, sum(end <= cut for end in ends) - 1)  # the first line is the header
        if cut >= ends[0]:
            assert read_rows(file, COLUMNS) == [row(seed) for seed in range(whole)]
        append_row(file, row(7), COLUMNS, KEY)
        assert read_rows(file, COLUMNS) == [*(row(seed) for seed in range(whole)), row(7)]


def test_a_file_of_which_only_a_part_of_the_header_is_there_is_empty(tmp_path: Path):
    file = tmp_path / "x.csv"
    for content in (b"", b"arm,se"):
        file.write_bytes(content)
        assert read_rows(file, COLUMNS) == []


def test_other_columns_and_damaged_rows_are_named(tmp_path: Path):
    file = tmp_path / "x.csv"
    append_row(file, row(0), COLUMNS, KEY)
    with pytest.raises(ValueError, match=r"x\.csv has other columns than this comparison writes"):
        read_rows(file, ("arm", "seed"))
    with file.open("a") as handle:
        handle.write("b,1\n")
    with pytest.raises(ValueError, match=r"x\.csv, row 3: 2 fields instead of 3; remove the row"):
        read_rows(file, COLUMNS)


@pytest.mark.parametrize("content", ['{"images": [1, 2]}', "arms", " "])
def test_a_line_without_an_end_that_no_comparison_wrote_is_left_as_it_is(tmp_path: Path, content: str):
    file = tmp_path / "boxes.json"
    file.write_text(content)
    for columns in (COLUMNS, (*COLUMNS, OPTIONS)):
        with pytest.raises(ValueError, match=r"boxes\.json has other columns than this comparison writes"):
            read_rows(file, columns)
        with pytest.raises(ValueError, match=r"boxes\.json has other columns than this comparison writes"):
            append_row(file, row(0) | {OPTIONS: ""}, columns, KEY)
    assert file.read_text() == content


@pytest.mark.parametrize("content", [b"PK\x03\x04\x80\n", "arm,seed\nüber,1\n".encode("utf-16")])
def test_files_that_are_not_text_are_named(tmp_path: Path, content: bytes):
    file = tmp_path / "x.csv"
    file.write_bytes(content)
    message = r"x\.csv is not the CSV of a comparison: it is not text in UTF-8"
    for reading in (header_of, read):
        with pytest.raises(ValueError, match=message):
            reading(file)
    with pytest.raises(ValueError, match=message):
        append_row(file, row(0), COLUMNS, KEY)
    assert file.read_bytes() == content


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"a,1,0,5\n", "4 fields instead of 3"),
        (b"a,1,much\n", "metric is 'much', not a number"),
        (b"a,1.5,0.5\n", "seed is '1.5', not a whole number"),
        (b"arm,seed,metric\n", "seed is 'seed', not a whole number"),
        (b"a\0,1,0.5\n", r"arm is 'a\\x00', which is not text"),
        (b"\0\0\0\0\n", "1 fields instead of 3"),
    ],
)
def test_a_row_that_no_comparison_writes_is_named(tmp_path: Path, line: bytes, message: str):
    file = tmp_path / "x.csv"
    file.write_bytes(b"arm,seed,metric\nb,0,\n\n" + line)
    content = file.read_bytes()
    for reading in (read, lambda file: read_rows(file, COLUMNS), lambda file: append_row(file, row(0), COLUMNS, KEY)):
        with pytest.raises(ValueError, match=rf"x\.csv, row 4: {message}; remove the row, and the next call"):
            reading(file)
    assert file.read_bytes() == content


def test_a_field_beyond_what_python_reads_is_not_a_crash(tmp_path: Path):
    file = tmp_path / "x.csv"
    file.write_text("arm,seed,metric\n" + "a" * 200_000 + ",0,1\n")
    for reading in (read, lambda file: read_rows(file, COLUMNS)):
        with pytest.raises(ValueError, match=r"x\.csv is not the CSV of a comparison: field larger than field limit"):
            reading(file)


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_what_a_spreadsheet_saved_is_read_and_continued(tmp_path: Path, end: bytes):
    file = tmp_path / "x.csv"
    file.write_bytes(b"\xef\xbb\xbfarm,seed,metric" + end + b"a,0,0.5" + end + end)
    assert header_of(file) == COLUMNS
    assert append_row(file, dict(arm="b", seed=1, metric=""), COLUMNS, KEY)
    expected = [dict(arm="a", seed="0", metric="0.5"), dict(arm="b", seed="1", metric="")]
    assert read_rows(file, COLUMNS) == expected
    assert read(file) == [dict(labels="1", data="") | each for each in expected]


def _write(file: Path, arm: str) -> None:
    for seed in range(50):
        append_row(file, row(seed, arm), COLUMNS, KEY)


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


def test_a_run_with_two_rows_is_named(tmp_path: Path):
    file = tmp_path / "x.csv"
    rows = [row(0), row(1), row(0, "b")]
    require_distinct(file, rows, KEY)
    with pytest.raises(ValueError, match=r"x\.csv has 2 rows of arm b, seed 0: keep one"):
        require_distinct(file, [*rows, row(0, "b") | dict(metric="0.5")], KEY)


def test_no_table_is_made_of_two_rows_of_one_run(tmp_path: Path):
    file, columns = tmp_path / "x.csv", ClassMeasure.schema.header
    lines = [",".join(dict(data="d", arm="a", options="").get(name, "0") for name in columns)] * 2
    file.write_text("\n".join([",".join(columns), *lines, ""]))
    with pytest.raises(ValueError, match="has 2 rows of data d, arm a, seed 0"):
        write_summary(file, ClassMeasure.schema)
    assert list(tmp_path.iterdir()) == [file]


def test_a_quote_that_does_not_close_is_refused_instead_of_swallowing_the_next_row(tmp_path: Path):
    file = tmp_path / "x.csv"
    content = 'arm,seed,metric\r\na,0,0.5\r\nb,1,"0.5\r\n'
    file.write_text(content, newline="")
    with pytest.raises(ValueError, match=r"x\.csv is not the CSV of a comparison: unexpected end of data"):
        append_row(file, row(2), COLUMNS, KEY)
    assert file.read_bytes().decode() == content


def test_a_run_gets_one_row(tmp_path: Path):
    file = tmp_path / "x.csv"
    assert append_row(file, row(1) | dict(metric="0.1"), COLUMNS, KEY)
    assert not append_row(file, dict(arm=row(1)["arm"], seed=1, metric=0.2), COLUMNS, KEY)
    assert append_row(file, row(1, "b"), COLUMNS, KEY)
    assert [each["metric"] for each in read_rows(file, COLUMNS)] == ["0.1", "0.125"]


def test_a_file_without_options_keeps_its_columns(tmp_path: Path):
    old, new = tmp_path / "old.csv", tmp_path / "new.csv"
    append_row(old, row(0), COLUMNS, KEY)
    for file in (old, new):
        append_row(file, row(1) | {OPTIONS: "a=1"}, (*COLUMNS, OPTIONS), KEY)
    assert read_rows(old, (*COLUMNS, OPTIONS)) == [row(0), row(1)]
    assert read_rows(new, (*COLUMNS, OPTIONS)) == [row(1) | {OPTIONS: "a=1"}]
    with pytest.raises(ValueError, match="other columns"):
        read_rows(new, COLUMNS)
    assert same_columns(COLUMNS, (*COLUMNS, OPTIONS))
    assert not same_columns((*COLUMNS, OPTIONS), COLUMNS)
    assert not same_columns(COLUMNS[1:], COLUMNS)


def test_options_are_listed_by_name_however_a_number_was_written():
    assert listed(dict(tflop=5.0, alpha=0.6, crop="a b")) == listed(dict(crop="a b", alpha=0.6, tflop=5))
    assert listed(dict(b=1e-6, a=(1, 2))) == "a=(1, 2) b=1e-06"


def test_a_full_disk_names_the_file_and_the_rows_before_stay(tmp_path: Path):
    file = tmp_path / "x.csv"
    append_row(file, row(0), COLUMNS, KEY)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (file.stat().st_size + 3, hard))
    try:
        with pytest.raises(DiskFull, match=r"no room for .*/x\.csv: .*; make room and run the command again$"):
            append_row(file, row(1), COLUMNS, KEY)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert read_rows(file, COLUMNS) == [row(0)]
    append_row(file, row(1), COLUMNS, KEY)
    assert read_rows(file, COLUMNS) == [row(0), row(1)]
