"""Any images: a folder, flat or nested, or a text file of paths."""

from pathlib import Path
from typing import Any

from ccrop.datasets.base import ImageDataset, InvalidAnnotations, MissingData
from ccrop.datasets.listing import list_images
from ccrop.datasets.reading import printable


class ImageFolder(ImageDataset):
    """All images under a folder.

    Args:
        data_root: the folder.
        labeled: the first folder on an image's path is its class; otherwise there are no labels.
        classes_of: the folder whose class folders define the numbering, that of the training images; by default
            ``data_root``.
    """

    layout = "    {root}/**/*.jpg    (any common image format, flat or nested)"

    def __init__(
        self, data_root: str | Path, labeled: bool = False, classes_of: str | Path | None = None, **kwargs: Any
    ) -> None:
        self.labeled = labeled
        self.classes_of = data_root if classes_of is None else classes_of
        super().__init__(data_root, **kwargs)

    def load_data_list(self) -> list[dict[str, Any]]:
        if not Path(self.data_root).is_dir():
            raise MissingData(f"{self.data_root} is not a folder; expected a folder of images, flat or nested")
        paths = list_images(self.data_root, suffixes=self.suffixes)
        if not self.labeled:
            return [dict(path=path) for path in paths]
        entries, self.classes = label_by_folder(self.data_root, paths, self.classes_of)
        return entries


class ImageList(ImageDataset):
    """The images listed in a text file, one path per line, relative to the file's folder or absolute.

    Args:
        data_root: the text file.
    """

    layout = "    {root}    (a text file with one image path per line, relative to it or absolute)"

    def load_data_list(self) -> list[dict[str, Any]]:
        file = Path(self.data_root)
        if not file.is_file():
            raise MissingData(f"{file} is not a file; expected a text file with one image path per line")
        text = file.read_text(encoding="utf-8-sig", errors="surrogateescape")  # names may be Latin-1
        lines = [line.strip() for line in text.splitlines()]
        return [dict(path=line) for line in lines if line]

    def path(self, info: dict[str, Any]) -> Path:
        return Path(self.data_root).parent / info["path"]


def label_by_folder(
    root: str | Path, paths: list[str], training: str | Path
) -> tuple[list[dict[str, Any]], tuple[str, ...]]:
    """Entries with the number of the first folder on each path as label, and the class folders in alphabetical order.

    Args:
        root: of the images.
        paths: relative to it.
        training: the folder whose class folders define the numbering, including empty ones; ``root`` if it does not
            exist.

    Raises:
        MissingData: an image is not in a class folder.
        InvalidAnnotations: an image is of a class that the training folder does not have.
    """
    loose = [path for path in paths if len(Path(path).parts) == 1]
    if loose:
        raise MissingData(f"{printable(Path(root, loose[0]))} is not in a class folder; expected {root}/CLASS/IMAGE")
    folders = Path(training if Path(training).is_dir() else root)
    classes = sorted(folder.name for folder in folders.iterdir() if folder.is_dir() and folder.name[0] != ".")
    number = {name: i for i, name in enumerate(classes)}
    unknown = sorted({Path(path).parts[0] for path in paths} - number.keys())
    if unknown:
        raise InvalidAnnotations(
            root,
            f"it has images of the classes {unknown[:5]}, which {folders} lacks: classes are numbered as "
            "in the training images, so add them there or remove them here",
        )
    return [dict(path=path, label=number[Path(path).parts[0]]) for path in paths], tuple(classes)
