"""Any module that returns feature maps, as a backbone."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.registry import MODELS
from torch import Tensor, nn

from ccrop.backbones.base import BackboneModule, Level, checked_indices


@MODELS.register_module()
class ModuleBackbone(BackboneModule):
    """A module of which only its feature maps are known: a forward pass on a blank image finds out the rest.

    Args:
        module: the module, or its config. For images ``(N, C, H, W)``, it returns one map ``(N, C_i, h_i, w_i)``,
            or a sequence or mapping of maps, of which the last of each size counts.
        out_indices: which of these maps a forward pass gives, counted from the finest; all by default.
        in_channels: of the images.
        probe_size: side in pixels of the blank image; a stride is the nearest whole number to this side over a map's.

    Raises:
        ValueError: the module returns anything else, or there is no such map.
    """

    def __init__(
        self,
        module: nn.Module | dict[str, Any],
        out_indices: Sequence[int] | None = None,
        in_channels: int = 3,
        probe_size: int = 224,
    ) -> None:
        super().__init__()
        self.network = module if isinstance(module, nn.Module) else MODELS.build(module)
        name = type(self.network).__name__
        self.in_channels = in_channels
        with evaluated(self.network):
            maps = named_maps(self.network(torch.zeros(1, in_channels, probe_size, probe_size)), name)
        last = {round(probe_size / level.shape[2]): key for key, level in maps.items()}
        self._keys = [last[stride] for stride in sorted(last)]
        self.levels = tuple(Level(maps[last[stride]].shape[1], stride) for stride in sorted(last))
        self.out_indices = checked_indices(out_indices, len(self.levels), name)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Maps ``(N, C, h, w)`` of images ``(N, in_channels, H, W)``, finest first."""
        maps = named_maps(self.network(images), type(self.network).__name__)
        return tuple(maps[self._keys[index]] for index in self.out_indices)


def named_maps(output: Any, name: str) -> dict[Any, Tensor]:
    """The maps that a module returned, by position or by name.

    Raises:
        ValueError: these are not maps.
    """
    if isinstance(output, Tensor):
        output = [output]
    found = dict(output) if isinstance(output, Mapping) else dict(enumerate(output))
    if not found or not all(isinstance(each, Tensor) and each.ndim == 4 for each in found.values()):
        shapes = [tuple(each.shape) if isinstance(each, Tensor) else type(each).__name__ for each in found.values()]
        raise ValueError(
            f"{name} is not a backbone: it must give a feature map (N, C, h, w), or several in a sequence or a "
            f"mapping; it gives {shapes or 'nothing'}"
        )
    return found


@contextmanager
def evaluated(module: nn.Module) -> Iterator[None]:
    """A module in evaluation mode and without gradients; afterwards, each of its parts is restored to its mode."""
    modes = {part: part.training for part in module.modules()}
    module.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for part, mode in modes.items():
            part.training = mode
