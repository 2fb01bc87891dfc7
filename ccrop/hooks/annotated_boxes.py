"""Annotated boxes instead of clusters: the upper bound for localization."""

import numpy as np
import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner

from ccrop.datasets import BoxStore
from ccrop.datasets.coco import annotated_boxes


class AnnotatedBoxesHook(Hook):
    """Fills the data set's BoxStore with the annotated objects of its images, once, before training.

    For comparisons only: pretraining that uses labels is not self-supervised. Of an image with more than K objects, K
    evenly spaced ones of its list count; those without area do not.

    Args:
        split: of the COCO-format set that is trained on.
        max_boxes: K.
    """

    priority = "NORMAL"

    def __init__(self, split: str = "train", max_boxes: int = 64) -> None:
        self.split = split
        self.max_boxes = max_boxes

    def before_run(self, runner: Runner) -> None:
        dataset = runner.train_dataloader.dataset
        known = {image.file_name: image.boxes for image in annotated_boxes(dataset.data_root, self.split)}
        boxes = torch.zeros(len(dataset), self.max_boxes, 5)
        counts = torch.zeros(len(dataset), dtype=torch.long)
        for index in range(len(dataset)):
            path = dataset.path(dataset.get_data_info(index))
            if path.name not in known:
                raise ValueError(f"{path} has no entry in the annotations of split {self.split!r}")
            own = known[path.name]
            own = own[(own[:, 2:] > own[:, :2]).all(axis=1)]
            if len(own) > self.max_boxes:
                own = own[np.linspace(0, len(own) - 1, self.max_boxes).round().astype(int)]
            boxes[index, : len(own), :4] = torch.from_numpy(own)
            boxes[index, : len(own), 4] = 1
            counts[index] = len(own)
        dataset.boxes = BoxStore(len(dataset), self.max_boxes, dataset.fingerprint())
        dataset.update_boxes(boxes, counts)
