"""Fine-tuning mmdet detectors from pretrained backbones: do they find small objects better?"""

from ccrop.compat.mmcv_ext import install_mmcv_ext

install_mmcv_ext()  # before any module of the project imports mmdet
