"""Files that are complete or absent."""

import errno
import json
import os
import resource
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import safetensors.numpy
import torch
from PIL import Image

from ccrop.files import (
    PARTIAL,
    DiskFull,
    escaped,
    new_folder,
    remove_partial,
    require_place,
    temporary_folder,
    write_bytes,
    write_csv,
    write_json,
    written,
)

AMOUNT = r"(more than \d+ kB|an unknown amount) to write, \d+ [kM]B"


@pytest.fixture
def little_room() -> Iterator[None]:
    """Files of more than 100,000 bytes cannot be written."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_file_appears_when_it_is_complete(tmp_path: Path):
    file = tmp_path / "new" / "a.txt"
    with written(file) as partial:
        partial.write_text("half")
        assert not file.exists()
        assert partial.parent == file.parent
        assert partial.suffix == ".txt"
    assert file.read_text() == "half"
    assert os.listdir(file.parent) == ["a.txt"]


def test_an_error_keeps_the_old_file_and_leaves_nothing_else(tmp_path: Path):
    file = tmp_path / "a.txt"
    file.write_text("old")

    def interrupted() -> None:
        with written(file) as partial:
            partial.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert file.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_json_is_read_back_as_it_was(tmp_path: Path):
    content = dict(a=[1, 2.5, None], b="grün")
    write_json(tmp_path / "a.json", content, indent=1)
    assert json.loads((tmp_path / "a.json").read_text()) == content


def test_a_full_disk_says_what_is_written_how_much_it_takes_and_what_to_do(tmp_path: Path, little_room: None):
    reason = r"no room for .*/a\.bin: 3 MB to write, \d+ MB free\. .*make room and run the command again"
    with pytest.raises(OSError, match=reason):
        write_bytes(tmp_path / "a.bin", bytes(3_000_000))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("needed", "begun", "free", "expected"),
    [
        (2_500, 0, 400, "2 kB to write, 0 kB free"),
        (999_999, 0, 1_000_000, "1000 kB to write, 1 MB free"),
        (None, 70_000, 3_000, "more than 70 kB to write, 73 kB free"),
        (None, 0, 0, "an unknown amount to write, 0 kB free"),
    ],
)
def test_amounts_are_in_units_that_show_them(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    needed: int | None,
    begun: int,
    free: int,
    expected: str,
):
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=free))

    def fill(partial: Path) -> None:
        partial.write_bytes(bytes(begun))
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(DiskFull, match=f": {expected}\\. "), written(tmp_path / "a.bin", needed) as partial:
        fill(partial)


def test_room_that_the_removed_part_of_a_file_takes_counts_as_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=1_000_000))

    def fill(partial: Path) -> None:
        partial.write_bytes(bytes(5_000_000))
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(DiskFull, match="5 MB to write, 6 MB free"), written(tmp_path / "a.bin") as partial:
        fill(partial)


def test_a_full_disk_while_a_picture_is_saved_keeps_the_old_one(tmp_path: Path, little_room: None):
    file = tmp_path / "a.png"
    Image.new("RGB", (8, 8)).save(file)
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (300, 300, 3), np.uint8))
    with (
        pytest.raises(OSError, match=rf"no room for .*a\.png: {AMOUNT} free\."),
        written(file) as partial,
    ):
        noise.save(partial)
    assert Image.open(file).size == (8, 8)
    assert os.listdir(tmp_path) == ["a.png"]


def test_a_full_disk_is_known_also_from_libraries_that_give_no_number(tmp_path: Path, little_room: None):
    values = np.zeros(1_000_000, np.float32)
    reason = rf"no room for .*/out: {AMOUNT} free\. .*make room and run the command again"
    for write in (
        lambda file: values.tofile(file),
        lambda file: torch.save(torch.from_numpy(values), file),
        lambda file: safetensors.numpy.save_file({"a": values}, file),
    ):
        with pytest.raises(DiskFull, match=reason), new_folder(tmp_path / "out") as folder:
            write(folder / "a.bin")
    assert not list(tmp_path.iterdir())
    with pytest.raises(OSError, match=r"^1 classes requested and 2 found$"), new_folder(tmp_path / "out"):
        raise OSError("1 classes requested and 2 found")


def test_what_a_killed_process_left_of_a_file_goes_with_the_next_attempt(tmp_path: Path):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    names = [f"{PARTIAL}{pid}.{name}" for pid in (gone.pid, os.getppid()) for name in ("a.txt", "b.a.txt")]
    for name in names:
        (tmp_path / name).touch()
    write_bytes(tmp_path / "a.txt", b"young: perhaps another machine writes it")
    assert sorted(os.listdir(tmp_path)) == sorted([*names, "a.txt"])
    for name in names:
        os.utime(tmp_path / name, (1e9, 1e9))
    write_bytes(tmp_path / "a.txt", b"old")
    assert sorted(os.listdir(tmp_path)) == sorted([*names[1:], "a.txt"])


def test_what_killed_processes_left_is_removed(tmp_path: Path):
    (tmp_path / "sub").mkdir()
    for name in (f"{PARTIAL}12.epoch_3.pth", f"sub/{PARTIAL}13.b.png", "epoch_2.pth", "sub/partial.txt"):
        (tmp_path / name).touch()
    remove_partial(tmp_path)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["epoch_2.pth", "partial.txt", "sub"]


def test_a_folder_is_whole_or_not_there(tmp_path: Path):
    def write_and_stop() -> None:
        with new_folder(tmp_path / "a/out") as folder:
            (folder / "half").touch()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_and_stop()
    assert list((tmp_path / "a").iterdir()) == []
    with new_folder(tmp_path / "a/out") as folder:
        (folder / "file").touch()
        assert not (tmp_path / "a/out").exists()
    assert [path.name for path in (tmp_path / "a").rglob("*")] == ["out", "file"]
    with (
        pytest.raises(FileExistsError, match="out exists: choose another folder, or remove it"),
        new_folder(tmp_path / "a/out"),
    ):
        pass


def test_what_a_killed_process_left_of_a_folder_goes_with_the_next_attempt(tmp_path: Path):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    left, living = (tmp_path / f"{PARTIAL}{pid}.out" for pid in (gone.pid, os.getppid()))
    for folder in (left, living):
        folder.mkdir()
        (folder / "half.txt").touch()
    with new_folder(tmp_path / "out") as partial:
        (partial / "whole.txt").touch()
    assert sorted(file.name for file in tmp_path.iterdir()) == [living.name, "out"]


def test_temporary_folders_of_killed_processes_go_with_the_next_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    command = "import os, ccrop.files; folder = ccrop.files.temporary_folder('own-'); print(folder.name); os.abort()"
    killed = subprocess.run(
        [sys.executable, "-c", command], env=os.environ | dict(TMPDIR=str(tmp_path)), capture_output=True, text=True
    )
    left = Path(killed.stdout.strip())
    (left / "half.txt").touch()
    host = socket.gethostname()
    others = [tmp_path / name for name in (f"own-{host}-{os.getppid()}-x", "own-elsewhere-1-x", f"other-{host}-1-x")]
    for folder in others:
        folder.mkdir()
    with temporary_folder("own-") as name:
        assert Path(name).parent == tmp_path
        assert sorted(tmp_path.iterdir()) == sorted([*others, Path(name)])
    assert sorted(tmp_path.iterdir()) == sorted(others)


def test_what_names_can_hold_is_escaped_but_letters_and_line_breaks_are_not():
    assert escaped("caf\xe9 \x1b[31m\n\t\udce9.jpg\r") == "caf\xe9 \\x1b[31m\n\t\\udce9.jpg\\r"


def test_devices_and_pipes_are_not_replaced_by_files(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    for name in ("pipe", "link"):
        for refused in (lambda file: write_bytes(file, b"new"), require_place):
            with pytest.raises(ValueError, match="is not a file, but a device, a pipe or a socket: choose another"):
                refused(tmp_path / name)
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["link", "pipe"]


@pytest.mark.parametrize("before", [b"old", None])
def test_a_link_stays_one(tmp_path: Path, before: bytes | None):
    (tmp_path / "elsewhere").mkdir()
    target = tmp_path / "elsewhere/file"
    if before is not None:
        target.write_bytes(before)
    (tmp_path / "link").symlink_to("elsewhere/file")
    write_bytes(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert target.read_bytes() == b"new"


def test_rows_become_a_csv_file(tmp_path: Path):
    write_csv(tmp_path / "new/rows.csv", [dict(name="a, b", value=0.5), dict(value=2, name="c")])
    assert (tmp_path / "new/rows.csv").read_text().splitlines() == ["name,value", '"a, b",0.5', "c,2"]
