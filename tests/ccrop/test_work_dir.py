"""One run a work_dir, however it ends."""

import errno
import fcntl
import os
import re
import signal
import socket
from pathlib import Path

import pytest

from ccrop import work_dir as module
from ccrop.work_dir import LOCK, WorkDirInUse, locked, metrics_file, set_aside


def test_a_second_run_is_refused_with_the_name_of_the_first(tmp_path: Path):
    folder = tmp_path / "new" / "work"
    owner = re.escape(f"process {os.getpid()} on {socket.gethostname()}")
    with locked(folder):
        message = rf"work is in use by {owner} since \d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d: "
        with pytest.raises(WorkDirInUse, match=message), locked(folder):
            pass
        with locked(tmp_path / "other"):
            pass
        assert (folder / LOCK).exists()
    assert not list(folder.iterdir())
    with locked(folder):
        pass


def test_a_run_that_fails_frees_its_folder(tmp_path: Path):
    with pytest.raises(KeyError), locked(tmp_path):
        raise KeyError
    assert not list(tmp_path.iterdir())


def test_what_a_killed_run_left_half_written_is_removed(tmp_path: Path):
    (tmp_path / ".partial.7.epoch_3.pth").touch()
    (tmp_path / "epoch_2.pth").touch()
    with locked(tmp_path):
        assert sorted(path.name for path in tmp_path.iterdir()) == [LOCK, "epoch_2.pth"]


def test_a_killed_run_frees_its_folder_though_its_worker_lives_on(tmp_path: Path):
    reader, writer = os.pipe()
    owner = os.fork()
    if owner == 0:
        with locked(tmp_path):
            worker = os.fork()
            if worker:
                os.write(writer, str(worker).encode())
            signal.pause()
    worker = int(os.read(reader, 20))
    try:
        with pytest.raises(WorkDirInUse, match=f"in use by process {owner} on "), locked(tmp_path):
            pass
        os.kill(owner, signal.SIGKILL)
        os.waitpid(owner, 0)
        os.kill(worker, 0)  # is alive
        with locked(tmp_path):
            assert (tmp_path / LOCK).read_text().startswith(f"process {os.getpid()} on ")
    finally:
        os.kill(worker, signal.SIGKILL)


def test_a_lock_that_vanishes_while_it_is_taken_is_not_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    flock, calls = fcntl.flock, []

    def ended_meanwhile(file, operation):
        flock(file, operation)
        calls.append(operation)
        if len(calls) == 1:
            (tmp_path / LOCK).unlink()  # as its owner does at its end

    monkeypatch.setattr(module.fcntl, "flock", ended_meanwhile)
    with locked(tmp_path):
        assert len(calls) == 2
        with pytest.raises(WorkDirInUse), locked(tmp_path):
            pass


def test_a_file_system_without_locks_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def refused(file, operation):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(module.fcntl, "flock", refused)
    with locked(tmp_path):
        pass
    message = f"{tmp_path} cannot be locked (No locks available): nothing prevents a second run from using it\n"
    assert capsys.readouterr().out == message


def test_a_run_whose_folder_was_renamed_leaves_the_lock_of_the_next(tmp_path: Path):
    with locked(tmp_path / "work"):
        (tmp_path / "work").rename(tmp_path / "kept")
        with locked(tmp_path / "work"):
            pass
        assert (tmp_path / "kept" / LOCK).exists()
        (tmp_path / "work" / LOCK).write_text("of the next run")
    assert (tmp_path / "work" / LOCK).read_text() == "of the next run"


def test_a_run_that_moves_an_earlier_one_keeps_its_lock(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    work, aside = tmp_path / "work", tmp_path / "work.2"
    (tmp_path / "work.1").mkdir()
    work.mkdir()
    (work / "epoch_3.pth").write_text("precious")
    with locked(work):
        set_aside(work)
        assert (aside / "epoch_3.pth").read_text() == "precious"
        assert [file.name for file in work.iterdir()] == [LOCK]
        assert not (aside / LOCK).exists()
        with pytest.raises(WorkDirInUse), locked(work):
            pass
        with locked(aside):
            pass
    assert not list(work.iterdir())
    message = f"{work} held an earlier run, which was moved to {aside} (--resume would have continued it)\n"
    assert capsys.readouterr().out == message


def test_the_main_process_holds_it_for_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with locked(tmp_path):
        monkeypatch.setattr(module, "is_main_process", lambda: False)
        with locked(tmp_path):  # another process of the same job
            pass
        monkeypatch.setattr(module, "broadcast_object_list", lambda refusal: refusal.__setitem__(0, "work is in use"))
        with pytest.raises(WorkDirInUse, match="work is in use"), locked(tmp_path):
            pass
        assert (tmp_path / LOCK).exists()


def test_metrics_of_earlier_versions_are_found(tmp_path: Path):
    assert metrics_file(tmp_path) == tmp_path / "metrics.json"
    (tmp_path / "figures.json").touch()
    assert metrics_file(tmp_path) == tmp_path / "figures.json"
