"""Pascal VOC's XML, a file per image: in Annotations/ or labels/, or next to the images.

Everingham et al., The Pascal Visual Object Classes Challenge, IJCV 2010. Corners are pixels, counted from 1, both
included; if a corner is at 0, they are read as the coordinates that most tools write.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree
from xml.parsers import expat

from ccrop.datasets.base import InvalidAnnotations
from ccrop.datasets.formats.labeled import (
    LabeledImage,
    LabeledObject,
    LabeledSplit,
    as_split,
    images_by_stem,
    lines_of,
    numbers_of,
    stem_of,
)
from ccrop.datasets.formats.splits import split_folders, split_of
from ccrop.datasets.reading import image_size

CORNERS = ("xmin", "ymin", "xmax", "ymax")
LABELS = ("Annotations", "labels")  # VOC's own folder, FiftyOne's
IMAGES = ("JPEGImages", "data", "images")  # VOC's own folder, FiftyOne's, that of many scripts
LISTS = dict(train="train", val="val", test="test", default="train", trainval="train")  # in ImageSets/Main


class _Xml(NamedTuple):
    """What an XML file has: the size that it gives, None if it gives none, and the objects."""

    file: Path
    size: tuple[int, int] | None
    objects: list[LabeledObject]


def has_voc(folder: Path) -> bool:
    """Whether a folder has XML files, in a folder of :data:`LABELS` or next to images."""
    return _labels_folder(folder) is not None or any(folder.glob("*.xml"))


def _labels_folder(folder: Path) -> Path | None:
    """The folder of the XML files if they have their own."""
    return next((folder / name for name in LABELS if any((folder / name).glob("**/*.xml"))), None)


def read_voc(source: Path) -> dict[str, LabeledSplit]:
    """The splits of ``ImageSets/Main``, or one per folder with XML files next to its images.

    Raises:
        MissingData, InvalidAnnotations: see :func:`ccrop.datasets.formats.read_labeled`.
    """
    parts: dict[str, tuple[Path, Path, dict[str, _Xml]]] = {}
    for folder in split_folders(source, has_voc):
        labels = _labels_folder(folder)
        files = _read_files(labels or folder)
        images = next((folder / name for name in IMAGES if labels and (folder / name).is_dir()), folder)
        listed = _listed(folder, files) if labels else None
        for split, own in (listed or {split_of(folder.name): files}).items():
            if split in parts:
                raise InvalidAnnotations(
                    source, f"{parts[split][0]} and {folder} both belong to split {split}: convert each separately"
                )
            parts[split] = folder, images, own
    every = [each for _, _, files in parts.values() for each in files.values()]
    classes = sorted({each.category for xml in every for each in xml.objects if each.category is not None})
    from_0 = any(min(each.box[:2]) < 1 for xml in every for each in xml.objects)
    return {
        split: _as_split(folder, images, files, classes, from_0) for split, (folder, images, files) in parts.items()
    }


def _read_files(folder: Path) -> dict[str, _Xml]:
    """The XML files under a folder by their paths without the suffix."""
    files = sorted(folder.glob("**/*.xml"))
    return {stem_of(str(file.relative_to(folder))): _read_file(file) for file in files}


def _listed(folder: Path, files: dict[str, _Xml]) -> dict[str, dict[str, _Xml]]:
    """The splits that lists name; trainval only if there is no train, and none that has no annotations here."""
    splits: dict[str, dict[str, _Xml]] = {}
    for name, split in LISTS.items():
        file = folder / "ImageSets" / "Main" / f"{name}.txt"
        if split in splits or not file.is_file():
            continue
        lines = [(number, text.split()[0]) for number, text in lines_of(file)]
        absent = [(number, stem) for number, stem in lines if stem not in files]
        if len(absent) == len(lines):
            continue
        if absent:
            number, stem = absent[0]
            raise InvalidAnnotations(f"{file}, line {number}", f"there is no Annotations/{stem}.xml: add it")
        splits[split] = {stem: files[stem] for _, stem in lines}
    return splits


def _read_file(file: Path) -> _Xml:
    root = _parsed(file)
    if root.tag.lower() != "annotation":
        raise InvalidAnnotations(
            file, f"its root is <{root.tag}>, but Pascal VOC's is <annotation>: export the labels as COCO instead"
        )
    size = root.find("size")
    sides = ["0", "0"] if size is None else [size.findtext(side) or "0" for side in ("width", "height")]
    width, height = map(int, numbers_of(sides, file, 1 if size is None else int(size.attrib["line"])))
    return _Xml(file, (width, height) if width and height else None, [_object(e, file) for e in root.findall("object")])


def _parsed(file: Path) -> ElementTree.Element:
    """The root of an XML file, each element with its ``line`` as an attribute."""
    builder, parser = ElementTree.TreeBuilder(), expat.ParserCreate()
    parser.StartElementHandler = lambda tag, _: builder.start(tag, dict(line=str(parser.CurrentLineNumber)))
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    try:
        parser.Parse(file.read_bytes(), True)
        return builder.close()
    except OSError as error:
        raise InvalidAnnotations(file, f"it cannot be read ({error.strerror})") from error
    except expat.ExpatError as error:
        raise InvalidAnnotations(
            f"{file}, line {error.lineno}", f"it is not valid XML ({expat.ErrorString(error.code)})"
        ) from error


def _object(element: ElementTree.Element, file: Path) -> LabeledObject:
    """An object whose box is still its corners."""
    line, name, box = int(element.attrib["line"]), (element.findtext("name") or "").strip(), element.find("bndbox")
    texts = ["" if box is None else box.findtext(corner) or "" for corner in CORNERS]
    missing = [corner for corner, text in zip(CORNERS, texts, strict=True) if not text]
    if not name or missing:
        raise InvalidAnnotations(
            f"{file}, line {line}", f"the object has no {' and no '.join([*missing, *([] if name else ['name'])])}"
        )
    x0, y0, x1, y1 = numbers_of([text.strip() for text in texts], file, line)
    return LabeledObject((x0, y0, x1, y1), name, line, ignored=(element.findtext("difficult") or "").strip() == "1")


def _as_split(folder: Path, images: Path, files: dict[str, _Xml], classes: Sequence[str], from_0: bool) -> LabeledSplit:
    """A split whose boxes are x, y, width, height."""
    first = 0 if from_0 else 1
    names = images_by_stem(images)
    labeled = []
    for stem, xml in files.items():
        if stem in names:
            objects = [each._replace(box=_box(*each.box, first)) for each in xml.objects]
            size = xml.size or image_size(images / names[stem])
            labeled.append(LabeledImage(names[stem], size, xml.file, objects))
    if not labeled:
        raise InvalidAnnotations(
            folder, f"none of its {len(files)} XML files has an image of the same name in {images}"
        )
    notes = ["corners at 0 (read as coordinates, not as pixels counted from 1)"] if from_0 else []
    if len(labeled) < len(files):
        notes.append(f"{len(files) - len(labeled)} XML files without an image (left out)")
    return as_split(folder, images, labeled, classes, notes)


def _box(x0: float, y0: float, x1: float, y1: float, first: int) -> tuple[float, float, float, float]:
    """x, y, width, height from corners: pixels counted from 1, both ends included, or coordinates if ``first`` is 0."""
    return x0 - first, y0 - first, x1 - x0 + first, y1 - y0 + first
