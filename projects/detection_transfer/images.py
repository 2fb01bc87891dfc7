"""Images for a detector: read as pretraining reads them, of as many channels as the config says."""

from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform
from mmengine.config import Config

from ccrop.datasets import read_image
from ccrop.runner import dicts_of, one_a_channel
from ccrop.views.transforms import to_tensor


class ReadImage(BaseTransform):
    """Stands for mmcv's ``LoadImageFromFile``, so that a file has the pixels that pretraining saw.

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
        image = to_tensor(read_image(results["img_path"], self.channels)).numpy()
        if self.channels == 3:
            image = np.ascontiguousarray(image[..., ::-1])
        return results | dict(img=image, img_shape=image.shape[:2], ori_shape=image.shape[:2])


def settle_images(config: Config) -> None:
    """Read images by :class:`ReadImage`, and carry their ``channels`` to all that depends on them.

    Where they are not RGB, mean and std of the normalisation become one number for all channels, the mean of the
    config's, and the backbone gets ``in_channels``.
    """
    channels = config.get("channels", 3)
    for settings in dicts_of(config):
        if settings.get("type") == "LoadImageFromFile":
            settings.clear()
            settings.update(type=f"{ReadImage.__module__}.{ReadImage.__name__}", channels=channels)
    if channels == 3:
        return
    config.model.backbone.in_channels = channels
    preprocessor = config.model.data_preprocessor
    preprocessor.update(bgr_to_rgb=False, rgb_to_bgr=False)
    for name in ("mean", "std"):
        preprocessor[name] = list(one_a_channel(preprocessor[name], 1))
