import errno
import io
import multiprocessing
import os
import pickle
import random
import resource
import signal
import stat
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.fileio import backends
from mmengine.fileio.backends import registry_utils
from mmengine.logging import HistoryBuffer, MessageHub
from mmengine.runner import CheckpointLoader, save_checkpoint

from ccrop.compat import safe_checkpoint
from ccrop.compat.safe_checkpoint import (
    AtomicLocalBackend,
    UntrustedCheckpoint,
    install_safe_checkpoints,
    load_checkpoint,
)


@pytest.fixture
def installed(monkeypatch):
    """As in a run, and undone afterwards."""
    monkeypatch.setattr(CheckpointLoader, "_schemes", dict(CheckpointLoader._schemes))
    for registered in (registry_utils.backends, registry_utils.prefix_to_backends):
        for name, backend in list(registered.items()):
            monkeypatch.setitem(registered, name, backend)
    install_safe_checkpoints()


class Calls:
    """Pickles as a call of a function."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def saved(path, content):
    torch.save(content, path)
    return path


def refused(path, reason="not loaded"):
    with pytest.raises(UntrustedCheckpoint, match=reason) as caught:
        load_checkpoint(path)
    assert str(path) in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    assert "weights_only" not in str(caught.value)  # torch advises to load without checks


def test_tensors_and_plain_containers_are_loaded(tmp_path):
    content = dict(
        state_dict={"weight": torch.arange(6.0).view(2, 3), "steps": torch.tensor(7)},
        meta=dict(epoch=3, cfg="model = ...", seeds=(1, None, True), best=0.5),
        boxes=torch.ones(2, 8, 5, dtype=torch.float16),
        loss=np.float64(1.5),
        best_epoch=np.int64(4),
        history=np.arange(4.0),
    )
    loaded = load_checkpoint(saved(tmp_path / "epoch_3.pth", content))
    assert torch.equal(loaded["state_dict"]["weight"], content["state_dict"]["weight"])
    assert torch.equal(loaded["boxes"], content["boxes"])
    assert loaded["meta"] == content["meta"]
    assert (loaded["loss"], loaded["best_epoch"], loaded["history"].tolist()) == (1.5, 4, [0, 1, 2, 3])


@pytest.mark.parametrize("new_format", [True, False])
def test_code_in_a_checkpoint_does_not_run(tmp_path, new_format):
    path, proof = tmp_path / "evil.pth", tmp_path / "proof"
    torch.save({"state_dict": Calls(os.system, f"touch {proof}")}, path, _use_new_zipfile_serialization=new_format)
    refused(path, "posix.system")
    assert not proof.exists()
    torch.load(path, weights_only=False)
    assert proof.exists()  # it would have run


@pytest.mark.parametrize("function", [subprocess.getoutput, eval, exec])
def test_other_ways_to_run_code_are_refused(tmp_path, function):
    proof = tmp_path / "proof"
    code = f"touch {proof}" if function is subprocess.getoutput else f"open({str(proof)!r}, 'w')"
    refused(saved(tmp_path / "evil.pth", [Calls(function, code)]), function.__name__)
    assert not proof.exists()


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_code_in_a_bare_pickle_does_not_run(tmp_path):
    proof = tmp_path / "proof"
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        (tmp_path / "evil.pkl").write_bytes(pickle.dumps(Calls(os.system, f"touch {proof}"), protocol=protocol))
        refused(tmp_path / "evil.pkl")
    assert not proof.exists()


def test_mmengine_loads_as_safely(tmp_path, installed):
    proof = tmp_path / "proof"
    evil = saved(tmp_path / "evil.pth", {"state_dict": Calls(os.system, f"touch {proof}")})
    good = saved(tmp_path / "good.pth", {"state_dict": torch.ones(2)})
    with pytest.raises(UntrustedCheckpoint, match=r"posix\.system"):
        CheckpointLoader.load_checkpoint(str(evil), map_location="cpu")
    assert not proof.exists()
    assert CheckpointLoader.load_checkpoint(str(good))["state_dict"].tolist() == [1, 1]


@pytest.mark.parametrize(
    "abuse",
    [
        Calls(getattr, HistoryBuffer, "__init__"),
        Calls(getattr, HistoryBuffer, "__subclasses__"),
        Calls(getattr, HistoryBuffer, "register_statistics"),
        Calls(getattr, np.ndarray, "tofile"),
        Calls(getattr, np.ndarray, "max"),
        Calls(getattr, torch.Tensor, "__class__"),
        Calls(getattr, HistoryBuffer([1.0], [1]), "mean"),
    ],
    ids=lambda abuse: f"{getattr(abuse.call[1][0], '__name__', 'object')}.{abuse.call[1][1]}",
)
def test_getattr_reads_the_four_statistics_and_nothing_else(tmp_path, abuse):
    refused(saved(tmp_path / "evil.pth", [abuse]), r"getattr\(")


def test_a_statistic_is_read_and_not_called(tmp_path):
    path = saved(tmp_path / "history.pth", [HistoryBuffer.mean])
    assert load_checkpoint(path) == [HistoryBuffer.mean]
    refused(saved(path, [Calls(HistoryBuffer.mean, HistoryBuffer([1.0], [1]))]), "reduce")


def test_message_hub_survives(tmp_path, installed):
    hub = MessageHub.get_instance("saved")
    for loss in (4.0, 2.0, 1.0):
        hub.update_scalar("train/loss", loss)
    hub.update_scalar("epoch/rank", 12, count=3)
    hub.update_info("epoch", 5)
    hub.update_info("best", np.float64(0.25))
    save_checkpoint(dict(message_hub=hub.state_dict()), str(tmp_path / "epoch_1.pth"))

    restored = MessageHub.get_instance("restored")
    restored.load_state_dict(CheckpointLoader.load_checkpoint(str(tmp_path / "epoch_1.pth"))["message_hub"])
    loss = restored.get_scalar("train/loss")
    assert loss.data[0].tolist() == [4, 2, 1]
    assert loss.data[1].tolist() == [1, 1, 1]
    assert [loss.statistics(name) for name in ("min", "max", "current", "mean")] == [1, 4, 1, pytest.approx(7 / 3)]
    assert loss.mean(2) == 1.5
    assert restored.get_scalar("epoch/rank").mean() == 4
    assert (restored.get_info("epoch"), restored.get_info("best")) == (5, 0.25)
    loss.update(3.0)
    assert loss.current() == 3


def test_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=f"checkpoint {tmp_path}/none.pth does not exist"):
        load_checkpoint(tmp_path / "none.pth")


@pytest.mark.parametrize("new_format", [True, False])
def test_truncated_file_is_refused(tmp_path, new_format):
    path = tmp_path / "epoch_1.pth"
    content = dict(state_dict={"weight": torch.arange(99.0)}, history=HistoryBuffer([1.0], [1]))
    torch.save(content, path, _use_new_zipfile_serialization=new_format)
    whole = path.read_bytes()
    load_checkpoint(path)
    for length in range(0, len(whole), 1 + len(whole) // 100):
        path.write_bytes(whole[:length])
        refused(path, "damaged")


def test_flipped_bytes_never_surprise(tmp_path):
    path = saved(tmp_path / "epoch_1.pth", dict(weight=torch.arange(9.0), history=HistoryBuffer([1.0], [1])))
    whole, rng, times_refused = path.read_bytes(), random.Random(0), 0
    for _ in range(200):
        damaged = bytearray(whole)
        for _ in range(5):
            damaged[rng.randrange(len(whole))] = rng.randrange(256)
        path.write_bytes(damaged)
        try:
            load_checkpoint(path)
        except UntrustedCheckpoint:
            times_refused += 1
    assert times_refused > 100


@pytest.mark.parametrize(
    "content", [b"", b"hello world\n", b"<html>404</html>", b"version https://git-lfs.github.com/spec/v1\n"]
)
def test_file_of_another_kind_is_refused(tmp_path, content):
    (tmp_path / "epoch_1.pth").write_bytes(content)
    refused(tmp_path / "epoch_1.pth", "damaged")


def files(folder):
    return sorted(file.name for file in folder.iterdir())


def test_write_puts_the_whole_file_in_a_new_folder(tmp_path):
    AtomicLocalBackend().put(memoryview(b"new"), tmp_path / "a" / "b.pth")
    AtomicLocalBackend().put_text("grün", tmp_path / "a" / "b.txt", encoding="latin-1")
    assert (tmp_path / "a" / "b.pth").read_bytes() == b"new"
    assert (tmp_path / "a" / "b.txt").read_bytes() == b"gr\xfcn"
    assert files(tmp_path / "a") == ["b.pth", "b.txt"]


def test_written_file_has_the_rights_of_any_new_file(tmp_path):
    umask = os.umask(0o022)
    try:
        AtomicLocalBackend().put(b"new", tmp_path / "epoch_1.pth")
    finally:
        os.umask(umask)
    assert stat.S_IMODE((tmp_path / "epoch_1.pth").stat().st_mode) == 0o644


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_failing_write_keeps_the_old_file_and_leaves_nothing(tmp_path, monkeypatch, step):
    def fail(*_):
        raise OSError(errno.EIO, "the disk is gone")

    (tmp_path / "epoch_1.pth").write_bytes(b"old")
    monkeypatch.setattr(*((os, "fsync") if step == "fsync" else (Path, "replace")), fail)
    with pytest.raises(OSError, match="the disk is gone"):
        AtomicLocalBackend().put(b"new", tmp_path / "epoch_1.pth")
    assert (tmp_path / "epoch_1.pth").read_bytes() == b"old"
    assert files(tmp_path) == ["epoch_1.pth"]


def check_full_disk(folder, number):
    """Write a small and a large checkpoint where only the small one has room."""
    small, large = folder / "epoch_1.pth", folder / "epoch_2.pth"
    save_checkpoint(dict(weight=torch.ones(1000)), str(small))
    with pytest.raises(OSError, match=r"no room for .*epoch_2\.pth: 8 MB to write, .* MB free") as caught:
        save_checkpoint(dict(weight=torch.ones(2_000_000)), str(large))
    assert caught.value.errno == number
    assert str(large) in str(caught.value)
    assert "make room and run the same command again with --resume" in str(caught.value)
    with pytest.raises(OSError, match=r"no room for .*epoch_1\.pth"):
        save_checkpoint(dict(weight=torch.zeros(2_000_000)), str(small))
    assert load_checkpoint(small)["weight"].tolist() == [1] * 1000
    assert files(folder) == ["epoch_1.pth"]


def test_file_beyond_the_allowed_size_says_what_to_do(tmp_path, installed):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))
    try:
        check_full_disk(tmp_path, errno.EFBIG)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)


def test_full_disk_says_what_to_do(tmp_path, installed):
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(tmp_path)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("cannot mount a small disk")
    try:
        check_full_disk(tmp_path, errno.ENOSPC)
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def checkpoint_bytes(step):
    content = io.BytesIO()
    torch.save(dict(step=step, weight=torch.full((1_000_000,), float(step))), content)
    return content.getvalue()


def write_forever(path, contents):
    backend = AtomicLocalBackend()
    while True:
        for content in contents:
            backend.put(content, path)


def test_kill_leaves_a_whole_checkpoint(tmp_path):
    path, contents = tmp_path / "epoch_1.pth", [checkpoint_bytes(step) for step in range(2)]
    AtomicLocalBackend().put(contents[0], path)
    interrupted = 0
    for attempt in range(12):
        before = path.stat().st_mtime_ns
        writer = multiprocessing.get_context("fork").Process(target=write_forever, args=(path, contents))
        writer.start()
        deadline = time.monotonic() + 20
        while path.stat().st_mtime_ns == before and time.monotonic() < deadline:
            time.sleep(0.001)
        time.sleep(0.0017 * attempt)
        writer.kill()
        writer.join()
        assert writer.exitcode == -signal.SIGKILL
        interrupted += len(files(tmp_path)) > 1 + interrupted
        loaded = load_checkpoint(path)
        assert (loaded["weight"] == loaded["step"]).all()
        assert path.read_bytes() == contents[loaded["step"]]
    assert interrupted > 0  # at least one kill fell into a write


def test_files_of_mmengine_are_written_the_same_way(tmp_path, installed, monkeypatch):
    written = []
    monkeypatch.setattr(safe_checkpoint, "write_bytes", lambda path, content, advice: written.append(Path(path).name))
    save_checkpoint(dict(weight=torch.ones(2)), str(tmp_path / "epoch_1.pth"))
    assert written == ["epoch_1.pth"]
    assert issubclass(AtomicLocalBackend, backends.LocalBackend)


def test_a_folder_is_no_checkpoint(tmp_path):
    for number in (1, 2):
        torch.save(dict(weight=torch.ones(2)), tmp_path / f"epoch_{number}.pth")
        os.utime(tmp_path / f"epoch_{number}.pth", (number, number))
    with pytest.raises(IsADirectoryError, match=r"is a folder: pass a checkpoint, such as .*/epoch_2\.pth"):
        load_checkpoint(tmp_path)
