"""Pseudo-boxes instead of labels: what the detector is given, and what it hands on."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from jobs import ROOT, call, tool
from pycocotools.coco import COCO

from ccrop.datasets import CocoImages, InvalidAnnotations
from ccrop.projects.detection_transfer.finetune import finetune, load_config
from ccrop.projects.detection_transfer.pseudo_boxes import (
    best,
    cluster_annotations,
    read_pseudo_boxes,
    use_pseudo_boxes,
)

CONFIG = ROOT / "projects/detection_transfer/configs/tiles_r18.py"
NARROW = {
    "model.backbone.base_channels": 8,
    "model.backbone.stem_channels": 8,
    "train_dataloader.num_workers": 0,
    "test_dataloader.num_workers": 0,
}


@pytest.fixture(scope="module")
def clusters(demo_root: Path, tmp_path_factory) -> Path:
    """A checkpoint of which every second image has clusters, three each, of 20 to 60 % of the image."""
    images = CocoImages(demo_root)
    corner = torch.linspace(0.05, 0.35, 3 * len(images)).reshape(-1, 3)
    boxes = torch.stack(
        [corner, corner, corner + 0.25, corner + 0.5, torch.tensor([0.9, 0.8, 0.7]).expand_as(corner)], 2
    )
    counts = torch.tensor([3, 0]).repeat(len(images) // 2)
    file = tmp_path_factory.mktemp("clusters") / "epoch_1.pth"
    state = dict(boxes=boxes.half(), counts=counts.short(), fingerprint=images.fingerprint())
    torch.save(dict(meta={}, state_dict={}, boxes=state), file)
    return file


def change(file: Path, folder: Path, **state) -> Path:
    content = torch.load(file, weights_only=False)
    content["boxes"] = content["boxes"] | state if state else None
    torch.save(content, folder / "other.pth")
    return folder / "other.pth"


def test_annotations_are_the_best_clusters_in_pixels(demo_root: Path, clusters: Path):
    content = best(cluster_annotations(demo_root, clusters), max_boxes=2)
    truth = json.loads((demo_root / "annotations/instances_train2017.json").read_text())
    sizes = {image["file_name"]: (image["width"], image["height"]) for image in truth["images"]}
    boxes = torch.load(clusters, weights_only=False)["boxes"]["boxes"].double()
    names = sorted(sizes)
    assert [image["file_name"] for image in content["images"]] == names[::2]
    assert len(content["annotations"]) == 2 * len(names[::2])
    for number, image in enumerate(content["images"]):
        width, height = sizes[image["file_name"]]
        assert (image["width"], image["height"]) == (width, height)
        own = [each for each in content["annotations"] if each["image_id"] == image["id"]]
        for each, (x0, y0, x1, y1, _) in zip(own, boxes[2 * number].tolist(), strict=False):
            assert each["bbox"] == pytest.approx(
                [x0 * width, y0 * height, (x1 - x0) * width, (y1 - y0) * height], abs=1e-2
            )
            assert each["area"] == pytest.approx((x1 - x0) * width * (y1 - y0) * height, rel=2e-4)


def boxes_file(demo_root: Path, folder: Path, change: Callable[[dict[str, Any]], Any]) -> Path:
    """The annotations of the demo set's train split as pseudo-boxes, after a change."""
    content = json.loads((demo_root / "annotations/instances_train2017.json").read_text())
    del content["categories"]
    for each in content["annotations"]:
        del each["category_id"]
    change(content)
    (folder / "boxes.json").write_text(json.dumps(content))
    return folder / "boxes.json"


def spoil(content: dict[str, Any]) -> None:
    for image in content["images"]:
        image["file_name"] = f"train\\{image['file_name']}"
    for each in content["annotations"]:
        each.update(id=0, area=None)
    content["annotations"][3]["bbox"][0] = float("nan")


def test_a_file_of_boxes_is_repaired_and_counted_before_it_is_learned(demo_root: Path, tmp_path: Path):
    right = read_pseudo_boxes(boxes_file(demo_root, tmp_path, lambda content: None), demo_root)
    assert right.repaired == ["no list of categories (all objects get the same one)"]
    file = boxes_file(demo_root, tmp_path, spoil)
    config = load_config(CONFIG, demo_root, NARROW)
    use_pseudo_boxes(config, file, tmp_path / "work", max_boxes=1000)
    learned = json.loads((tmp_path / "work/pseudo_boxes_train.json").read_text())
    expected = [each["bbox"] for number, each in enumerate(right.content["annotations"]) if number != 3]
    assert [each["bbox"] for each in learned["annotations"]] == expected
    assert {each["category_id"] for each in learned["annotations"]} == {1}
    assert all(each["area"] > 0 for each in learned["annotations"])
    assert len({each["id"] for each in learned["annotations"]}) == len(expected)
    assert [image["file_name"] for image in learned["images"]] == [i["file_name"] for i in right.content["images"]]
    (line,) = config.notes
    assert line.startswith(f"{file}: repaired in memory: ")
    assert "1 boxes without an area in their image (left out)" in line


def rate(content: dict[str, Any], score: Any) -> None:
    for each in content["annotations"]:
        each["score"] = score


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (lambda content: content["images"][0].update(file_name="gone.jpg"), "boxes for 1 images that .* lacks"),
        (lambda content: content["images"][0].update(id=content["images"][1]["id"]), "image id .* belongs to both"),
        (lambda content: content.update(annotations=[]), "it has no annotations"),
        (lambda content: [each.update(bbox=[0, 0, 0, 0]) for each in content["annotations"]], "boxes have no area"),
        (
            lambda content: rate(content, "0.5"),
            r"scores are not finite numbers, the first is '0\.5' of annotation 1",
        ),
        (lambda content: rate(content, None), "scores are not finite numbers, the first is None of"),
        (lambda content: rate(content, [0.5]), "scores are not finite numbers"),
        (lambda content: rate(content, float("nan")), "scores are not finite numbers"),
        (lambda content: content["annotations"][0].update(score=0.5), r"only 1 of \d+ boxes have a score"),
    ],
)
def test_files_of_boxes_that_are_refused(demo_root: Path, tmp_path: Path, edit, reason: str):
    with pytest.raises(InvalidAnnotations, match=rf"boxes\.json: .*{reason}"):
        read_pseudo_boxes(boxes_file(demo_root, tmp_path, edit), demo_root)


@pytest.mark.parametrize("number", [0, -1])
def test_a_number_of_boxes_that_leaves_none_is_refused(demo_root: Path, tmp_path: Path, number: int):
    config = load_config(CONFIG, demo_root, NARROW)
    file = boxes_file(demo_root, tmp_path, lambda content: None)
    with pytest.raises(ValueError, match=f"max_boxes must be at least 1, got {number}"):
        use_pseudo_boxes(config, file, tmp_path / "work", max_boxes=number)
    assert not (tmp_path / "work").exists()


def test_checkpoints_that_are_of_no_use(demo_root: Path, clusters: Path, tmp_path):
    with pytest.raises(
        ValueError, match=r"other\.pth holds no clusters: pass a checkpoint of a pretraining with several"
    ):
        cluster_annotations(demo_root, change(clusters, tmp_path))
    single = torch.zeros(64, 1, 5)
    with pytest.raises(ValueError, match="holds no clusters"):
        cluster_annotations(demo_root, change(clusters, tmp_path, boxes=single))
    with pytest.raises(
        ValueError, match=r"belong to 64 images other than the 64 training images of .*: pretrain on these"
    ):
        cluster_annotations(demo_root, change(clusters, tmp_path, fingerprint="0"))
    voc = load_config(CONFIG, demo_root, NARROW)
    voc.train_dataloader.dataset.type = "VOCDataset"
    with pytest.raises(ValueError, match="only on a COCO-format set, not on VOCDataset"):
        use_pseudo_boxes(voc, clusters, tmp_path)


def test_a_detector_of_clusters_hands_all_but_its_classifier_to_one_of_categories(
    demo_root: Path, clusters: Path, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    options = [f"{key}={value}".replace(" ", "") for key, value in NARROW.items()]
    command = tool("finetune.py", CONFIG, "--data-root", demo_root, "--init", "random", "--pseudo-boxes", clusters)
    result = call([*command, "--iterations", "2", "--work-dir", "first", "--cfg-options", *options], tmp_path)
    assert result.returncode == 0, result.stdout
    assert f"pseudo-boxes of {clusters} instead of labels" in result.stdout
    assert "labeled images" not in result.stdout  # which it says of other runs
    assert "AP_S" in result.stdout.splitlines()[-1]
    validation = COCO("first/pseudo_boxes_val.json")
    assert validation.getCatIds() == [1]
    assert len(validation.getAnnIds()) == len(COCO(demo_root / "annotations/instances_val2017.json").getAnnIds())

    config = load_config(CONFIG, demo_root, NARROW | {"train_cfg.max_iters": 1, "optim_wrapper.optimizer.lr": 0.0})
    finetune(config, "first/iter_2.pth", "second")
    before, after = (
        torch.load(file, weights_only=False)["state_dict"] for file in ("first/iter_2.pth", "second/iter_1.pth")
    )
    weights = [name for name in after if name.endswith(("weight", "bias")) and "layer4" not in name]
    same = {
        name for name in weights if after[name].shape == before[name].shape and torch.equal(after[name], before[name])
    }
    assert set(weights) - same == {"bbox_head.classifier.weight", "bbox_head.classifier.bias"}
    assert len(after["bbox_head.classifier.bias"]) == config.model.bbox_head.num_classes > 1
    log = next(Path("second").glob("*/*.log")).read_text()
    assert (
        "of the neck and heads as well, not bbox_head.classifier.bias, bbox_head.classifier.weight, which are of" in log
    )
