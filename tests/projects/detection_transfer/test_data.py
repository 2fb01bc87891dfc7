"""What a detector is trained and tested on, and sets that it must refuse."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from jobs import ROOT
from PIL import Image

from ccrop.datasets import MissingData
from ccrop.transfer import drawn_share, set_iterations
from projects.detection_transfer.data import use_labels
from projects.detection_transfer.finetune import finetune, load_config

CONFIG = ROOT / "tests/projects/detection_transfer/configs/faster-rcnn_tiny.py"
CONFIGS = ROOT / "projects/detection_transfer/configs"


def test_config_knows_the_sets_categories_and_files(demo_root):
    config = load_config(CONFIG, demo_root)
    content = json.loads((demo_root / "annotations/instances_train2017.json").read_text())
    names = [each["name"] for each in content["categories"]]
    assert config.train_dataloader.dataset.metainfo.classes == tuple(names)
    assert config.model.roi_head.bbox_head.num_classes == len(names)
    assert config.test_evaluator.ann_file.endswith("instances_val2017.json")


def test_held_out_images_are_labelled_and_not_trained_on(demo_root):
    config = load_config(CONFIG, demo_root)
    trained, number = use_labels(config, 0.5, seed=0, held_out=0.25)
    assert number <= 64
    half = drawn_share(range(number), 0.5, 0)
    tested = config.test_dataloader.dataset.indices
    assert len(tested) == math.ceil(0.25 * len(half))
    assert sorted([*tested, *config.train_dataloader.dataset.indices]) == half
    assert trained == len(half) - len(tested)
    assert config.test_evaluator.ann_file.endswith("instances_train2017.json")


def change(root, tmp_path, edit, split="train"):
    """A copy of the set's annotations after an edit, images linked."""
    new = tmp_path / "set"
    (new / "annotations").mkdir(parents=True)
    for folder in ("train2017", "val2017"):
        (new / folder).symlink_to(root / folder)
    for name in ("train", "val"):
        content = json.loads((root / f"annotations/instances_{name}2017.json").read_text())
        if name == split:
            edit(content)
        (new / f"annotations/instances_{name}2017.json").write_text(json.dumps(content))
    return new


def rename(content):
    content["categories"][0]["name"] = "other"


def unlist(content):
    content["annotations"][0]["category_id"] = 999


def empty(content):
    content["annotations"] = []


def leave(content):
    content["annotations"][3]["bbox"] = [-20, 4, 30, 10]


def flat(content):
    content["annotations"][2]["bbox"][3] = 0


def orphan(content):
    content["annotations"][1]["image_id"] = 10**6


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (rename, "differ in their categories"),
        (unlist, r"instances_train2017\.json: annotations have categories \[999\]"),
        (empty, r"instances_train2017\.json has no annotations"),
        (leave, r"1 boxes have no area or leave their image.*\[-20"),
        (flat, "1 boxes have no area"),
        (orphan, "annotations are of images"),
    ],
)
def test_bad_annotations_are_named(demo_root, tmp_path, edit, message):
    with pytest.raises(ValueError, match=message):
        load_config(CONFIG, change(demo_root, tmp_path, edit))


def test_missing_data(tmp_path):
    with pytest.raises(MissingData, match="--data-root"):
        load_config(CONFIG, tmp_path / "nowhere")
    with pytest.raises(MissingData, match="annotations"):
        load_config(CONFIG, tmp_path)


OBJECT = """<object><name>{}</name><difficult>0</difficult>
<bndbox><xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax><ymax>{}</ymax></bndbox></object>"""


def voc_root(root):
    """Three images in VOC's layout, two to train on."""
    for year, splits in (("2007", {"trainval": ["000001"], "test": ["000003"]}), ("2012", {"trainval": ["2008_2"]})):
        base = root / f"VOC{year}"
        for folder in ("ImageSets/Main", "Annotations", "JPEGImages"):
            (base / folder).mkdir(parents=True)
        for split, names in splits.items():
            (base / f"ImageSets/Main/{split}.txt").write_text("\n".join(names))
            for name in names:
                noise = np.random.default_rng(0).integers(0, 255, (96, 128, 3), dtype=np.uint8)
                Image.fromarray(noise).save(base / f"JPEGImages/{name}.jpg")
                objects = OBJECT.format("car", 11, 21, 30, 40) + OBJECT.format("person", 50, 40, 100, 90)
                size = "<size><width>128</width><height>96</height><depth>3</depth></size>"
                (base / f"Annotations/{name}.xml").write_text(f"<annotation>{size}{objects}</annotation>")
    return root


def test_voc_by_mmdets_own_loader(tmp_path):
    narrow = {
        "model.backbone.base_channels": 8,
        "model.backbone.stem_channels": 8,
        "train_dataloader.num_workers": 0,
        "test_dataloader.num_workers": 0,
        "train_dataloader.batch_size": 2,
        "model.train_cfg.rpn_proposal.max_per_img": 50,
        "model.train_cfg.rcnn.sampler.num": 16,
        "model.test_cfg.rpn.max_per_img": 50,
        "train_dataloader.dataset.datasets.0.pipeline.2.scale": [(128, 96), (128, 96)],
        "train_dataloader.dataset.datasets.1.pipeline.2.scale": [(128, 96), (128, 96)],
        "test_dataloader.dataset.pipeline.1.scale": (128, 96),
    }
    config = load_config(CONFIGS / "faster-rcnn_r50_fpn_1x_voc.py", voc_root(tmp_path / "VOCdevkit"), narrow)
    set_iterations(config, 1)
    figures = finetune(config, "random", tmp_path / "work_dir")
    assert 0 <= figures["AP_S"] <= 1  # one of the two objects is small
    assert 0 <= figures["AP_M"] <= 1
    assert math.isnan(figures["AP_L"])
    with pytest.raises(ValueError, match="COCO-format set only, not of ConcatDataset"):
        use_labels(config, 0.5, seed=0)


def test_tiles_recipe_trains_and_tests(demo_root: Path, tmp_path: Path):
    options = {"train_dataloader.batch_size": 8, "test_dataloader.dataset.indices": 4, "model.test_cfg.tile": 256}
    config = load_config(CONFIGS / "tiles_r18.py", demo_root, options)
    set_iterations(config, 4)
    figures = finetune(config, "random", tmp_path / "work_dir")
    assert 0 <= figures["AP50"] <= 1
    assert 0.1 < figures["core_seconds"] < 100
    with np.load(tmp_path / "work_dir/detections.npz") as kept:
        assert len(kept["images"]) == 4
