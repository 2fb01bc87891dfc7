"""Images for a detector: read as pretraining reads them, of as many channels as the config says."""

from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform
from mmdet.registry import TRANSFORMS
from mmengine.config import Config
from numpy.typing import NDArray

from ccrop.datasets import read_image
from ccrop.runner import dicts_of, one_a_channel
from ccrop.views.transforms import to_tensor


@TRANSFORMS.register_module("LoadImageFromFile")
class ReadImage(BaseTransform):
    """Takes the place of mmcv's ``LoadImageFromFile`` in mmdet's scope, so that a file has the pixels of pretraining.

    The name stays, because mmdet's ``DetInferencer`` looks for it in a config.

    Adds ``img``, ``(H, W, channels)`` uint8, three in BGR, as mmdet's configs expect them; ``img_shape`` and
    ``ori_shape``.

    Args:
        channels: see :func:`ccrop.datasets.read_image`.
    """

    def __init__(self, channels: int = 3) -> None:
        self.channels = channels

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Read ``img_path``.

        Raises:
            UnreadableImage: names the file and what is wrong with it.
        """
        image = self.read(results["img_path"])
        return results | dict(img=image, img_shape=image.shape[:2], ori_shape=image.shape[:2])

    def read(self, path: str) -> NDArray[np.uint8]:
        """The pixels of a file."""
        image = to_tensor(read_image(path, self.channels)).numpy()
        return np.ascontiguousarray(image[..., ::-1]) if self.channels == 3 else image


@TRANSFORMS.register_module()
class KeptImage(ReadImage):
    """Reads an image once and keeps its pixels, so that the many tiles of an image cost one decoding.

    Args:
        megabytes: what each process keeps at most; images beyond it are read each time.
        channels: see :class:`ReadImage`.
    """

    def __init__(self, megabytes: int = 2000, channels: int = 3) -> None:
        super().__init__(channels)
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
    """Read images by :class:`ReadImage` or :class:`KeptImage`, also where the config is read again in another process.

    The config's ``channels`` are carried to all that depends on them.
    Where they are not RGB, mean and std of the normalisation become one number for all channels, the mean of the
    config's, and the backbone gets ``in_channels``.
    """
    channels = config.get("channels", 3)
    for settings in dicts_of(config):
        if settings.get("type") == "LoadImageFromFile":
            settings.clear()
            settings.update(type="LoadImageFromFile")
        if settings.get("type") in ("LoadImageFromFile", KeptImage.__name__) and channels != 3:
            settings["channels"] = channels
    config.custom_imports = dict(imports=[*config.get("custom_imports", dict(imports=[]))["imports"], __name__])
    if channels == 3:
        return
    config.model.backbone.in_channels = channels
    preprocessor = config.model.data_preprocessor
    preprocessor.update(bgr_to_rgb=False, rgb_to_bgr=False)
    for name in ("mean", "std"):
        preprocessor[name] = list(one_a_channel(preprocessor[name], 1))
