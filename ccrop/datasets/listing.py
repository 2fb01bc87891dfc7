"""Which files below a folder are images."""

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from ccrop.datasets.base import MissingData, say_once
from ccrop.datasets.packed import BadPack, pack_around
from ccrop.datasets.reading import IMAGE_SUFFIXES, printable


def list_images(
    root: str | Path,
    folder: str | Path = "",
    suffixes: tuple[str, ...] = IMAGE_SUFFIXES,
    beside: tuple[str, ...] = (),
) -> list[str]:
    """Sorted paths, relative to ``root``, of all images below ``root / folder``, nested ones too, hidden ones not.

    Links are followed, but a folder that is reached more than once counts once. Skipped entries are counted in one
    line of the log. For a packed set, all images are listed.

    Args:
        beside: suffixes of other files that belong there, such as labels, and are not counted.

    Raises:
        MissingData: the folder is a pack that is not finished.
    """
    try:
        pack = pack_around(os.path.abspath(os.path.join(root, folder)))
    except BadPack as error:
        raise MissingData(str(error)) from error
    if pack is not None:
        return [os.path.join(folder, name) for name in pack.below(os.path.join(root, folder))]
    prefix = os.path.join(folder, "")
    return [prefix + path for path in list_files(os.path.join(root, folder), suffixes, beside, "images")]


def list_files(top: str, suffixes: tuple[str, ...], beside: tuple[str, ...], unit: str) -> list[str]:
    """Sorted paths, relative to ``top``, of all files below it with one of the suffixes, see :func:`list_images`.

    Args:
        unit: what they are called in the log.
    """
    found: list[str] = []
    passed: Counter[str] = Counter()
    for path in _files(top, passed):
        if path.lower().endswith(suffixes):
            found.append(path)
        elif not path.lower().endswith(beside):
            passed[printable(os.path.splitext(path)[1].lower()) or "no suffix"] += 1
    if passed:
        common = sorted(passed.items(), key=lambda kind: (-kind[1], kind[0]))[:8]
        kinds = ", ".join(f"{kind} ({number})" for kind, number in common)
        say_once(
            f"{printable(top)}: skipped {passed.total()} entries that cannot be read as {unit}, by suffix: {kinds}"
        )
    return sorted(found)


def _files(top: str, passed: Counter[str]) -> Iterator[str]:
    """Paths relative to ``top`` of regular files and links that lead nowhere; real folders before linked ones.

    Adds to ``passed`` what is neither file nor folder, folders that cannot be read, and links to folders seen before.
    """
    folders, seen = [""], set()
    links: list[str] = []
    while folders or links:
        prefix = folders.pop() if folders else links.pop(links.index(min(links)))
        place = os.path.realpath(os.path.join(top, prefix))
        if place in seen:
            passed["folder seen before"] += 1
            continue
        seen.add(place)
        try:
            entries = list(os.scandir(place))
        except OSError:
            passed["unreadable folder"] += 1
            continue
        for entry in entries:
            path = prefix + entry.name
            if entry.name[0] == ".":
                continue
            if entry.is_symlink():
                if os.path.isdir(entry.path):
                    links.append(path + os.sep)
                elif os.path.isfile(entry.path) or not os.path.exists(entry.path):
                    yield path
                else:
                    passed["no regular file"] += 1
            elif entry.is_dir():
                folders.append(path + os.sep)
            elif entry.is_file():
                yield path
            else:
                passed["no regular file"] += 1
