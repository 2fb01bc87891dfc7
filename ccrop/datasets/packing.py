"""Making a pack out of a folder of images, see :mod:`ccrop.datasets.packed`."""

import json
import os
import zlib
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.logging import MMLogger
from PIL import Image
from torch.utils.data import DataLoader

from ccrop.datasets.base import MissingData
from ccrop.datasets.coco import find_split
from ccrop.datasets.listing import list_images
from ccrop.datasets.packed import INDEX, JOURNAL, PIXELS, SETTINGS, BadPack, Pack, stamp
from ccrop.datasets.reading import WHITE, UnreadableImage, printable, read_image
from ccrop.files import full_disk_explained, write_json, written
from ccrop.long_work import with_progress
from ccrop.work_dir import LOCK, locked

VERSION = 1
FIELDS = (
    *(("offset", "<i8"), ("height", "<i4"), ("width", "<i4")),
    *(("checksum", "<u4"), ("bytes", "<i8"), ("modified", "<i8")),
)
IN_PIXELS = ("segmentation", "keypoints", "num_keypoints")  # of annotations; left out where an image is scaled
Entry = dict[str, Any]  # name, height, width, scale, checksum, bytes, modified; the reason where it is unreadable


def pack_images(
    source: str | Path,
    target: str | Path,
    side: int | None = None,
    channels: int = 3,
    white: int = WHITE,
    workers: int = 0,
) -> Pack:
    """Pack all images below a folder, and annotations in COCO's format, scaled with them.

    Every image is written, and then recorded in a journal. If interrupted, the same call continues after the
    last recorded image. A finished pack is compared with its source and kept.

    Args:
        side: an image whose shorter side is longer is scaled to it; None keeps every size.
        channels, white: see :func:`ccrop.datasets.read_image`.
        workers: processes that decode; 0 for this one.

    Raises:
        MissingData: there is no image, or none that can be read.
        BadPack: the target is a pack of other images, settings or versions of the files.
        FileExistsError: the target holds something other than a pack.
        WorkDirInUse: another process works on the pack.
    """
    source, target = Path(source).resolve(), Path(target)
    if side is not None and side < 1:
        raise ValueError(f"side must be a positive number of pixels, got {side}")
    names = list_images(source, beside=(".json",)) if source.is_dir() else []
    if not names:
        raise MissingData(f"{source} holds no image to pack")
    settings = dict(version=VERSION, source=str(source), side=side, channels=channels, white=white)
    with locked(target):
        if (target / SETTINGS).is_file():
            pack = Pack(target)
            _require_same(target, settings, pack.settings)
            _require_sources(target, source, names, pack.stamps())
            return pack
        _refuse_other_content(target)
        done = _resumed(target, settings, names)
        decode = partial(_packed, source=source, side=side, channels=channels, white=white)
        with (
            full_disk_explained(target),
            (target / PIXELS).open("ab") as pixels,
            (target / JOURNAL).open("a") as journal,
        ):
            left = names[len(done) :]
            images: Iterable[tuple[Entry, bytes]] = (
                DataLoader(left, batch_size=None, num_workers=workers, collate_fn=decode)  # type: ignore[arg-type]
                if left
                else []
            )
            for entry, content in with_progress(images, "packed", len(names), initial=len(done)):
                pixels.write(content)
                pixels.flush()
                journal.write(json.dumps(entry) + "\n")
                journal.flush()
                done.append(entry)
        if all("reason" in entry for entry in done):
            for name in (JOURNAL, PIXELS):
                (target / name).unlink()
            raise MissingData(
                f"{source}: none of {len(done)} images can be read; the first is {printable(done[0]['name'])}: "
                f"{done[0]['reason']}"
            )
        _finish(source, target, settings, done)
        return Pack(target)


def _refuse_other_content(target: Path) -> None:
    """A folder with anything but a half-written pack, such as the source itself, could lose its annotations."""
    if not (target / JOURNAL).is_file() and any(each.name not in (LOCK, PIXELS) for each in target.iterdir()):
        raise FileExistsError(f"{target} holds files that are not a pack's: choose a new or an empty folder")


def _packed(name: str, source: Path, side: int | None, channels: int, white: int) -> tuple[Entry, bytes]:
    """An image, scaled, and its journal entry."""
    size, modified = stamp(source / name)
    entry: Entry = dict(name=name, height=0, width=0, scale=1, checksum=0, bytes=size, modified=modified)
    try:
        image = read_image(source / name, channels, white)
    except UnreadableImage as error:
        return entry | dict(reason=error.reason), b""
    if side is not None and min(image.size) > side:
        scale = entry["scale"] = side / min(image.size)
        width, height = (round(scale * each) for each in image.size)
        image = image.resize((width, height), Image.Resampling.BILINEAR)
    content = np.asarray(image).tobytes()
    return entry | dict(height=image.height, width=image.width, checksum=zlib.crc32(content)), content


def _resumed(target: Path, settings: dict[str, Any], names: list[str]) -> list[Entry]:
    """The entries of a journal, created if there is none; both files end with the last complete image."""
    journal, pixels = target / JOURNAL, target / PIXELS
    # anything after the last line break is incomplete, and after a power failure so may be the last lines
    first, *lines = journal.read_text(errors="replace").split("\n")[:-1] or [""] if journal.is_file() else [""]
    if _entry(first) is None:
        pixels.write_bytes(b"")
        with written(journal) as partial_journal:
            partial_journal.write_text(json.dumps(settings) + "\n")
        return []
    _require_same(target, settings, json.loads(first))
    done, end, written_bytes = [], 0, pixels.stat().st_size
    for line in lines:
        entry = _entry(line)
        if entry is None:
            break
        length = entry["height"] * entry["width"] * settings["channels"]
        if end + length > written_bytes:
            break
        done.append(entry)
        end += length
    stamps = {entry["name"]: (entry["bytes"], entry["modified"]) for entry in done}
    _require_sources(target, Path(settings["source"]), names[: len(done)], stamps)
    os.truncate(pixels, end)
    with written(journal) as partial_journal:
        partial_journal.write_text("\n".join([first, *lines[: len(done)], ""]))
    return done


def _entry(line: str) -> Entry | None:
    """A line of a journal, None if it is torn."""
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) else None


def _require_same(target: Path, asked: dict[str, Any], found: dict[str, Any]) -> None:
    for name, value in asked.items():
        if found.get(name) != value:
            raise BadPack(
                f"{target} is a pack with {name} {found.get(name)}, not the requested {value}: choose another folder, "
                "or remove this one"
            )


def _require_sources(target: Path, source: Path, names: Sequence[str], stamps: dict[str, tuple[int, int]]) -> None:
    """The packed images are those of the source, and none has changed since."""
    apart = sorted(stamps.keys() ^ set(names))
    if apart:
        raise BadPack(
            f"{source} has other images than {target} was packed from, the first is {printable(apart[0])}: remove the "
            "pack and make it again"
        )
    for name in names:
        if stamp(source / name) != stamps[name]:
            raise BadPack(f"{printable(source / name)} has changed since it was packed: remove {target} and pack again")


def _finish(source: Path, target: Path, settings: dict[str, Any], done: list[Entry]) -> None:
    """Write the index, the folders and the annotations, and the settings last."""
    names = [os.fsencode(entry["name"]) for entry in done]
    index = np.zeros(len(done), dtype=[("name", f"S{max(map(len, names))}"), *FIELDS])
    index["name"] = names
    for field, _ in FIELDS[1:]:
        index[field] = [entry[field] for entry in done]
    lengths = index["height"].astype(np.int64) * index["width"] * settings["channels"]
    index["offset"] = lengths.cumsum() - lengths
    with written(target / INDEX) as partial_index, partial_index.open("wb") as handle:
        np.save(handle, index[index["name"].argsort()])
    for folder in {Path(entry["name"]).parent for entry in done}:
        (target / folder).mkdir(parents=True, exist_ok=True)
    scales = {entry["name"]: entry["scale"] for entry in done}
    for file in sorted((source / "annotations").glob("instances_*.json")):
        try:
            content = json.loads(file.read_text(encoding="utf-8-sig"))
            scaled = scaled_annotations(content, scales, find_split(source, file.stem.removeprefix("instances_")))
        except (ValueError, LookupError, TypeError, AttributeError, MissingData) as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            MMLogger.get_current_instance().warning(
                f"{file}: not packed, because it is not in COCO's format ({reason}): export it again, remove {target} "
                "and pack again, if you need these annotations"
            )
            continue
        write_json(target / "annotations" / file.name, scaled)
    unreadable = {entry["name"]: entry["reason"] for entry in done if "reason" in entry}
    write_json(target / SETTINGS, settings | dict(unreadable=unreadable), indent=1)
    (target / JOURNAL).unlink()


def scaled_annotations(content: dict[str, Any], scales: dict[str, float], folder: Path) -> dict[str, Any]:
    """Annotations in COCO's format with the sizes, boxes and areas of scaled images, these without masks and keypoints.

    Args:
        scales: by the path of the image.
        folder: of the images, relative to the root of those paths.
    """
    by_id, images, annotations = {}, [], []
    for image in content["images"]:
        scale = by_id[image["id"]] = scales.get(str(folder / image["file_name"]), 1)
        sides = {side: round(scale * image[side]) for side in ("width", "height") if side in image}
        images.append(image | sides)
    for each in content["annotations"]:
        scale = by_id.get(each["image_id"], 1)
        if scale != 1:
            each = {key: value for key, value in each.items() if key not in IN_PIXELS}
            each["bbox"] = [scale * value for value in each["bbox"]]
            if "area" in each:
                each["area"] *= scale**2
        annotations.append(each)
    return content | dict(images=images, annotations=annotations)
