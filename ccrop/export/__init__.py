"""The backbone of a pretraining checkpoint, for other frameworks.

The heads (projector, predictor) are dropped. The weights expect the input that they were pretrained on: images in RGB
order, normalized with ImageNet's mean (123.675, 116.28, 103.53) and std (58.395, 57.12, 57.375) on the scale
0 to 255, unless the log of their run says otherwise, and a bottleneck that strides in its 3x3 convolution.

torchvision: a state dict without the classifier. If OUT ends in .safetensors, it is in that format; the same for timm.

    model = torchvision.models.resnet50()
    model.load_state_dict(torch.load(OUT), strict=False)  # fc.weight and fc.bias are missing, nothing else

timm: the same.

    model = timm.create_model("resnet50", num_classes=0, checkpoint_path=OUT)

huggingface: a new folder with config.json and model.safetensors, which timm and transformers read, from this machine
or from the hub once it is there. It can hold any timm network and plain ResNets.

    model = timm.create_model("local-dir:OUT", pretrained=True)      # or "hf-hub:NAME/OUT"
    model = transformers.AutoModel.from_pretrained("OUT")            # transformers runs it by timm
    maps = model(images, output_hidden_states=True).hidden_states    # the finest first

A plain ViT has one map, last_hidden_state without the class token; hidden_states are its layers, without the last norm.

onnx: a graph of any backbone. It takes normalized float32 images (N, C, H, W) of any size and returns the maps,
stride_4, stride_8, ... Mean and std are in its metadata. It is compared with the network in ONNX Runtime before it is
written: pip install 'ccrop[export]'.

    maps = onnxruntime.InferenceSession("OUT.onnx").run(None, {"images": images})

A network of timm or torchvision can be exported to its own library under its own name, to huggingface if it is
timm's, and to onnx; to another framework only if it is a plain ResNet. Its name is in the config that the checkpoint
holds.

mmdet: {"state_dict": {"backbone.*": ...}}, the layout of a detector's checkpoint, so that load_from takes it
too. A backbone of width W, not 64, needs base_channels=W.

    data_preprocessor=dict(bgr_to_rgb=True, mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], ...)
    backbone=dict(type="ResNet", depth=50, style="pytorch",
                  init_cfg=dict(type="Pretrained", checkpoint=OUT, prefix="backbone."))

detectron2: a pickle of numpy arrays under detectron2's names. Its defaults suit Caffe's weights, so set all:

    MODEL.WEIGHTS OUT.pkl  MODEL.RESNETS.DEPTH 50  MODEL.RESNETS.STRIDE_IN_1X1 False  INPUT.FORMAT RGB
    MODEL.PIXEL_MEAN [123.675,116.28,103.53]  MODEL.PIXEL_STD [58.395,57.12,57.375]

Depths 18 and 34 need MODEL.RESNETS.RES2_OUT_CHANNELS 64; a backbone of width W, not 64, needs
STEM_OUT_CHANNELS W, WIDTH_PER_GROUP W and RES2_OUT_CHANNELS 4 W.

ultralytics: a ResNet for models whose first module is TorchVision; YOLO's own backbones have other layers, which no
ResNet fits. Images come in [0, 1] there, so the first convolution normalizes them. In the YAML of a detector:

    backbone: [[-1, 1, TorchVision, [512, resnet50, null, True, 2, True]],
               [0, 1, Index, [512, 6]], [0, 1, Index, [1024, 7]], [0, 1, Index, [2048, 8]]]  # channels: 128, 256, 512
                                                                                             # of resnet18 and 34
    head: [[[1, 2, 3], 1, Detect, [nc]]]

    model = ultralytics.YOLO("detector.yaml")
    model.model.load_state_dict(torch.load(OUT), strict=False)                  # the head is missing, nothing else
"""

from importlib import import_module
from typing import Any

__all__ = ["TARGETS", "export_backbone"]


def __getattr__(name: str) -> Any:
    """What needs torch, imported when it is requested."""
    if name in __all__:
        return getattr(import_module("ccrop.export.writing"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
