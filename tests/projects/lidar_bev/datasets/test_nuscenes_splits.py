"""The official splits by their numbers, and others by files."""

from pathlib import Path

import pytest

from ccrop.datasets import MissingData
from ccrop.projects.lidar_bev.datasets.nuscenes_splits import VAL, scenes_of, version_of


def test_the_official_splits_have_their_published_sizes():
    assert len(VAL) == len(set(VAL)) == 150
    assert (VAL[0], VAL[-1]) == ("scene-0003", "scene-1073")
    known = [*VAL, "scene-0001", "scene-0002"]
    assert scenes_of("val", Path(), known) == list(VAL)
    assert scenes_of("train", Path(), known) == ["scene-0001", "scene-0002"]
    mini = [f"scene-{number:04d}" for number in (61, 103, 553, 655, 757, 796, 916, 1077, 1094, 1100)]
    assert scenes_of("mini_val", Path(), mini) == ["scene-0103", "scene-0916"]
    assert scenes_of("mini_train", Path(), mini) == [name for name in mini if name not in ("scene-0103", "scene-0916")]


def test_a_split_names_its_version():
    versions = ["v1.0-mini", "v1.0-trainval", "v1.0-trainval", "v1.0-trainval"]
    assert [version_of(split) for split in ("mini_val", "train", "own", None)] == versions


def test_other_splits_are_files_in_the_root(tmp_path: Path):
    (tmp_path / "night.txt").write_text("scene-0103\nscene-0001\n")
    assert scenes_of("night", tmp_path, ()) == ["scene-0103", "scene-0001"]
    with pytest.raises(
        MissingData, match=r"rain\.txt is not a file; expected .* official splits train, val, mini_train"
    ):
        scenes_of("rain", tmp_path, ())
