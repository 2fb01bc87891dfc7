"""Numbers agree with their nouns, and commands can be typed."""

import shlex
import subprocess

from ccrop.wording import command_line, counted


def test_one_is_singular():
    assert [counted(number, "process") for number in (0, 1, 2)] == ["0 processes", "1 process", "2 processes"]
    assert counted(1234, "image") == "1,234 images"
    assert counted(2, "box") == "2 boxes"


def test_commands_are_quoted_only_where_they_need_it():
    words = ["tools/train.py", "a/b.py", "--labels", "5%", "--cfg-options", "a.b.columns=('x','y')", "a.split=None"]
    assert command_line(words) == (
        """tools/train.py a/b.py --labels 5% --cfg-options "a.b.columns=('x','y')" a.split=None"""
    )
    assert command_line(["my sweeps", "(2.0,0.5)", ""]) == "'my sweeps' '(2.0,0.5)' ''"


def test_a_shell_reads_the_words_back():
    words = ["it's", "$HOME's", "both ' and \"", "back\\slash's", "`date`'s", "a!b's", "new\nline's", "plain"]
    assert shlex.split(command_line(words)) == words
    done = subprocess.run(["bash", "-c", f"printf '%s\\0' {command_line(words)}"], capture_output=True, text=True)
    assert done.stdout.split("\0")[:-1] == words
