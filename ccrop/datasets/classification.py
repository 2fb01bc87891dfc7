"""CIFAR-10/100, STL-10, Tiny-ImageNet and ImageNet as published; nothing is downloaded."""

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torchvision
from numpy.typing import NDArray
from PIL import Image

from ccrop.datasets.base import ImageDataset, InvalidAnnotations, MissingData
from ccrop.datasets.channel_stack import AnyImage
from ccrop.datasets.folder import label_by_folder
from ccrop.datasets.listing import list_images
from ccrop.datasets.reading import to_channels


class CIFAR10(ImageDataset):
    """32-pixel images of 10 classes (Krizhevsky, 2009).

    Args:
        data_root: holds the published ``cifar-10-batches-py``, or class folders ``train/CLASS/*`` and
            ``test/CLASS/*``.
        split: ``'train'`` (50,000) or ``'test'`` (10,000).
    """

    layout = "    {root}/cifar-10-batches-py/    (or {root}/train/CLASS/* and {root}/test/CLASS/*)"
    archive: ClassVar = "cifar-10-python.tar.gz"
    reader: ClassVar = torchvision.datasets.CIFAR10

    def __init__(self, data_root: str | Path, split: str = "train", **kwargs: Any) -> None:
        _require_split(split, ("train", "test"))
        self.split = split
        self.pixels: NDArray[np.uint8] | None = None
        super().__init__(data_root, **kwargs)

    def load_data_list(self) -> list[dict[str, Any]]:
        root = Path(self.data_root)
        if (root / self.split).is_dir():
            entries, self.classes = label_by_folder(root / self.split, list_images(root / self.split), root / "train")
            return [entry | dict(path=f"{self.split}/{entry['path']}") for entry in entries]
        if not (root / self.reader.base_folder).is_dir():
            raise MissingData(
                f"{root} has neither {self.reader.base_folder}/ nor {self.split}/CLASS/: put the published "
                f"{self.archive} there and unpack it (tar xf {self.archive}), or class folders of images"
            )
        try:
            published = self.reader(root, train=self.split == "train")
        except RuntimeError as error:
            raise MissingData(
                f"{root / self.reader.base_folder} is incomplete or damaged: unpack {self.archive} again"
            ) from error
        self.pixels, self.classes = published.data, tuple(published.classes)
        return [dict(row=row, label=int(label)) for row, label in enumerate(published.targets)]

    def read(self, info: dict[str, Any]) -> AnyImage:
        if self.pixels is None:
            return super().read(info)
        return to_channels(Image.fromarray(self.pixels[info["row"]]), self.channels)


class CIFAR100(CIFAR10):
    """Like :class:`CIFAR10`, with 100 classes, from ``cifar-100-python``."""

    layout = "    {root}/cifar-100-python/    (or {root}/train/CLASS/* and {root}/test/CLASS/*)"
    archive = "cifar-100-python.tar.gz"
    reader = torchvision.datasets.CIFAR100


class STL10(ImageDataset):
    """96-pixel images of 10 classes (Coates et al., AISTATS 2011), read in place from ``stl10_binary``.

    Args:
        data_root: holds the published ``stl10_binary``.
        split: ``'train'`` (5,000), ``'test'`` (8,000) or ``'unlabeled'`` (100,000, without labels).
    """

    layout = "    {root}/stl10_binary/*.bin"
    classes = ("airplane", "bird", "car", "cat", "deer", "dog", "horse", "monkey", "ship", "truck")

    def __init__(self, data_root: str | Path, split: str = "unlabeled", **kwargs: Any) -> None:
        _require_split(split, ("train", "test", "unlabeled"))
        self.split = split
        super().__init__(data_root, **kwargs)

    def load_data_list(self) -> list[dict[str, Any]]:
        folder = Path(self.data_root, "stl10_binary")
        images, classes = folder / f"{self.split}_X.bin", folder / f"{self.split}_y.bin"
        for file in [images] if self.split == "unlabeled" else [images, classes]:
            if not file.is_file():
                raise MissingData(
                    f"{file} is missing: put the published stl10_binary.tar.gz into {self.data_root} and unpack it "
                    "(tar xf stl10_binary.tar.gz)"
                )
        self.pixels = np.memmap(images, dtype=np.uint8, mode="r").reshape(-1, 3, 96, 96)
        if self.split == "unlabeled":
            return [dict(row=row) for row in range(len(self.pixels))]
        labels = np.fromfile(classes, dtype=np.uint8)
        return [dict(row=row, label=int(label) - 1) for row, label in enumerate(labels)]

    def read(self, info: dict[str, Any]) -> AnyImage:
        pixels = np.ascontiguousarray(self.pixels[info["row"]].transpose(2, 1, 0))
        return to_channels(Image.fromarray(pixels), self.channels)


class TinyImageNet(ImageDataset):
    """64-pixel images of 200 ImageNet classes (Stanford CS231n).

    Args:
        data_root: holds the published ``tiny-imagenet-200``.
        split: ``'train'`` (100,000) or ``'val'`` (10,000).
    """

    layout = "    {root}/tiny-imagenet-200/{{train,val}}/"

    def __init__(self, data_root: str | Path, split: str = "train", **kwargs: Any) -> None:
        _require_split(split, ("train", "val"))
        self.split = split
        super().__init__(data_root, **kwargs)

    def load_data_list(self) -> list[dict[str, Any]]:
        root = Path(self.data_root, "tiny-imagenet-200")
        annotations = root / "val" / "val_annotations.txt"
        for needed in [root / "train"] if self.split == "train" else [root / "train", annotations]:
            if not needed.exists():
                raise MissingData(
                    f"{needed} is missing: put the published tiny-imagenet-200.zip into {self.data_root} and unpack it "
                    "(unzip tiny-imagenet-200.zip)"
                )
        classes = sorted(folder.name for folder in (root / "train").iterdir() if folder.is_dir())
        self.classes, number = tuple(classes), {name: i for i, name in enumerate(classes)}
        prefix = f"{root.name}/{self.split}"
        if self.split == "train":
            paths = list_images(root / "train")
            return [dict(path=f"{prefix}/{path}", label=number[Path(path).parts[0]]) for path in paths]
        rows = [line.split("\t")[:2] for line in annotations.read_text().splitlines()]
        unknown = sorted({wnid for _, wnid in rows} - number.keys())
        if unknown:
            reason = f"it has the classes {unknown[:5]}, which {root / 'train'} lacks: unpack the archive again"
            raise InvalidAnnotations(annotations, reason)
        return [dict(path=f"{prefix}/images/{name}", label=number[wnid]) for name, wnid in sorted(rows)]


class ImageNet(ImageDataset):
    """ImageNet-1K (Russakovsky et al., IJCV 2015) in class folders, or any subset of its classes.

    Args:
        data_root: holds ``train/CLASS/*`` and ``val/CLASS/*``, as torchvision and timm expect.
        split: ``'train'`` or ``'val'``.
    """

    layout = "    {root}/train/CLASS/*.JPEG\n    {root}/val/CLASS/*.JPEG"

    def __init__(self, data_root: str | Path, split: str = "train", **kwargs: Any) -> None:
        _require_split(split, ("train", "val"))
        self.split = split
        super().__init__(data_root, **kwargs)

    def load_data_list(self) -> list[dict[str, Any]]:
        folder = Path(self.data_root, self.split)
        if not folder.is_dir():
            raise MissingData(f"{folder} is missing; expected layout:\n{self.layout.format(root=self.data_root)}")
        entries, self.classes = label_by_folder(folder, list_images(folder), folder.with_name("train"))
        return [entry | dict(path=f"{self.split}/{entry['path']}") for entry in entries]


def _require_split(split: str, splits: tuple[str, ...]) -> None:
    if split not in splits:
        raise ValueError(f"split must be one of {', '.join(splits)}; got {split!r}")
