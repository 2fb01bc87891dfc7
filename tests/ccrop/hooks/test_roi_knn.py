"""RoI-kNN of whole images, with a backbone whose maps are the pixels."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock, patch

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmengine.logging import MessageHub, MMLogger
from PIL import Image
from torch import Tensor, nn

from ccrop.backbones import Level
from ccrop.datasets import MissingData
from ccrop.hooks import RoIKNNHook
from ccrop.inference.annotated_regions import annotated_regions, check_enough_objects, roi_knn

COLORS = {4: (200, 40, 40), 9: (40, 200, 40)}


class Pixels(nn.Module):
    """Maps of stride 8 and 16 are mean colors."""

    def __init__(self) -> None:
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(1))
        self.backbone = SimpleNamespace(levels=(Level(3, 8), Level(3, 16), Level(3, 32)), strides=(8, 16))

    def data_preprocessor(self, data: dict) -> dict:
        return dict(images=data["images"].permute(0, 3, 1, 2).float() / 255)

    data_preprocessor.channels = 3

    def extract_feat(self, images: Tensor) -> tuple[Tensor, ...]:
        assert images.shape[2] % 32 == images.shape[3] % 32 == 0
        return F.avg_pool2d(images, 8), F.avg_pool2d(images, 16)


def draw(root: Path, split: str, num: int, seed: int, swap: bool = False) -> None:
    """Images of odd sizes with two squares each, red (4) and green (9), and one crowd."""
    rng = np.random.default_rng(seed)
    content = dict(images=[], annotations=[], categories=[dict(id=4, name="red"), dict(id=9, name="green")])
    (root / split).mkdir(parents=True)
    (root / "annotations").mkdir(exist_ok=True)
    for image in range(num):
        pixels = np.full((100, 150, 3), 90, np.uint8) + rng.integers(0, 20, (100, 150, 3), dtype=np.uint8)
        for slot, (category, color) in enumerate(COLORS.items()):
            x, y = int(rng.integers(8, 40)) + 70 * slot, int(rng.integers(4, 60))
            side = 24 if slot == 0 else 36
            pixels[y : y + side, x : x + side] = color
            content["annotations"].append(
                dict(
                    image_id=image,
                    category_id=9 + 4 - category if swap else category,
                    bbox=[x, y, side, side],
                    iscrowd=0,
                )
            )
        content["annotations"].append(dict(image_id=image, category_id=4, bbox=[0, 0, 150, 100], iscrowd=1))
        Image.fromarray(pixels).save(root / split / f"{image}.png")
        content["images"].append(dict(id=image, file_name=f"{image}.png", width=150, height=100))
    (root / "annotations" / f"instances_{split}.json").write_text(json.dumps(content))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    draw(tmp_path / "set", "train", 12, 0)
    draw(tmp_path / "set", "val", 8, 1)
    return tmp_path / "set"


def test_regions_are_objects_and_background_with_their_pixels_as_features(root: Path):
    found = annotated_regions(Pixels().eval(), root, "train")
    assert set(found.features) == {8, 16}
    categories = found.categories.tolist()
    assert categories.count(4) == categories.count(9) == 12
    assert 20 <= categories.count(-1) <= 24
    assert all(len(part) == len(categories) == len(found.areas) for part in found.features.values())
    for category, side, channel in ((4, 24, 0), (9, 36, 1)):
        own = found.categories == category
        torch.testing.assert_close(found.areas[own], torch.full((12,), float(side * side), dtype=torch.float64))
        color = found.features[8][own].view(12, 3, 4).mean(dim=2)
        assert (color.argmax(dim=1) == channel).all()
    background = found.features[8][found.categories == -1].view(-1, 3, 4).mean(dim=2)
    assert background.std(dim=1).mean() < 0.05  # gray


def test_every_class_is_recognized_by_its_color_and_by_size(root: Path):
    model = Pixels().eval()
    sides = [annotated_regions(model, root, split) for split in ("train", "val")]
    accuracy = roi_knn(*sides, k=5, min_queries=5)
    assert accuracy[8]["all"] > 0.95
    assert accuracy[8]["small"] > 0.95
    assert accuracy[8]["medium"] > 0.9
    assert math.isnan(accuracy[8]["large"])


def test_wrong_labels_are_not_recognized(root: Path, tmp_path: Path):
    draw(tmp_path / "swapped", "train", 12, 0, swap=True)
    model = Pixels().eval()
    bank = annotated_regions(model, tmp_path / "swapped", "train")
    accuracy = roi_knn(bank, annotated_regions(model, root, "val"), k=5, min_queries=5)
    assert 0.3 < accuracy[8]["all"] < 0.37  # of three classes, only background


def test_rare_categories_are_left_out(root: Path):
    model = Pixels().eval()
    bank, queries = (annotated_regions(model, root, split) for split in ("train", "val"))
    rare = queries._replace(categories=queries.categories.where(queries.categories != 9, 77))
    assert roi_knn(bank, rare, k=5, min_queries=5)[8]["all"] < 0.7  # 77 is in no bank
    few = queries.categories.where(queries.categories != 9, -1)
    few[(queries.categories == 9).nonzero()[0]] = 9
    without = roi_knn(bank, queries._replace(categories=few), k=5, min_queries=5)
    assert (
        without[8]["all"]
        == roi_knn(
            bank._replace(categories=bank.categories.where(bank.categories != 9, 55)),
            queries._replace(categories=few.where(few != 9, 55)),
            k=5,
            min_queries=5,
        )[8]["all"]
    )  # neither the one green query nor the green ones of the bank count
    with pytest.raises(MissingData, match="no category has 500"):
        roi_knn(bank, queries, min_queries=500)


def test_background_is_the_same_every_time_and_a_subset_is_spread(root: Path):
    model = Pixels().eval()
    first, second = (annotated_regions(model, root, "train", subset=3) for _ in range(2))
    assert (first.categories == 4).sum() == 3
    torch.testing.assert_close(first.features[8], second.features[8], rtol=0, atol=0)


def test_a_split_without_objects_is_named(root: Path):
    file = root / "annotations" / "instances_val.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | dict(annotations=[])))
    with pytest.raises(MissingData, match="annotates no objects in split 'val'"):
        annotated_regions(Pixels(), root, "val")


@pytest.fixture
def runner(tmp_path: Path) -> SimpleNamespace:
    return SimpleNamespace(
        model=Pixels(),
        optim_wrapper=None,
        epoch=0,
        max_epochs=3,
        logger=MMLogger.get_instance(tmp_path.name),
        message_hub=MessageHub.get_instance(tmp_path.name),
        visualizer=Mock(),
    )


def test_the_hook_leaves_scalars_before_training_at_the_interval_and_at_the_end(root: Path, runner: SimpleNamespace):
    hook = RoIKNNHook(str(root), bank_images=None, query_images=None, interval=2, min_queries=5)
    hook.before_train(runner)
    for runner.epoch in range(3):
        hook.after_train_epoch(runner)
    scalars = runner.message_hub.log_scalars
    assert len(scalars["epoch/roi_s8"].data[0]) == 3  # before, after epoch 2 and after epoch 3
    assert scalars["epoch/roi_s8_small"].current() > 0.9
    calls = runner.visualizer.add_scalars.call_args_list
    assert [call.kwargs["step"] for call in calls if "roi/s8_small" in call.args[0]] == [0, 2, 3]
    assert calls[0].args[0]["roi/s8_small"] == scalars["epoch/roi_s8_small"].data[0][0]
    assert {name for name in scalars if "roi" in name} == {
        f"epoch/roi_s{stride}{size}" for stride in (8, 16) for size in ("", "_small")
    }


def test_without_annotations_the_hook_says_so_once_and_rests(tmp_path: Path, runner: SimpleNamespace, capsys):
    hook = RoIKNNHook(str(tmp_path))
    hook.before_train(runner)
    for runner.epoch in range(3):
        hook.after_train_epoch(runner)
    assert not any("roi" in name for name in runner.message_hub.log_scalars)
    assert capsys.readouterr().err.count("for lack of annotations") <= 1
    assert hook._rests


def test_too_few_objects_are_found_out_before_any_image_is_processed(root: Path, runner: SimpleNamespace, monkeypatch):
    lines: list[str] = []
    monkeypatch.setattr(runner.logger, "info", lines.append)
    monkeypatch.setattr(runner.model, "extract_feat", Mock(side_effect=AssertionError("an image was processed")))
    RoIKNNHook(str(root), min_queries=500).before_train(runner)
    (line,) = lines
    assert "no category has 500 annotated objects among the queries" in line


def test_the_objects_are_counted_once_a_run(root: Path, runner: SimpleNamespace):
    hook = RoIKNNHook(str(root), interval=1, min_queries=5)
    with patch("ccrop.hooks.roi_knn.check_enough_objects", wraps=check_enough_objects) as check:
        hook.before_train(runner)
        for runner.epoch in range(3):
            hook.after_train_epoch(runner)
    check.assert_called_once_with(str(root), "val", 256, 5)
    assert len(runner.message_hub.log_scalars["epoch/roi_s8"].data[0]) == 4


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:200])


def change(file: Path, edit: Callable[[dict], None]) -> None:
    content = json.loads(file.read_text())
    edit(content)
    file.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (cut, "instances_val.json: it is not valid JSON"),
        (lambda file: change(file, lambda c: c.pop("images")), "instances_val.json: it has no list images"),
        (lambda file: change(file, lambda c: c["annotations"][0].pop("image_id")), "entry 0 of its list annotations"),
        (
            lambda file: change(file, lambda c: c["images"][1].update(id=0)),
            "image id 0 belongs to both 0.png and 1.png",
        ),
        (lambda file: change(file, lambda c: c["categories"][0].update(name="pink")), "categories ['pink']"),
        (lambda file: [each.write_bytes(b"x") for each in file.parents[1].glob("val/*")], "is readable, the last"),
    ],
)
def test_annotations_that_cannot_be_used_are_named_once_and_the_run_goes_on(
    root: Path, runner: SimpleNamespace, monkeypatch, spoil: Callable[[Path], None], reason: str
):
    spoil(root / "annotations/instances_val.json")
    lines: list[str] = []
    monkeypatch.setattr(runner.logger, "warning", lines.append)
    hook = RoIKNNHook(str(root), min_queries=5)
    hook.before_train(runner)
    for runner.epoch in range(3):
        hook.after_train_epoch(runner)
    (line,) = [line for line in lines if "RoI-kNN" in line]
    assert line.startswith(f"The run continues without RoI-kNN: {root}/")
    assert reason in line
    assert "\n" not in line


@pytest.mark.parametrize("prefix", ["images/", "val\\", "D:\\data\\val\\"])
def test_prefixes_before_the_names_of_files_change_nothing(root: Path, prefix: str):
    right = annotated_regions(Pixels(), root, "val")

    def rename(content: dict) -> None:
        for each in content["images"]:
            each["file_name"] = prefix + each["file_name"]

    change(root / "annotations/instances_val.json", rename)
    found = annotated_regions(Pixels(), root, "val")
    assert torch.equal(found.categories, right.categories)
    assert torch.equal(found.features[8], right.features[8])


def test_categories_that_the_val_split_numbers_otherwise_are_the_same(root: Path):
    right = annotated_regions(Pixels(), root, "val")

    def renumber(content: dict) -> None:
        content["categories"] = [dict(id=1, name="green"), dict(id=2, name="red")]
        for each in content["annotations"]:
            each["category_id"] = {9: 1, 4: 2}[each["category_id"]]

    change(root / "annotations/instances_val.json", renumber)
    assert torch.equal(annotated_regions(Pixels(), root, "val").categories, right.categories)
