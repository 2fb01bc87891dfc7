"""Which ResNet a state dict holds.

The names are the same in mmdet, torchvision and timm: conv1, bn1, layer1.0.conv1, layer1.0.bn1,
layer2.0.downsample.0 (convolution) and .1 (norm).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}

Shape = tuple[int, ...]


@dataclass(frozen=True)
class ResNetArchitecture:
    """A ResNet (He et al., CVPR 2016, Table 1) with batch normalization.

    Attributes:
        depth: a key of `BLOCKS`.
        width: channels of the stem, 64 in the paper; the stages scale with it.
        in_channels: channels of the input, 3 for images.
        stem_kernel: side of the first convolution in pixels, 7 in the paper and 3 in the CIFAR variant.
    """

    depth: int
    width: int = 64
    in_channels: int = 3
    stem_kernel: int = 7

    @classmethod
    def from_state_dict(cls, state_dict: Mapping[str, Tensor]) -> "ResNetArchitecture":
        """Deduce the architecture from names and shapes.

        A state dict does not show whether a bottleneck strides in its first or its second convolution.

        Raises:
            ValueError: this is not a ResNet of a known depth, or a tensor is missing, left over or of a
                different shape.
        """
        stem = state_dict.get("conv1.weight")
        if stem is None or stem.ndim != 4:
            raise ValueError("the backbone is not a ResNet: it has no convolution conv1")
        blocks = tuple(_count_blocks(state_dict, stage) for stage in range(1, 5))
        bottleneck = "layer1.0.conv3.weight" in state_dict
        depths = [depth for depth in BLOCKS if BLOCKS[depth] == blocks and (depth >= 50) == bottleneck]
        if not depths:
            kind = "bottleneck" if bottleneck else "basic"
            raise ValueError(f"no known ResNet has {blocks} {kind} blocks in its stages; known depths: {[*BLOCKS]}")
        resnet = cls(depths[0], width=stem.shape[0], in_channels=stem.shape[1], stem_kernel=stem.shape[2])
        resnet._check_shapes(state_dict)
        return resnet

    def shapes(self) -> dict[str, Shape]:
        """Name and shape of every parameter and buffer except the classifier's."""
        shapes = _conv_and_norm("conv1", "bn1", (self.width, self.in_channels, self.stem_kernel, self.stem_kernel))
        inputs = self.width
        for stage, blocks in enumerate(BLOCKS[self.depth]):
            inner = self.width * 2**stage
            kernels = [(inner, 3), (inner, 3)] if self.depth < 50 else [(inner, 1), (inner, 3), (4 * inner, 1)]
            outputs = kernels[-1][0]
            for block in range(blocks):
                name = f"layer{stage + 1}.{block}"
                if block == 0 and (stage > 0 or inputs != outputs):
                    shapes |= _conv_and_norm(f"{name}.downsample.0", f"{name}.downsample.1", (outputs, inputs, 1, 1))
                for i, (channels, side) in enumerate(kernels, start=1):
                    shapes |= _conv_and_norm(f"{name}.conv{i}", f"{name}.bn{i}", (channels, inputs, side, side))
                    inputs = channels
        return shapes

    def _check_shapes(self, state_dict: Mapping[str, Tensor]) -> None:
        expected = self.shapes()
        found = {name: tuple(tensor.shape) for name, tensor in state_dict.items()}
        odd = {
            "missing": expected.keys() - found.keys(),
            "unexpected": found.keys() - expected.keys(),
            "of a different shape": {name for name in expected.keys() & found.keys() if expected[name] != found[name]},
        }
        if any(odd.values()):
            listed = "; ".join(f"{len(names)} {what}: {min(names)} ..." for what, names in odd.items() if names)
            raise ValueError(f"the backbone differs from ResNet-{self.depth} of width {self.width}: {listed}")


def _count_blocks(state_dict: Mapping[str, Tensor], stage: int) -> int:
    return len({found[1] for name in state_dict if (found := re.match(rf"layer{stage}\.(\d+)\.", name))})


def _conv_and_norm(conv: str, norm: str, weight: Shape) -> dict[str, Shape]:
    channels = weight[:1]
    per_channel = {f"{norm}.{name}": channels for name in ("weight", "bias", "running_mean", "running_var")}
    return {f"{conv}.weight": weight, **per_channel, f"{norm}.num_batches_tracked": ()}
