"""Fine-tune mmdet's detectors from pretrained backbones: do they find small objects better?"""
