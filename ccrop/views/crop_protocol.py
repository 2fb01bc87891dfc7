"""What a crop is: it draws the rectangles of an image's views."""

from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray


class Crop(Protocol):
    """Draws the rectangles of an image's views; see :class:`ccrop.views.RandomCrop`."""

    def __call__(
        self, rng: np.random.Generator, image_size: tuple[int, int], boxes: NDArray[np.floating], num_views: int
    ) -> NDArray[np.int64]: ...


@runtime_checkable
class BatchCrop(Crop, Protocol):
    """Draws those of a whole batch as well; see :meth:`ccrop.views.RandomCrop.of_batch`."""

    def of_batch(
        self,
        rng: np.random.Generator,
        image_sizes: NDArray[np.integer],
        boxes: NDArray[np.floating],
        counts: NDArray[np.integer],
        num_views: int,
    ) -> NDArray[np.int64]: ...
