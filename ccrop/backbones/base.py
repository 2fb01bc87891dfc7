"""What every part of the package may expect of a backbone."""

import difflib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import NamedTuple, Protocol, runtime_checkable

from torch import Tensor, nn

IMAGENET_MEAN = (0.485, 0.456, 0.406)  # RGB in [0, 1]
IMAGENET_STD = (0.229, 0.224, 0.225)
FINEST_STRIDE = 4  # maps of stride 2 are stems: no method or detector here uses them


class Level(NamedTuple):
    """A feature map ``(N, channels, h, w)`` that a network offers, whose cells are ``stride`` pixels wide."""

    channels: int
    stride: int


@runtime_checkable
class Backbone(Protocol):
    """A network without its classifier: images to feature maps.

    Level indices refer to ``levels``, map indices to the output of a forward pass: with ``out_indices`` (1, 3), map 0
    is level 1.

    Attributes:
        in_channels: of the images, 3 for RGB.
        levels: what the network offers, finest first.
        out_indices: which of ``levels`` a forward pass returns, in ascending order; may be set at any time.
        channels, strides: of these maps, one for each of ``out_indices``.
        mean, std: of the images' channels in [0, 1], as the architecture's published weights expect them; None
            if unspecified.
        image_size: (height, width) in pixels of the only images that it takes; None if it takes any.
    """

    in_channels: int
    levels: tuple[Level, ...]
    out_indices: tuple[int, ...]
    mean: tuple[float, ...] | None
    std: tuple[float, ...] | None
    image_size: tuple[int, int] | None

    @property
    def channels(self) -> tuple[int, ...]: ...

    @property
    def strides(self) -> tuple[int, ...]: ...

    def __call__(self, images: Tensor) -> tuple[Tensor, ...]:
        """Maps ``(N, C_i, h_i, w_i)`` of images ``(N, in_channels, H, W)``, finest first."""
        ...

    def first_levels(self, number: int) -> AbstractContextManager[None]:
        """A context in which a forward pass returns only the first ``number`` maps and stops early if it can."""
        ...


class BackboneModule(nn.Module):
    """Base of backbones: a torch module that meets :class:`Backbone`.

    Subclasses set ``in_channels``, ``levels`` and ``out_indices``, from which the rest follows, and compute the maps.
    """

    in_channels: int
    levels: tuple[Level, ...]
    out_indices: tuple[int, ...]
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    image_size: tuple[int, int] | None = None

    @property
    def channels(self) -> tuple[int, ...]:
        return tuple(self.levels[index].channels for index in self.out_indices)

    @property
    def strides(self) -> tuple[int, ...]:
        return tuple(self.levels[index].stride for index in self.out_indices)

    @contextmanager
    def first_levels(self, number: int) -> Iterator[None]:
        """Return only this many maps while the context lasts."""
        chosen = self.out_indices
        self.out_indices = chosen[:number]
        try:
            yield
        finally:
            self.out_indices = chosen


def checked_indices(out_indices: Sequence[int] | None, number: int, name: str) -> tuple[int, ...]:
    """``out_indices`` of a backbone that offers ``number`` levels; all of them if it is None.

    Raises:
        ValueError: they are not ascending, or there is no such level; names the backbone.
    """
    if out_indices is None:
        return tuple(range(number))
    indices = tuple(out_indices)
    if not indices or list(indices) != sorted({*indices}) or not 0 <= indices[0] <= indices[-1] < number:
        raise ValueError(
            f"out_indices of {name} must be ascending level indices, 0 to {number - 1}; got {list(indices)}"
        )
    return indices


def unknown_name(library: str, name: str, known: Iterable[str]) -> str:
    """An error: the library has no network of this name, but some with similar names."""
    near = difflib.get_close_matches(name, list(known), n=3)
    advice = f"similar names are {', '.join(near)}" if near else "no name is similar"
    return f"{library} has no network {name!r}: {advice}"
