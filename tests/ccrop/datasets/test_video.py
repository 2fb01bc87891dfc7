"""Frames of videos, written as images."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.logging import MMLogger

from ccrop.datasets import ImageFolder, MissingData, UnreadableFile
from ccrop.datasets.video import list_videos, write_frames


def write_video(file: Path, number: int) -> Path:
    """Gray frames of 64 x 48 pixels, each 20 levels brighter than the one before."""
    file.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(file), cv2.VideoWriter_fourcc(*"MJPG"), 10, (64, 48))
    assert writer.isOpened()
    for level in range(number):
        writer.write(np.full((48, 64, 3), 20 * level, np.uint8))
    writer.release()
    return file


def test_every_third_frame_is_an_image(tmp_path: Path):
    write_video(tmp_path / "in/flight.avi", 8)
    write_video(tmp_path / "in/deep/other.AVI", 2)
    assert write_frames(list_videos(tmp_path / "in"), tmp_path / "out", every=3) == 4
    images = ImageFolder(tmp_path / "out")
    names = [images.get_data_info(number)["path"] for number in range(len(images))]
    assert names == ["flight/000000.jpg", "flight/000003.jpg", "flight/000006.jpg", "other/000000.jpg"]
    levels = [np.asarray(images[number]["image"]).mean() for number in range(4)]
    assert levels == pytest.approx([0, 60, 120, 0], abs=3)


def test_what_is_no_video_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    warnings: list[str] = []
    monkeypatch.setattr(MMLogger.get_current_instance(), "warning", warnings.append)
    (tmp_path / "a.jpg").touch()
    with pytest.raises(MissingData, match=r"no video found in .* \(looked for \.mp4, "):
        list_videos(tmp_path)
    assert warnings == [f"{tmp_path}: skipped 1 entries that cannot be read as videos, by suffix: .jpg (1)"]
    (tmp_path / "a.mp4").write_bytes(b"no video")
    with pytest.raises(UnreadableFile, match=r"a\.mp4: no frame can be read"):
        write_frames(list_videos(tmp_path), tmp_path / "out", 1)


def test_one_damaged_video_does_not_stop_the_others(tmp_path: Path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.mp4").write_bytes(b"no video")
    write_video(tmp_path / "in/b.avi", 2)
    assert write_frames(list_videos(tmp_path / "in"), tmp_path / "out", 1) == 2
    assert [folder.name for folder in (tmp_path / "out").iterdir()] == ["b"]


def test_two_videos_of_one_name_are_refused(tmp_path: Path):
    for folder in ("x", "y"):
        write_video(tmp_path / folder / "a.avi", 1)
    with pytest.raises(ValueError, match=r"x/a\.avi and .*y/a\.avi have the same name"):
        list_videos(tmp_path)
