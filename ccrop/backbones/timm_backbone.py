"""Networks of timm as backbones: CNNs, hierarchical transformers, and plain ViTs, whose tokens become one map."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import timm
from mmengine.registry import MODELS
from torch import Tensor, nn

from ccrop.backbones.base import FINEST_STRIDE, BackboneModule, Level, checked_indices, unknown_name

# arguments that make transformers take images of any size
ANY_SIZE = dict(dynamic_img_size=True, strict_img_size=False)
# families whose last map timm returns before the network's norm
WITHOUT_NORM = ("hiera", "sam2_hiera")


class _TimmNetwork(nn.Module):
    """The parts of a timm network that are used; timm declares it as a plain module."""

    pretrained_cfg: Mapping[str, Any]
    feature_info: Sequence[Mapping[str, Any]]
    forward_intermediates: Callable[..., list[Tensor]]


@MODELS.register_module()
class TimmBackbone(BackboneModule):
    """The last map of each stride from 4 on of a network of timm's, with untrained weights.

    A CNN or a hierarchical transformer usually has strides 4, 8, 16 and 32. A plain ViT has one: its tokens,
    after the last block and its norm, at the stride of its patches.

    Args:
        name: as ``timm.create_model`` knows it.
        out_indices: which of these maps a forward pass gives, finest first; all by default.
        in_channels: of the images.
        kwargs: of the network, such as ``drop_path_rate``; ``img_size`` for one that takes a single size.

    Raises:
        ValueError: there is no such network or level, or this version of timm gives no maps of it.
    """

    def __init__(
        self, name: str, out_indices: Sequence[int] | None = None, in_channels: int = 3, **kwargs: Any
    ) -> None:
        super().__init__()
        if not timm.is_model(name):
            raise ValueError(unknown_name("timm", name, timm.list_models()))
        self.name = name
        self.network, any_size = _created(name, in_chans=in_channels, num_classes=0, **kwargs)
        if not hasattr(self.network, "forward_intermediates"):
            raise ValueError(f"timm {timm.__version__} gives no feature maps for {name}: a newer version may")
        expected = self.network.pretrained_cfg
        if expected.get("fixed_input_size") and not any_size:
            size = kwargs.get("img_size", expected["input_size"][1:])
            self.image_size = (size, size) if isinstance(size, int) else tuple(size)
        if in_channels == len(expected["mean"]):
            self.mean, self.std = tuple(expected["mean"]), tuple(expected["std"])
        self.in_channels = in_channels
        last = {info["reduction"]: place for place, info in enumerate(self.network.feature_info)}
        self._places = [last[stride] for stride in sorted(last) if stride >= FINEST_STRIDE]
        infos = [self.network.feature_info[place] for place in self._places]
        self.levels = tuple(Level(info["num_chs"], info["reduction"]) for info in infos)
        self.out_indices = checked_indices(out_indices, len(self.levels), f"timm:{name}")

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Maps ``(N, C, h, w)`` of images ``(N, in_channels, H, W)``, finest first.

        Raises:
            ValueError: the network does not take images of this size.
        """
        places = [self._places[index] for index in self.out_indices]
        height, width = images.shape[2:]
        if self.image_size not in (None, (height, width)):
            only = "x".join(map(str, self.image_size))
            raise ValueError(
                f"timm:{self.name} takes images of {only} px only, got {height}x{width}: set model.backbone.img_size, "
                "or choose a network that takes any size"
            )
        try:
            maps = self.network.forward_intermediates(
                images,
                indices=places,
                norm=not self.name.startswith(WITHOUT_NORM),
                stop_early=True,
                intermediates_only=True,
            )
        except AssertionError as error:
            raise ValueError(f"timm:{self.name} does not take images of {height}x{width} px: {error}") from error
        return tuple(maps)


def _created(name: str, **settings: Any) -> tuple[_TimmNetwork, bool]:
    """The network, and whether it takes images of any size, which depends on its family."""
    create = cast(Callable[..., _TimmNetwork], timm.create_model)
    for option, value in ANY_SIZE.items():
        try:
            return create(name, **{option: value}, **settings), True
        except TypeError as error:
            if option not in str(error):
                raise
    return create(name, **settings), False
