"""A labeled set written in the layout that all commands read: COCO's, with links to the images."""

import os
import shutil
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from ccrop.datasets.formats.labeled import LabeledSplit
from ccrop.files import new_folder, write_json
from ccrop.wording import counted


def write_set(out: Path, splits: Mapping[str, LabeledSplit], copy: bool) -> None:
    """Write a set, see :func:`write_coco`, into a new folder, atomically, and print its content.

    Raises:
        FileExistsError: the path exists.
    """
    with new_folder(out) as folder:
        write_coco(folder, splits, copy)
    for note in filter(None, dict.fromkeys(each.annotations.note(each.source) for each in splits.values())):
        print(note)
    print("\n".join(summary(split, each) for split, each in splits.items()))


def write_coco(root: Path, splits: Mapping[str, LabeledSplit], copy: bool = False) -> None:
    """Write ``SPLIT/`` with the images and ``annotations/instances_SPLIT.json`` for each split.

    Args:
        root: an empty folder.
        copy: the images instead of linking them.
    """
    for split, (_, folder, annotations) in splits.items():
        for image in annotations.content["images"]:
            place = root / split / image["file_name"]
            place.parent.mkdir(parents=True, exist_ok=True)
            original = (folder / image["file_name"]).resolve()
            shutil.copyfile(original, place) if copy else os.symlink(original, place)
        write_json(root / "annotations" / f"instances_{split}.json", annotations.content)


def summary(split: str, labeled: LabeledSplit) -> str:
    """A line with the counts of images, objects by category, the most frequent first, and crowds."""
    content = labeled.annotations.content
    names = {each["id"]: each["name"] for each in content["categories"]}
    counts = Counter(names[each["category_id"]] for each in content["annotations"] if not each["iscrowd"])
    crowds = sum(each["iscrowd"] for each in content["annotations"])
    objects = ", ".join(f"{name} {number}" for name, number in counts.most_common())
    ignored = f", {crowds} crowds" if crowds else ""
    images, number = counted(len(content["images"]), "image"), counted(counts.total(), "object")
    return f"{split}: {images}, {number} ({objects or 'none'}){ignored}"
