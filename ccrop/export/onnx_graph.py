"""A backbone as an ONNX graph of images of any size, compared with the network in ONNX Runtime before it is written."""

import copy
import io
import logging
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from timm.layers import Conv2dSame
from torch import Tensor, nn
from torch.nn import functional as F

from ccrop.backbones import Backbone, BackboneModule
from ccrop.checkpoint import Normalization
from ccrop.files import written

SIZES = ((128, 96), (160, 192))  # (height, width) in pixels of what is traced, and of what is compared next to it
TOLERANCE = 1e-3  # of a map's largest value


def write_onnx(backbone: BackboneModule, normalization: Normalization | None, out: Path) -> float:
    """Write all maps of a backbone, in eval mode, as the outputs ``stride_4``, ``stride_8``, ... of a graph.

    Its input ``images`` is ``(N, in_channels, H, W)`` float32, normalized, of any size unless the network takes
    only one; sides must be multiples of the largest stride if it pads as TensorFlow does. The file's metadata are the
    strides, and mean and std of the channels on the scale 0 to 255.

    Returns:
        The largest difference between the network and the graph in ONNX Runtime, in parts of a map's largest value.

    Raises:
        ImportError: a package of the extra ``export`` is missing.
        ValueError: the network cannot be exported, or the graph does not give the network's maps.
    """
    onnxruntime = _required()
    backbone.out_indices = tuple(range(len(backbone.levels)))
    names = [f"stride_{stride}" for stride in backbone.strides]
    sizes = SIZES if backbone.image_size is None else (backbone.image_size,)
    images = [torch.rand(number, backbone.in_channels, *size) for number, size in enumerate(sizes, 2)]
    program = _exported(_simply_padded(backbone), images[0], names, free=backbone.image_size is None)
    program.model.metadata_props.update(_metadata(backbone, normalization))
    with written(out) as partial:
        program.save(partial, external_data=False)
        session = onnxruntime.InferenceSession(partial, providers=["CPUExecutionProvider"])
        difference = float(np.max([_difference(backbone, session, each) for each in images]))
        if not difference < TOLERANCE:
            raise ValueError(f"the graph differs from the network by {difference:.1e} of a map's largest value")
    return difference


def _required() -> ModuleType:
    """ONNX Runtime, where all that the export needs is there."""
    try:
        import onnx  # noqa: F401
        import onnxruntime
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise ImportError(f"--to onnx needs {error.name}: pip install 'ccrop[export]'") from error
    return onnxruntime


class _SimplyPadded(nn.Module):
    """A convolution with TensorFlow's padding that pads as it does if its input's sides are whole strides."""

    def __init__(self, convolution: Conv2dSame) -> None:
        super().__init__()
        self.convolution = convolution
        sides = zip(convolution.kernel_size, convolution.stride, convolution.dilation, strict=True)
        rows, columns = (max(dilation * (kernel - 1) + 1 - stride, 0) for kernel, stride, dilation in sides)
        self.padding = (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2)

    def forward(self, images: Tensor) -> Tensor:
        own = self.convolution
        images = F.pad(images, self.padding)
        return F.conv2d(images, own.weight, own.bias, own.stride, dilation=own.dilation, groups=own.groups)


def _simply_padded(network: nn.Module) -> nn.Module:
    """A copy without the general rule of TensorFlow's padding, which depends on the size.

    With it, torch was still exporting EfficientNet-Lite0 after ten minutes.
    """
    network = copy.deepcopy(network)
    for parent in list(network.modules()):
        for name, child in parent.named_children():
            if isinstance(child, Conv2dSame):
                setattr(parent, name, _SimplyPadded(child))
    return network


def _exported(backbone: nn.Module, images: Tensor, names: Sequence[str], free: bool) -> torch.onnx.ONNXProgram:
    any_number = torch.export.Dim.DYNAMIC
    shapes = {0: any_number} | ({2: any_number, 3: any_number} if free else {})
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    try:
        with redirect_stdout(io.StringIO()):
            program = torch.onnx.export(
                backbone,
                (images,),
                input_names=["images"],
                output_names=list(names),
                dynamic_shapes=(shapes,),
                dynamo=True,
                verbose=False,
            )
    except torch.onnx.errors.OnnxExporterError as error:
        cause = " ".join(str(error.__cause__ or error).split())
        raise ValueError(f"torch cannot export {type(backbone).__name__} to ONNX: {cause[:300]}") from error
    assert program is not None
    return program


def _metadata(backbone: Backbone, normalization: Normalization | None) -> dict[str, str]:
    metadata = dict(strides=" ".join(map(str, backbone.strides)))
    if normalization is not None:
        for name, values in normalization._asdict().items():
            metadata[name] = " ".join(f"{255 * value:g}" for value in values)
    return metadata


@torch.no_grad()
def _difference(backbone: Backbone, session: Any, images: Tensor) -> float:
    """Between the maps of a network and of a graph, in parts of a map's largest value; infinite if shapes differ."""
    found = session.run(None, dict(images=images.numpy()))
    apart = []
    for own, other in zip(backbone(images), found, strict=True):
        if tuple(own.shape) != other.shape:
            return np.inf
        apart.append(float(np.abs(own.numpy() - other).max() / own.abs().max().clamp(min=1e-12)))
    return float(np.max(apart))
