"""Images for a detector: read as in pretraining, with the config's number of channels."""

from pathlib import Path
from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform
from mmdet.registry import TRANSFORMS
from mmengine.config import Config
from numpy.typing import NDArray
from torch import Tensor

from ccrop.config import dicts_of, one_a_channel
from ccrop.datasets import read_image
from ccrop.datasets.reading import WHITE, UnreadableImage
from ccrop.views.transforms import to_tensor


@TRANSFORMS.register_module("LoadImageFromFile")
class ReadImage(BaseTransform):
    """Takes the place of mmcv's ``LoadImageFromFile`` in mmdet's scope, so that a file has the pixels of pretraining.

    The name stays, because mmdet's ``DetInferencer`` looks for it in a config.

    Adds ``img``, ``(H, W, channels)`` uint8, three in BGR, as mmdet's configs expect them; ``img_shape`` and
    ``ori_shape``.

    Args:
        channels, white: see :func:`ccrop.datasets.read_image`.

    Attributes:
        unreadable: a mark for each image of the data set, by its ``sample_idx``, in memory that workers share. If
            there are marks, an unreadable file gets one, and the data set takes another file instead.
    """

    def __init__(self, channels: int = 3, white: int = WHITE) -> None:
        self.channels = channels
        self.white = white
        self.unreadable: Tensor | None = None

    def transform(self, results: dict[str, Any]) -> dict[str, Any] | None:
        """Read ``img_path``.

        Raises:
            UnreadableImage: names the file and what is wrong with it; if there are marks, only when all are marked.
        """
        try:
            image = self.read(results["img_path"])
        except UnreadableImage as error:
            if self.unreadable is None:
                raise
            self.unreadable[results["sample_idx"]] = True
            if self.unreadable.all():
                raise UnreadableImage(
                    Path(error.path).parent, f"none of {len(self.unreadable)} images is readable, such as {error}"
                ) from error
            return None
        return results | dict(img=image, img_shape=image.shape[:2], ori_shape=image.shape[:2])

    def read(self, path: str) -> NDArray[np.uint8]:
        """The pixels of a file."""
        image = to_tensor(read_image(path, self.channels, self.white)).numpy()
        return np.ascontiguousarray(image[..., ::-1]) if self.channels == 3 else image


@TRANSFORMS.register_module()
class KeptImage(ReadImage):
    """Reads an image once and keeps its pixels, so that the many tiles of an image cost one decoding.

    Args:
        megabytes: the most that each process keeps; further images are read every time.
        channels, white: see :class:`ReadImage`.
    """

    def __init__(self, megabytes: int = 2000, channels: int = 3, white: int = WHITE) -> None:
        super().__init__(channels, white)
        self.room = megabytes * 10**6
        self.kept: dict[str, NDArray[np.uint8]] = {}

    def read(self, path: str) -> NDArray[np.uint8]:
        image = self.kept.get(path)
        if image is None:
            image = super().read(path)
            if image.nbytes <= self.room:
                self.room -= image.nbytes
                image.flags.writeable = False
                self.kept[path] = image
        return image


def settle_images(config: Config) -> None:
    """Read images by :class:`ReadImage` or :class:`KeptImage`, also if the config is read again in another process.

    The config's ``channels`` are propagated to everything that depends on them.
    If they are not RGB, mean and std of the normalization become one number for all channels, the mean of the
    config's, and the backbone gets ``in_channels``.
    """
    channels, white = config.get("channels", 3), config.get("white", WHITE)
    for settings in dicts_of(config):
        if settings.get("type") == "LoadImageFromFile":
            settings.clear()
            settings.update(type="LoadImageFromFile")
        if settings.get("type") in ("LoadImageFromFile", KeptImage.__name__):
            if channels != 3:
                settings["channels"] = channels
            if white != WHITE:
                settings["white"] = white
    config.custom_imports = dict(imports=[*config.get("custom_imports", dict(imports=[]))["imports"], __name__])
    if channels == 3:
        return
    config.model.backbone.in_channels = channels
    preprocessor = config.model.data_preprocessor
    preprocessor.update(bgr_to_rgb=False, rgb_to_bgr=False)
    for name in ("mean", "std"):
        preprocessor[name] = list(one_a_channel(preprocessor[name], 1))
