"""Any images: a folder, flat or nested, or a text file of paths."""

from pathlib import Path
from typing import Any

from ccrop.datasets.base import ImageDataset, MissingData
from ccrop.datasets.listing import list_images


class ImageFolder(ImageDataset):
    """All images below a folder.

    Args:
        data_root: the folder.
        labelled: the first folder on an image's path is its class; otherwise there are no labels.
    """

    layout = "    {root}/**/*.jpg    (any common image format, flat or nested)"

    def __init__(self, data_root: str | Path, labelled: bool = False, **kwargs: Any) -> None:
        self.labelled = labelled
        super().__init__(data_root, **kwargs)

    def load_data_list(self) -> list[dict[str, Any]]:
        if not Path(self.data_root).is_dir():
            raise MissingData(f"{self.data_root} is no folder; expected a folder of images, flat or nested")
        paths = list_images(self.data_root, suffixes=self.suffixes)
        if not self.labelled:
            return [dict(path=path) for path in paths]
        entries, self.classes = label_by_folder(self.data_root, paths)
        return entries


class ImageList(ImageDataset):
    """The images that a text file names, one path a line, relative to the file's folder or absolute.

    Args:
        data_root: the text file.
    """

    layout = "    {root}    (a text file with one image path a line, relative to it or absolute)"

    def load_data_list(self) -> list[dict[str, Any]]:
        file = Path(self.data_root)
        if not file.is_file():
            raise MissingData(f"{file} is no file; expected a text file with one image path a line")
        lines = [line.strip() for line in file.read_text().splitlines()]
        return [dict(path=line) for line in lines if line]

    def path(self, info: dict[str, Any]) -> Path:
        return Path(self.data_root).parent / info["path"]


def label_by_folder(root: str | Path, paths: list[str]) -> tuple[list[dict[str, Any]], tuple[str, ...]]:
    """Entries with the number of the first folder on each path as label, and these folders in alphabetical order.

    Raises:
        MissingData: an image lies beside the class folders.
    """
    loose = [path for path in paths if len(Path(path).parts) == 1]
    if loose:
        raise MissingData(f"{Path(root, loose[0])} lies in no class folder; expected {root}/CLASS/IMAGE")
    classes = sorted({Path(path).parts[0] for path in paths})
    number = {name: i for i, name in enumerate(classes)}
    return [dict(path=path, label=number[Path(path).parts[0]]) for path in paths], tuple(classes)
