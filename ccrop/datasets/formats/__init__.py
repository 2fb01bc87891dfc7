"""Labeled sets in common formats, read as COCO's: one module per format."""

from collections.abc import Callable
from pathlib import Path

from ccrop.datasets.base import InvalidAnnotations, MissingData
from ccrop.datasets.formats.coco_exports import coco_files, read_coco
from ccrop.datasets.formats.dota import has_dota, read_dota
from ccrop.datasets.formats.labeled import LabeledSplit
from ccrop.datasets.formats.splits import split_folders
from ccrop.datasets.formats.visdrone import has_visdrone, read_visdrone
from ccrop.datasets.formats.voc import has_voc, read_voc
from ccrop.datasets.formats.yolo import CLASS_FILES, class_file, read_yolo

READERS: dict[str, Callable[..., dict[str, LabeledSplit]]] = dict(
    coco=read_coco, yolo=read_yolo, voc=read_voc, visdrone=read_visdrone, dota=read_dota
)
FILES = {".json": "coco", ".yaml": "yolo", ".yml": "yolo"}  # files that describe all labels of a set


def read_labeled(
    source: str | Path, kind: str | None = None, file: str | Path | None = None
) -> dict[str, LabeledSplit]:
    """The splits of a labeled set in any of the formats of :data:`READERS`.

    Args:
        source: its folder.
        kind: the format; default: detected.
        file: a COCO-format file, or YOLO's data.yaml, that is not where its tool puts it.

    Raises:
        MissingData: there is no such folder or file.
        InvalidAnnotations: the format is not recognized, or something in the set is unusable; names file and line.
    """
    source = Path(source)
    if not source.is_dir():
        raise MissingData(f"{source} is not a folder; expected a labeled set")
    if file is None:
        return READERS[kind or format_of(source)](source)
    file = Path(file)
    if not file.is_file():
        raise MissingData(f"{file} does not exist")
    known = FILES.get(file.suffix.lower()) or ("yolo" if file.name in CLASS_FILES else None)
    if known is None or kind not in (None, known):
        other = f", not {kind}" if known is not None else ""
        raise InvalidAnnotations(file, f"a label file is COCO's .json, or YOLO's .yaml or classes.txt{other}")
    return READERS[known](source, file)


def format_of(source: Path) -> str:
    """The format of a folder by the files in it.

    Raises:
        InvalidAnnotations: it matches none, or several.
    """
    signs = dict(
        coco=lambda: bool(coco_files(source)),
        yolo=lambda: class_file(source) is not None,
        voc=lambda: _somewhere(source, has_voc),
        visdrone=lambda: _somewhere(source, has_visdrone),
        dota=lambda: _somewhere(source, has_dota),
    )
    found = [name for name, sign in signs.items() if sign()]
    if len(found) != 1:
        what = f"could be {' or '.join(found)}" if found else f"is not one of {', '.join(signs)}"
        raise InvalidAnnotations(source, f"its format {what}: pass it with --format, or the label file with --ann-file")
    return found[0]


def _somewhere(source: Path, has: Callable[[Path], bool]) -> bool:
    try:
        return bool(split_folders(source, has))
    except InvalidAnnotations:
        return False
