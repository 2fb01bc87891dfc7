"""Clusters in place of labels: a detector that learns where objects are before it sees a label.

LOST (Simeoni et al., BMVC 2021) and CutLER (Wang et al., CVPR 2023) train a detector of one category on the boxes that
unlabelled features give. Here these are the clusters of a pretraining, and neck and heads are pretrained as well.
"""

import json
from pathlib import Path
from typing import Any

from mmengine.config import Config

from ccrop.datasets import CocoImages, image_size
from ccrop.datasets.coco import find_split
from ccrop.transfer import stored_clusters
from projects.detection_transfer.data import check_boxes, name_categories

CATEGORY = dict(id=1, name="object")


def use_clusters(config: Config, checkpoint: str | Path, folder: str | Path, max_clusters: int = 16) -> None:
    """Train on the clusters of a pretraining checkpoint, and test where objects are, whatever their category.

    The annotations of the train split are not used. What takes their place is written to
    ``clusters_{train,val}.json`` in the folder.

    Args:
        config: of a COCO-format set, see :func:`projects.detection_transfer.finetune.load_config`.
        checkpoint: of a pretraining on the same train images that looked for clusters.
        folder: is made where there is none.
        max_clusters: an image; those with the best scores.

    Raises:
        ValueError: the data set is not in COCO's format, or the checkpoint has no clusters, or those of other images.
    """
    train, test = config.train_dataloader.dataset, config.test_dataloader.dataset
    if train.type != "CocoDataset":
        raise ValueError(f"clusters can be learned on a COCO-format set only, not on {train.type}")
    folder = Path(folder).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    files = {split: folder / f"clusters_{split}.json" for split in ("train", "val")}
    content = cluster_annotations(train.data_root, checkpoint, max_clusters, config.get("channels", 3))
    check_boxes(content, files["train"])
    files["train"].write_text(json.dumps(content))
    content = json.loads(Path(test.data_root, test.ann_file).read_text())
    content["annotations"] = [each | dict(category_id=CATEGORY["id"]) for each in content["annotations"]]
    files["val"].write_text(json.dumps(content | dict(categories=[CATEGORY])))

    train.update(ann_file=str(files["train"]))
    test.update(ann_file=str(files["val"]))
    config.test_evaluator.ann_file = str(files["val"])
    name_categories(config, (CATEGORY["name"],))
    config.headline += f", clusters of {checkpoint} in place of labels"


def cluster_annotations(
    root: str | Path, checkpoint: str | Path, max_clusters: int, channels: int = 3
) -> dict[str, Any]:
    """Clusters of all train images as the content of a COCO-format annotation file, in pixels.

    Args:
        channels: of the images, see :class:`ccrop.datasets.ImageDataset`.

    Raises:
        ValueError: the checkpoint has no clusters, or those of other images.
    """
    images = CocoImages(root, channels=channels)
    store = stored_clusters(checkpoint, images, "configs/comparison/region_clusters.py")
    folder = Path(root, find_split(Path(root), "train"))
    listed, annotations = [], []
    for index in store.counts.nonzero().flatten().tolist():
        path = images.path(images.get_data_info(index))
        width, height = image_size(path)
        listed.append(dict(id=index + 1, file_name=path.relative_to(folder).as_posix(), width=width, height=height))
        for x0, y0, x1, y1, _ in store[index][:max_clusters].tolist():
            x, y, w, h = x0 * width, y0 * height, (x1 - x0) * width, (y1 - y0) * height
            box = dict(bbox=[x, y, w, h], area=w * h, segmentation=[], iscrowd=0)
            annotations.append(dict(id=len(annotations) + 1, image_id=index + 1, category_id=CATEGORY["id"], **box))
    return dict(images=listed, annotations=annotations, categories=[CATEGORY])
