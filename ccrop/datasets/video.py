"""Frames of videos as images."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
from numpy.typing import NDArray

from ccrop.datasets.base import MissingData, say_once
from ccrop.datasets.listing import list_images
from ccrop.datasets.reading import UnreadableFile, printable

VIDEO_SUFFIXES = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".ts", ".wmv")
QUALITY = 95  # of JPEG
CUT_SHORT = 0.98  # fraction of the promised frames; some files promise a frame too many


def list_videos(source: str | Path) -> list[Path]:
    """A video, or the sorted videos below a folder.

    Raises:
        MissingData: there is none.
    """
    source = Path(source)
    if not source.exists():
        raise MissingData(f"{source} does not exist: name a video or a folder of videos")
    videos = [source] if source.is_file() else [source / name for name in list_images(source, suffixes=VIDEO_SUFFIXES)]
    if not videos:
        raise MissingData(f"no video found in {source} (looked for {', '.join(VIDEO_SUFFIXES)})")
    return videos


def write_frames(videos: Sequence[Path], root: Path, every: int) -> int:
    """Write frames as ``root/VIDEO/FRAME.jpg``, and give their number.

    Args:
        every: the first frame of so many is kept.

    Raises:
        UnreadableFile: a video cannot be read, or has no frame.
        ValueError: two videos have the same name.
    """
    total = 0
    names: dict[str, Path] = {}
    for video in videos:
        if video.stem in names:
            raise ValueError(f"{names[video.stem]} and {video} have the same name: rename one of them")
        names[video.stem] = video
        (root / video.stem).mkdir(parents=True)
        for number, frame in frames(video, every):
            file = root / video.stem / f"{number:06d}.jpg"
            file.write_bytes(cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes())
            total += 1
    return total


def frames(video: Path, every: int) -> Iterator[tuple[int, NDArray]]:
    """Numbers, from 0 on, and frames ``(H, W, 3)`` uint8 in BGR of a video, turned upright as it says.

    Raises:
        UnreadableFile: see :func:`write_frames`.
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
            video, "no frame can be read: it is damaged, or of a codec that OpenCV lacks, so convert it, as by ffmpeg"
        )
    if number < CUT_SHORT * promised:
        say_once(f"{printable(str(video))}: only {number} of {promised} frames can be read; it is damaged or cut short")
