"""One copy a node, which no process leaves behind."""

import errno
import io
import os
import pickle
from multiprocessing.reduction import ForkingPickler

import pytest

from ccrop.datasets import node_memory
from ccrop.datasets.node_memory import NodeMemory


def test_it_is_zeroed_and_as_large_as_asked_for():
    memory = NodeMemory(5000)
    assert memory.buffer[:] == bytes(5000)
    assert (memory.is_first, memory.copies) == (True, 1)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Takes the place of the file system in memory."""
    monkeypatch.setattr(node_memory, "SHARED", str(tmp_path))
    return tmp_path


def test_its_file_has_no_name(folder):
    memory = NodeMemory(10)
    memory.buffer[:2] = b"ab"
    assert list(folder.iterdir()) == []


def test_a_process_that_is_started_afresh_gets_the_same_memory():
    memory = NodeMemory(10)
    sent = io.BytesIO()
    ForkingPickler(sent).dump(memory)
    other = pickle.loads(sent.getvalue())
    other.buffer[3] = 7
    assert memory.buffer[3] == 7
    memory.buffer[4] = 8
    assert other.buffer[4] == 8


@pytest.mark.parametrize("shared", [True, False])
def test_a_rank_takes_its_nodes_file_where_it_sees_it(folder, monkeypatch, shared):
    """This process is the second rank of its node."""
    file = folder / "ccrop-first"
    file.write_bytes(bytes(10))
    theirs = str(file if shared else folder / "ccrop-elsewhere")
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setattr(node_memory, "all_gather_object", lambda own: [True if own in (True, False) else theirs, own])
    memory = NodeMemory(10)
    assert memory.is_first != shared
    assert memory.copies == (1 if shared else 2)
    memory.buffer[:] = b"0123456789"
    assert (file.read_bytes() == b"0123456789") == shared


def test_too_little_shared_memory_is_an_error_that_says_what_to_do(folder, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(
        OSError, match=r"take 3220 MB of shared memory, and \S+ has \d+ MB free: give it more"
    ) as caught:
        NodeMemory(3_220_000_000)
    assert caught.value.errno == errno.ENOSPC
    assert list(folder.iterdir()) == []
