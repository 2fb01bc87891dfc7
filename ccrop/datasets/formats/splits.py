"""Which split a file or folder belongs to, by its name."""

import re
from collections.abc import Callable
from pathlib import Path

from ccrop.datasets.base import InvalidAnnotations

WORDS = dict(train="train", training="train", trainval="train", val="val", valid="val", validation="val", test="test")


def split_of(name: str) -> str:
    """``train``, ``val`` or ``test`` by the last matching word of a name; a set without splits is all ``train``."""
    words = re.split(r"[^a-z]+", name.lower())
    return next((WORDS[word] for word in reversed(words) if word in WORDS), "train")


def split_folders(source: Path, is_one: Callable[[Path], bool]) -> list[Path]:
    """The folder itself if it has what a format requires, or else those up to two levels below it that do.

    Raises:
        InvalidAnnotations: none does.
    """
    for level in ([source], sorted(source.glob("*/")), sorted(source.glob("*/*/"))):
        found = [folder for folder in level if is_one(folder)]
        if found:
            return found
    raise InvalidAnnotations(source, "neither it nor any of its folders holds labels of this format")


def by_split(source: Path, folders: list[Path]) -> dict[str, Path]:
    """Folders by their splits.

    Raises:
        InvalidAnnotations: two belong to the same split.
    """
    splits: dict[str, Path] = {}
    for folder in folders:
        split = split_of(folder.name)
        if split in splits:
            raise InvalidAnnotations(
                source, f"{splits[split].name} and {folder.name} both belong to split {split}: convert each separately"
            )
        splits[split] = folder
    return splits
