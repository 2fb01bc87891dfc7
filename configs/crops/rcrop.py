"""Random crops, anywhere in the image: RandomResizedCrop with an area of 0.2 to 1 of it. The baseline."""

from ccrop.views import CropViews, RandomCrop

tags = ("resized-crop",)
train_dataloader = dict(dataset=dict(pipeline=[dict(type=CropViews, crop=dict(type=RandomCrop), size=224)]))
