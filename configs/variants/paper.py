"""The paper's alpha for small sets, 0.6; the released code has 0.1."""

requires = ("cifar", "single")
adjustments = {"single": {"train_dataloader.dataset.pipeline.0.crop.alpha": 0.6}}
