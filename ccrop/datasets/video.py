"""Frames of videos as images."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
from numpy.typing import NDArray

from ccrop.datasets.base import MissingData, say_once
from ccrop.datasets.listing import list_files
from ccrop.datasets.reading import UnreadableFile, printable

VIDEO_SUFFIXES = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".ts", ".wmv")
QUALITY = 95  # of JPEG
CUT_SHORT = 0.98  # fraction of the promised frames; some files promise one frame too many


def list_videos(source: str | Path) -> list[Path]:
    """A video, or the sorted videos below a folder.

    Raises:
        MissingData: there is none.
        ValueError: two have the same name.
    """
    source = Path(source)
    if not source.exists():
        raise MissingData(f"{source} does not exist: pass a video or a folder of videos")
    names = [] if source.is_file() else list_files(str(source), VIDEO_SUFFIXES, (), "videos")
    videos = [source] if source.is_file() else [source / name for name in names]
    if not videos:
        raise MissingData(f"no video found in {source} (looked for {', '.join(VIDEO_SUFFIXES)})")
    first: dict[str, Path] = {}
    for video in videos:
        if first.setdefault(video.stem, video) != video:
            raise ValueError(f"{first[video.stem]} and {video} have the same name: rename one of them")
    return videos


def write_frames(videos: Sequence[Path], root: Path, every: int) -> int:
    """Write frames as ``root/VIDEO/FRAME.jpg``, and return their count; the log lists unreadable videos.

    Args:
        videos: of different names.
        every: keep one frame of this many, the first.

    Raises:
        UnreadableFile: none of the videos can be read; about the first.
    """
    total, unreadable = 0, []
    for video in videos:
        try:
            total += _write_video(video, root / video.stem, every)
        except UnreadableFile as error:
            unreadable.append(error)
            if len(unreadable) == len(videos):
                raise unreadable[0] from None
            say_once(f"left out: {error}")
    return total


def _write_video(video: Path, folder: Path, every: int) -> int:
    written = 0
    for place, frame in frames(video, every):
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / f"{place:06d}.jpg"
        file.write_bytes(cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes())
        written += 1
    return written


def frames(video: Path, every: int) -> Iterator[tuple[int, NDArray]]:
    """Numbers, from 0, and frames ``(H, W, 3)`` uint8 in BGR of a video, rotated upright as it specifies.

    Raises:
        UnreadableFile: it cannot be read, or has no frame.
    """
    capture = cv2.VideoCapture(str(video))
    number, promised = 0, round(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    try:
        while capture.grab():
            if number % every == 0:
                read, frame = capture.retrieve()
                if not read:
                    break
                yield number, frame
            number += 1
    finally:
        capture.release()
    if not number:
        raise UnreadableFile(
            video,
            "no frame can be read; it is damaged, or OpenCV does not support its codec: convert it, for example "
            "with ffmpeg",
        )
    if number < CUT_SHORT * promised:
        say_once(f"{printable(str(video))}: only {number} of {promised} frames can be read; it is damaged or cut short")
