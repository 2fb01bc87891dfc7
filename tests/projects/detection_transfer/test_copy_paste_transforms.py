"""Copy-paste in mmdet's pipelines: boxes wrapped or plain, what is ignored, and where pieces come from."""

from pathlib import Path

import numpy as np
import pytest
import torch
from jobs import ROOT
from mmdet.registry import TRANSFORMS
from mmdet.structures.bbox import HorizontalBoxes
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.registry import DefaultScope
from PIL import Image

from ccrop.projects.detection_transfer.copy_paste_transforms import CollectPieces, PastePieces
from ccrop.pseudo import Piece

OBJECTS = [[20, 30, 34, 42], [60, 50, 70, 66]]


def save(folder: Path, number: int, level: int = 220) -> dict:
    """A sample as a COCO data set gives it, of an image with two bright objects, the second of them ignored."""
    pixels = np.full((96, 110, 3), 80, np.uint8)
    for x0, y0, x1, y1 in OBJECTS:
        pixels[y0:y1, x0:x1] = level
    file = folder / f"{number}.png"
    Image.fromarray(pixels).save(file)
    instances = [dict(bbox=box, bbox_label=2 + index, ignore_flag=index) for index, box in enumerate(OBJECTS)]
    return dict(img_path=str(file), img_id=number, instances=instances)


def pipeline(*middle: dict, **annotations) -> Compose:
    with DefaultScope.overwrite_default_scope("mmdet"):
        return Compose(
            [
                TRANSFORMS.build(step)
                for step in (
                    dict(type="LoadImageFromFile"),
                    dict(type="LoadAnnotations", with_bbox=True, **annotations),
                    dict(type="CollectPieces"),
                    *middle,
                )
            ]
        )


@pytest.mark.parametrize("box_type", [None, "hbox"])
def test_objects_of_trained_images_are_pasted(tmp_path: Path, box_type: str | None):
    torch.manual_seed(0)
    steps = pipeline(dict(type="PastePieces", number=(2, 2), scale=(1.0, 1.0)), box_type=box_type)
    for number in range(3):
        out = steps(save(tmp_path, number))
        assert "pieces" not in out
        boxes = out["gt_bboxes"]
        assert isinstance(boxes, np.ndarray if box_type is None else HorizontalBoxes)
        corners = boxes if box_type is None else boxes.numpy()
        assert corners[:2].tolist() == OBJECTS
        assert len(corners) == len(out["gt_bboxes_labels"]) == len(out["gt_ignore_flags"]) == 4
        assert out["gt_bboxes_labels"].tolist() == [2, 3, 2, 2]  # what is ignored is not cut out
        assert out["gt_ignore_flags"].tolist() == [False, True, False, False]
        for x0, y0, x1, y1 in corners[2:].astype(int):
            assert {x1 - x0, y1 - y0} == {14, 12}
            assert (out["img"][y0 + 1 : y1 - 1, x0 + 1 : x1 - 1] == 220).all()


def test_pieces_are_resized_as_the_image_was(tmp_path: Path):
    torch.manual_seed(0)
    steps = pipeline(
        dict(type="Resize", scale_factor=2.0), dict(type="PastePieces", number=(1, 1), scale=(1.0, 1.0)), box_type=None
    )
    x0, y0, x1, y1 = steps(save(tmp_path, 0))["gt_bboxes"][-1]
    assert sorted([x1 - x0, y1 - y0]) == pytest.approx([24, 28], abs=1)


def test_an_image_is_cut_once_and_the_bank_is_a_uniform_sample(tmp_path: Path, monkeypatch):
    torch.manual_seed(0)
    counts = np.zeros(20)
    monkeypatch.setattr(
        "ccrop.projects.detection_transfer.copy_paste_transforms.cut_pieces",
        lambda image, boxes, labels: [Piece(image, None, None, int(label)) for label in labels],
    )
    seeds = np.random.default_rng(0).integers(1 << 30, size=200)
    for seed in seeds:
        torch.manual_seed(int(seed))
        collect = CollectPieces(max_pieces=5)
        for _ in range(2):
            for number in range(10):
                sample = dict(
                    img=None,
                    img_path=str(number),
                    gt_bboxes=np.zeros((2, 4)),
                    gt_bboxes_labels=np.array([2 * number, 2 * number + 1]),
                    gt_ignore_flags=np.zeros(2, bool),
                )
                pieces = collect(sample)["pieces"]
        labels = [piece.label for piece in pieces]
        assert len(labels) == len(set(labels)) == 5
        counts[labels] += 1
    assert np.abs(counts / 200 - 5 / 20).max() < 0.12  # 4 standard errors


def empty(**more) -> dict:
    none = dict(gt_bboxes=np.zeros((0, 4)), gt_bboxes_labels=np.zeros(0, int), gt_ignore_flags=np.zeros(0, bool))
    return dict(img=np.full((64, 64, 3), 80, np.uint8), **none, **more)


def test_an_empty_bank_and_a_share_of_images_without_pieces():
    torch.manual_seed(0)
    assert PastePieces()(empty(pieces=[]))["gt_bboxes"].shape == (0, 4)
    square = np.pad(np.ones((6, 6), np.float32), 2)
    piece = Piece(np.full((10, 10, 3), 200, np.uint8), square, np.full(3, 80, np.float32), 1)
    some = PastePieces(number=(1, 3), prob=0.4)
    numbers = [len(some(empty(pieces=[piece]))["gt_bboxes"]) for _ in range(300)]
    assert set(numbers) == {0, 1, 2, 3}
    assert abs(np.mean(np.array(numbers) > 0) - 0.4) < 0.12  # 4 standard errors


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        (CollectPieces, dict(max_pieces=0)),
        *((PastePieces, wrong) for wrong in (dict(number=(3, 1)), dict(number=(-2, 1)), dict(prob=1.5))),
        *((PastePieces, wrong) for wrong in (dict(scale=(1.4, 0.6)), dict(scale=(0, 1)))),
    ],
)
def test_numbers_that_would_paste_nothing_are_refused_before_training(kind: type, wrong: dict):
    (name,) = wrong
    with pytest.raises(ValueError, match=f"{kind.__name__}' {name} must be"):
        kind(**wrong)


def test_masks_and_a_missing_bank_are_refused_at_the_first_sample():
    with pytest.raises(ValueError, match="with_mask=False"):
        PastePieces()(empty(pieces=[], gt_masks=None))
    with pytest.raises(ValueError, match="CollectPieces after LoadAnnotations"):
        PastePieces()(empty())


def test_the_config_pastes_into_tiles(tmp_path: Path):
    torch.manual_seed(0)
    config = Config.fromfile(ROOT / "projects/detection_transfer/configs/tiles_r18_paste.py")
    plain = Config.fromfile(ROOT / "projects/detection_transfer/configs/tiles_r18.py")
    steps = config.train_dataloader.dataset.pipeline
    assert [step for step in steps if step.type not in ("CollectPieces", "PastePieces")] == plain.train_pipeline
    with DefaultScope.overwrite_default_scope("mmdet"):
        tiles = Compose([TRANSFORMS.build(step) for step in steps])
    pasted = 0
    for number in range(8):
        out = tiles(save(tmp_path, number))
        assert out["img"].shape == (128, 128, 3)
        assert out["gt_bboxes"].dtype == np.float32
        assert (out["gt_bboxes"] >= 0).all()
        assert (out["gt_bboxes"] <= 128).all()
        pasted += len(out["gt_bboxes"]) - 2
    assert pasted > 8
