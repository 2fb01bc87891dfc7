"""Siamese methods, their heads, backbones and the preprocessor that runs where the model runs."""

from ccrop.models.preprocessor import ViewPreprocessor
from ccrop.models.regions import RegionPairs
from ccrop.models.resnet import ResNet, ResNetCIFAR
from ccrop.models.siamese import Siamese
from ccrop.models.simclr import SimCLR
from ccrop.models.simsiam import SimSiam

__all__ = ["RegionPairs", "ResNet", "ResNetCIFAR", "Siamese", "SimCLR", "SimSiam", "ViewPreprocessor"]
