"""Sweeps to test on are read before a detector is trained."""

from pathlib import Path

import numpy as np
import pytest

from ccrop.hooks.unreadable import TooManyUnreadable
from ccrop.projects.lidar_bev.datasets import SweepFolder
from ccrop.projects.lidar_bev.detection.samples import check_readable


def test_the_faults_are_listed_where_they_are_too_many(tmp_path: Path):
    for number in range(4):
        np.full((3, 4), 1, np.float32).tofile(tmp_path / f"{number}.bin")
    (tmp_path / "2.bin").write_bytes(b"cut off")
    dataset = SweepFolder(tmp_path)
    message = (
        r"^1 of 4 sweeps to test on are unreadable, more than 1%: repair or remove them, or raise the "
        rf"UnreadableImagesHook's limit\.\n{tmp_path}/2\.bin: its 7 bytes are not a whole number of points"
    )
    with pytest.raises(TooManyUnreadable, match=message):
        check_readable(dataset, 0.01)
    check_readable(dataset, 0.25)
