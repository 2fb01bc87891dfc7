"""Which network a state dict looks like, for errors: a guess from names and shapes."""

import re
from collections.abc import Iterable, Mapping

from ccrop.checkpoint.resnet import BLOCKS

Shapes = Mapping[str, tuple[int, ...]]


def looks_like(shapes: Shapes) -> str | None:
    """The network that names and shapes suggest, e.g. ``a ResNet-50``; None for an unknown kind."""
    for kind in (_resnet, _efficientnet, _vision_transformer, _convnext, _swin):
        if (found := kind(shapes)) is not None:
            return found
    return None


def _resnet(shapes: Shapes) -> str | None:
    if "layer1.0.conv1.weight" not in shapes:
        return None
    blocks = tuple(_length(shapes, rf"layer{stage}\.(\d+)\.") for stage in range(1, 5))
    bottleneck = "layer1.0.conv3.weight" in shapes
    depth = next((d for d, known in BLOCKS.items() if known == blocks and (d >= 50) == bottleneck), None)
    name = f"a ResNet-{depth}" if depth else f"a ResNet of {blocks} {'bottleneck' if bottleneck else 'basic'} blocks"
    stem = shapes.get("conv1.weight")
    return name if stem in (None, (64, 3, 7, 7)) else f"{name} with a stem of {stem}"


def _efficientnet(shapes: Shapes) -> str | None:
    if "conv_stem.weight" not in shapes:
        return None
    blocks = [_length(shapes, rf"blocks\.{stage}\.(\d+)\.") for stage in range(_length(shapes, r"blocks\.(\d+)\."))]
    return f"an EfficientNet or MobileNet of timm with {tuple(blocks)} blocks"


def _vision_transformer(shapes: Shapes) -> str | None:
    patches = shapes.get("patch_embed.proj.weight")
    if patches is None or "blocks.0.attn.qkv.weight" not in shapes:
        return None
    depth = _length(shapes, r"blocks\.(\d+)\.")
    return f"a vision transformer of {depth} blocks, width {patches[0]}, patches of {patches[2]} px"


def _convnext(shapes: Shapes) -> str | None:
    if "stages.0.blocks.0.conv_dw.weight" not in shapes:
        return None
    blocks = [_length(shapes, rf"stages\.{stage}\.blocks\.(\d+)\.") for stage in range(4)]
    return f"a ConvNeXt of timm with {tuple(blocks)} blocks, width {shapes['stages.0.blocks.0.conv_dw.weight'][0]}"


def _swin(shapes: Shapes) -> str | None:
    if "layers.0.blocks.0.attn.relative_position_bias_table" not in shapes:
        return None
    blocks = [_length(shapes, rf"layers\.{stage}\.blocks\.(\d+)\.") for stage in range(4)]
    return f"a Swin transformer of {tuple(blocks)} blocks"


def _length(names: Iterable[str], pattern: str) -> int:
    """How many distinct numbers the names have at a position."""
    return len({match[1] for name in names if (match := re.match(pattern, name))})
