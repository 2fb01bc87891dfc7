import os
import subprocess
import sys

import pytest

from ccrop.broken_pipe import ended_with_its_reader


@pytest.mark.parametrize("arguments", [["--help"], ["train", "--list"], ["train", "--help"], ["export", "--help"]])
def test_nothing_is_said_to_a_reader_that_has_gone(arguments: list[str]):
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "ccrop", *arguments], stdout=writer, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(writer)
    assert done.stderr == ""
    assert done.returncode in (0, 141)  # argparse passes over the error of its help


def test_other_pipes_break_as_before(capfd: pytest.CaptureFixture[str]):
    with capfd.disabled(), pytest.raises(BrokenPipeError), ended_with_its_reader():
        raise BrokenPipeError
