"""Packed sets: images decoded and scaled once, memory-mapped, instead of a folder of image files.

A pack is a folder with ``pixels.bin``, all images in sequence as ``(H, W, C)`` uint8, ``index.npy``, the offset of
each, and ``pack.json``, its settings, which is written last. :mod:`ccrop.datasets.packing` makes one.
"""

import json
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

SETTINGS, INDEX, PIXELS, JOURNAL = "pack.json", "index.npy", "pixels.bin", "journal.jsonl"


class BadPack(ValueError):
    """A pack that is damaged, unfinished, or out of date with its source; the message says what to do."""


class NotPacked(ValueError):
    """An image that a pack does not hold."""


class Pack:
    """The images of a pack.

    An image is checked when a process first reads it: its checksum, and that its source, if it still exists,
    is the file that was packed.

    Args:
        folder: with the files above.

    Attributes:
        settings: as :func:`ccrop.datasets.packing.pack_images` wrote them.
        names: paths relative to the folder, ``/`` between, as sorted bytes.

    Raises:
        BadPack: its settings or its index are damaged.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        with self._damage_explained(SETTINGS):
            self.settings = json.loads((self.folder / SETTINGS).read_text())
        with self._damage_explained(INDEX):
            self._index = np.load(self.folder / INDEX, mmap_mode="r")
            self.names = self._index["name"]
        file = self.folder / PIXELS
        # copy on write, because torch warns about read-only arrays; an empty file cannot be mapped
        self._pixels = np.memmap(file, np.uint8, "c") if file.stat().st_size else np.zeros(0, np.uint8)
        self._checked = np.zeros(len(self.names), dtype=bool)

    @contextmanager
    def _damage_explained(self, name: str) -> Iterator[None]:
        try:
            yield
        except (ValueError, IndexError, EOFError) as error:
            raise BadPack(f"{self.folder / name} is damaged: remove {self.folder} and pack again") from error

    def below(self, folder: str | Path) -> list[str]:
        """Sorted paths relative to a folder, the pack's own or one in it, of the images below it."""
        start = os.path.relpath(folder, self.folder)
        prefix = b"" if start == os.curdir else os.fsencode(start) + b"/"
        return sorted(os.fsdecode(name[len(prefix) :]) for name in self.names.tolist() if name.startswith(prefix))

    def size(self, path: str | os.PathLike) -> tuple[int, int]:
        """(width, height) in pixels.

        Raises:
            NotPacked: there is no such image, or it could not be read when the set was packed.
        """
        entry = self._index[self._row(path)]
        return int(entry["width"]), int(entry["height"])

    def image(self, path: str | os.PathLike) -> NDArray[np.uint8]:
        """``(H, W, C)``, mapped from the file.

        Raises:
            NotPacked: there is no such image, or it could not be read when the set was packed.
            BadPack: its bytes are damaged, or its source has changed.
        """
        row = self._row(path)
        entry = self._index[row]
        shape = int(entry["height"]), int(entry["width"]), self.settings["channels"]
        content = self._pixels[int(entry["offset"]) :][: int(np.prod(shape))]
        if not self._checked[row]:
            self._check(entry, content, int(np.prod(shape)))
            self._checked[row] = True
        return content.reshape(shape)

    def stamps(self) -> dict[str, tuple[int, int]]:
        """Bytes and time of each source file, see :func:`stamp`."""
        numbers = zip(self._index["bytes"].tolist(), self._index["modified"].tolist(), strict=True)
        return dict(zip(map(os.fsdecode, self.names.tolist()), numbers, strict=True))

    def verify(self) -> None:
        """Check all images; unreadable ones of the source are skipped.

        Raises:
            BadPack: names the first one that is damaged, or whose source has changed.
        """
        for name in map(os.fsdecode, self.names.tolist()):
            if name not in self.settings["unreadable"]:
                self.image(self.folder / name)

    def _row(self, path: str | os.PathLike) -> int:
        name = os.fsencode(os.path.relpath(path, self.folder))
        row = int(np.searchsorted(self.names, name))
        if row == len(self.names) or self.names[row] != name:
            raise NotPacked(f"it is not in the pack {self.folder}")
        reason = self.settings["unreadable"].get(os.fsdecode(name))
        if reason is not None:
            raise NotPacked(reason)
        return row

    def _check(self, entry: np.void, content: NDArray[np.uint8], expected: int) -> None:
        name = os.fsdecode(entry["name"])
        again = f"remove {self.folder} and pack again"
        if len(content) != expected or zlib.crc32(content.data) != entry["checksum"]:
            raise BadPack(f"the bytes of {name} in {self.folder / PIXELS} are damaged: {again}")
        source = Path(self.settings["source"])
        if source.is_dir() and stamp(source / name) != (entry["bytes"], entry["modified"]):
            raise BadPack(f"{source / name} has changed since it was packed: {again}")


def stamp(file: Path) -> tuple[int, int]:
    """Bytes of a file, and when it was modified, in nanoseconds; zeros if it is gone."""
    try:
        found = file.stat()
    except OSError:
        return 0, 0
    return found.st_size, found.st_mtime_ns


@cache
def pack_around(folder: str) -> Pack | None:
    """The pack that a folder is, or is in; None if it is an ordinary folder.

    Raises:
        BadPack: packing has not been finished.
    """
    for place in (Path(folder), *Path(folder).parents):
        if (place / SETTINGS).is_file() and (place / INDEX).is_file():
            return Pack(place)
        if (place / JOURNAL).is_file() and (place / PIXELS).is_file():
            raise BadPack(f"the pack {place} is unfinished: run the command that made it again")
    return None
