"""Annotated boxes instead of clusters."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from PIL import Image

from ccrop.datasets import CocoImages
from ccrop.hooks import AnnotatedBoxesHook


@pytest.fixture
def runner(tmp_path: Path) -> SimpleNamespace:
    (tmp_path / "train").mkdir()
    (tmp_path / "annotations").mkdir()
    for number in range(3):
        Image.new("RGB", (40, 20)).save(tmp_path / "train" / f"{number}.png")
    content = dict(
        images=[dict(id=i, file_name=f"{i}.png", width=40, height=20) for i in (2, 0, 1)],
        annotations=[
            *(dict(image_id=0, category_id=1, bbox=[4 * i, 0, 4, 10]) for i in range(5)),
            dict(image_id=2, category_id=1, bbox=[30, 10, 20, 10]),  # leaves the image
        ],
        categories=[dict(id=1, name="thing")],
    )
    (tmp_path / "annotations" / "instances_train.json").write_text(json.dumps(content))
    return SimpleNamespace(train_dataloader=SimpleNamespace(dataset=CocoImages(tmp_path, "train")))


def test_the_store_holds_each_image_s_own_objects(runner: SimpleNamespace):
    AnnotatedBoxesHook(max_boxes=5).before_run(runner)
    store = runner.train_dataloader.dataset.boxes
    assert store.counts.tolist() == [5, 0, 1]
    assert store[2].tolist() == [[0.75, 0.5, 1, 1, 1]]
    torch.testing.assert_close(
        torch.from_numpy(store[0]),
        torch.tensor([[0.1 * i, 0, 0.1 * (i + 1), 0.5, 1] for i in range(5)]),
        atol=1e-3,
        rtol=0,
    )


def test_of_too_many_objects_evenly_spaced_ones_count(runner: SimpleNamespace):
    AnnotatedBoxesHook(max_boxes=3).before_run(runner)
    store = runner.train_dataloader.dataset.boxes
    assert store.counts.tolist() == [3, 0, 1]
    assert store[0][:, 0].tolist() == pytest.approx([0, 0.2, 0.4], abs=1e-3)


def test_an_image_without_an_entry_is_named(runner: SimpleNamespace, tmp_path: Path):
    file = tmp_path / "annotations" / "instances_train.json"
    content = json.loads(file.read_text())
    content["images"] = [image for image in content["images"] if image["id"] != 1]
    file.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"1\.png has no entry"):
        AnnotatedBoxesHook().before_run(runner)
