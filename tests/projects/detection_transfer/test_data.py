"""What a detector is trained and tested on, and sets that it must refuse."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from jobs import ROOT
from mmengine.registry import DATASETS
from PIL import Image

from ccrop.datasets import MissingData
from ccrop.projects.detection_transfer.data import use_labels
from ccrop.projects.detection_transfer.finetune import finetune, load_config
from ccrop.transfer import drawn_fraction, set_iterations

CONFIG = ROOT / "tests/projects/detection_transfer/configs/faster-rcnn_tiny.py"
CONFIGS = ROOT / "projects/detection_transfer/configs"


def test_config_knows_the_sets_categories_and_files(demo_root):
    config = load_config(CONFIG, demo_root)
    content = json.loads((demo_root / "annotations/instances_train2017.json").read_text())
    names = [each["name"] for each in content["categories"]]
    assert config.train_dataloader.dataset.metainfo.classes == tuple(names)
    assert config.model.roi_head.bbox_head.num_classes == len(names)
    assert config.test_evaluator.ann_file.endswith("instances_val2017.json")


def test_held_out_images_are_labeled_and_not_trained_on(demo_root):
    config = load_config(CONFIG, demo_root)
    trained, number = use_labels(config, 0.5, seed=0, held_out=0.25)
    assert number <= 64
    half = drawn_fraction(range(number), 0.5, 0)
    tested = config.test_dataloader.dataset.indices
    assert len(tested) == math.ceil(0.25 * len(half))
    assert sorted([*tested, *config.train_dataloader.dataset.indices]) == half
    assert trained == len(half) - len(tested)
    assert config.test_evaluator.ann_file.endswith("instances_train2017.json")


def change(root, tmp_path, edit, splits=("train",)):
    """A copy of the set's annotations after an edit, images linked."""
    new = tmp_path / "set"
    (new / "annotations").mkdir(parents=True)
    for folder in ("train2017", "val2017"):
        (new / folder).symlink_to(root / folder)
    for name in ("train", "val"):
        content = json.loads((root / f"annotations/instances_{name}2017.json").read_text())
        if name in splits:
            edit(content)
        (new / f"annotations/instances_{name}2017.json").write_text(json.dumps(content))
    return new


def rename(content):
    content["categories"][0]["name"] = "other"


def unlist(content):
    content["annotations"][0]["category_id"] = 999


def empty(content):
    content["annotations"] = []


def flat(content):
    for each in content["annotations"][:20]:
        each["bbox"][3] = 0


def orphan(content):
    content["annotations"][1]["image_id"] = 10**6


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (rename, r"instances_val2017\.json: it has objects of the categories .* which .*train2017\.json does not list"),
        (unlist, r"instances_train2017\.json: its annotations use the unlisted categories \['999'\]"),
        (empty, r"instances_train2017\.json: it has no annotations"),
        (flat, "20 of .* boxes have no area"),
        (orphan, "1 annotations belong to images that it does not list"),
    ],
)
def test_bad_annotations_are_named(demo_root, tmp_path, edit, message):
    with pytest.raises(ValueError, match=message):
        load_config(CONFIG, change(demo_root, tmp_path, edit))


def spoil(content):
    """Everything that can be repaired; what a detector learns stays the same."""
    for image in content["images"]:
        image.update(id=f"img-{image['id']}", file_name=f"images\\{image['file_name']}", width=-1, height=0)
    for number, each in enumerate(content["annotations"]):
        each.update(id=number, image_id=f"img-{each['image_id']}", area=0)
        del each["iscrowd"]
    flat = dict(id="x", image_id=content["images"][0]["id"], category_id=1, bbox=[9, 9, 1, 0])
    content["annotations"].append(flat)


def learned(config, loader):
    """Files, boxes, labels and crowds that a detector gets."""
    settings = dict(config[loader].dataset, pipeline=[], _scope_="mmdet")
    infos = DATASETS.build(settings).load_data_list()
    return {
        Path(info["img_path"]).name: (
            (info["width"], info["height"]),
            [(each["bbox"], each["bbox_label"], each["ignore_flag"]) for each in info["instances"]],
        )
        for info in infos
    }


def test_a_detector_learns_and_is_tested_on_what_was_repaired(demo_root, tmp_path):
    right = load_config(CONFIG, demo_root)
    assert "notes" not in right
    spoiled = change(demo_root, tmp_path, spoil, ("train", "val"))
    config = load_config(CONFIG, spoiled, {"test_dataloader.dataset.indices": 2})
    for loader in ("train_dataloader", "test_dataloader"):
        assert learned(config, loader) == learned(right, loader)
    content = json.loads((demo_root / "annotations/instances_train2017.json").read_text())
    images, objects = len(content["images"]), len(content["annotations"])
    counted = [
        f"{images} image ids that are not integers below 2^53",
        f"{objects + 1} annotation ids of which some are missing, 0, repeated",
        f"{images} file names that are not relative to train2017",
        f"{images} sizes of images",
        "1 boxes without an area",
        f"{objects} areas",
    ]
    (line, _) = config.notes
    assert line.startswith(f"{spoiled}/annotations/instances_train2017.json: repaired in memory: ")
    assert [part for part in counted if part not in line] == []

    set_iterations(config, 1)
    figures = finetune(config, "random", tmp_path / "work_dir")
    assert 0 <= figures["AP_S"] <= 1  # not nan: small objects count
    log = next((tmp_path / "work_dir").glob("*/*.log")).read_text()
    assert log.count("instances_train2017.json: repaired in memory") == 1
    areas = [each["area"] for each in content["annotations"]]
    kept = json.loads((tmp_path / "work_dir/repaired_instances_train2017.json").read_text())
    assert [each["area"] for each in kept["annotations"]] == pytest.approx(areas, rel=0.3, abs=60)
    assert "ccrop-annotations-" not in next((tmp_path / "work_dir").glob("*.py")).read_text()


def test_a_val_split_that_lists_fewer_categories_is_labeled_as_the_training_split(demo_root, tmp_path):
    def shorten(content):
        content["categories"] = content["categories"][1:]

    config = load_config(CONFIG, change(demo_root, tmp_path, shorten, ("val",)))
    assert learned(config, "test_dataloader") == learned(load_config(CONFIG, demo_root), "test_dataloader")


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
    with pytest.raises(ValueError, match="only from a COCO-format set, not from ConcatDataset"):
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
