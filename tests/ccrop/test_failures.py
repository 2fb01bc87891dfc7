"""What ends a training."""

import errno
import logging
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from types import SimpleNamespace

import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from ccrop import failures
from ccrop.failures import accidents_explained
from ccrop.files import DiskFull
from ccrop.hooks import BatchTooLargeError


class Numbers(Dataset):
    """Eight numbers, of which the fifth meets with an accident."""

    def __init__(self, accident: str) -> None:
        self.accident = accident

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> int:
        if index == 5 and self.accident == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        return index // (index != 5)


def trained(accident: str, explained: Callable = accidents_explained) -> None:
    loader = DataLoader(Numbers(accident), batch_size=2, num_workers=1)
    runner = SimpleNamespace(train_dataloader=loader, iter=3, logger=logging.getLogger("accidents"))
    runner.work_dir = "work"
    with explained(runner):
        if accident == "batch":
            raise ValueError("Expected more than 1 value per channel when training, got input size [1, 8]")
        if accident == "GPU":
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nGPU 0 has ...")
        if accident == "CPU":
            torch.empty(2**60, dtype=torch.uint8)
        if accident == "disk":
            raise OSError(errno.ENOSPC, "No space left on device")
        if accident == "interrupt":
            raise KeyboardInterrupt
        if accident == "disguised interrupt":
            try:
                raise KeyboardInterrupt
            except:  # noqa: E722 - as MMEngine does while it formats a config
                raise SyntaxError("Failed to format the config file")  # noqa: B904
        if accident == "other":
            raise ValueError("something else")
        list(loader)


@pytest.mark.parametrize(
    ("accident", "kind", "line"),
    [
        ("division", ValueError, r"a data-loading worker failed: ZeroDivisionError: .* by zero$"),
        ("batch", ValueError, r"but a batch of 2 of 8 examples gives one: set train_dataloader\.batch_size to 2 or mo"),
        ("GPU", BatchTooLargeError, r"^a batch of 2 does not fit .* \(CUDA out .* 2\.00 GiB\): lower train_dataloader"),
        ("CPU", BatchTooLargeError, r"^a batch of 2 does not fit into memory \(.*1152921504606846976 bytes.*\): lower"),
        (
            "disk",
            DiskFull,
            r"no room for work: .* MB free\. .*; make room and run the same command again with --resume$",
        ),
        ("other", ValueError, r"^something else$"),
    ],
)
def test_one_line_says_what_to_do(accident: str, kind: type[Exception], line: str):
    with pytest.raises(kind, match=line) as raised:
        trained(accident)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("phase", ["train", "test"])
def test_a_killed_worker_is_one_line(phase: str):
    """In a process of its own: torch's signal handler raises wherever the parent is when it hears of the death."""
    done = subprocess.run([sys.executable, __file__, "kill", phase], capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    said = "ChildProcessError: a data-loading worker died early"  # Python may say more as it ends
    (line,) = (line for line in done.stderr.splitlines() if line.startswith(said))
    assert re.search(rf"lower {phase}_dataloader\.num_workers or batch_size, and run .* --resume$", line)


@pytest.mark.parametrize("accident", ["interrupt", "disguised interrupt"])
def test_an_interrupt_is_logged_and_goes_on(accident: str, caplog: pytest.LogCaptureFixture):
    with pytest.raises(KeyboardInterrupt):
        trained(accident)
    assert caplog.messages == ["Interrupted after 3 iterations: run the same command again with --resume"]


def test_an_interrupt_in_the_test_of_a_detector_is_logged_too(caplog: pytest.LogCaptureFixture):
    with pytest.raises(KeyboardInterrupt):
        trained("interrupt", failures.test_accidents_explained)
    assert caplog.messages == ["Interrupted in the test after 3 iterations: run the same command again with --resume"]


if __name__ == "__main__":
    trained(sys.argv[1], dict(train=accidents_explained, test=failures.test_accidents_explained)[sys.argv[2]])
