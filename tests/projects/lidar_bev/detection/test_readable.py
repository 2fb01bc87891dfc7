"""Sweeps to test on are read before a detector is trained."""

from pathlib import Path

import numpy as np
import pytest

from ccrop.hooks.unreadable import TooManyUnreadable
from ccrop.projects.lidar_bev.datasets import SweepFolder
from ccrop.projects.lidar_bev.detection import labeled_sweeps
from ccrop.projects.lidar_bev.detection.labeled_sweeps import check_readable


def test_the_faults_are_listed_where_they_are_too_many(tmp_path: Path):
    for number in range(4):
        np.full((3, 4), 1, np.float32).tofile(tmp_path / f"{number}.bin")
    (tmp_path / "2.bin").write_bytes(b"cut off")
    dataset = SweepFolder(tmp_path)
    message = (
        r"^1 of 4 sweeps to test on are unreadable, more than 1%: repair or remove them, or raise "
        rf"default_hooks\.unreadable\.limit\.\n{tmp_path}/2\.bin: its 7 bytes are not a whole number of points"
    )
    with pytest.raises(TooManyUnreadable, match=message):
        check_readable(dataset, 0.01)
    check_readable(dataset, 0.25)


def test_of_a_large_set_some_are_read(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(labeled_sweeps, "LOOKED_AT", 3)
    for number in range(9):
        (tmp_path / f"{number}.bin").write_bytes(b"cut off")
    with pytest.raises(TooManyUnreadable, match=r"^3 of 3 sweeps to test on are unreadable") as raised:
        check_readable(SweepFolder(tmp_path), 0.5)
    assert [line.split(": ")[0][-5:] for line in str(raised.value).splitlines()[1:]] == ["0.bin", "4.bin", "8.bin"]
