"""Boxes of unlabeled images: what snapping keeps, and which boxes resemble objects."""

from pathlib import Path

import numpy as np
import pytest
import torch
from jobs import ROOT
from mmengine.config import ConfigDict
from PIL import Image

from ccrop.datasets import CocoImages
from ccrop.projects.detection_transfer.cluster_boxes import looking, objects_alone, snapped
from ccrop.projects.detection_transfer.pseudo_pretraining import first_boxes

LOOKS = dict(config=str(ROOT / "configs/comparison/region_clusters.py"), options={"model.backbone.base_channels": 16})


def test_snapped_boxes_keep_their_scores(tmp_path: Path):
    pixels = np.full((80, 80, 3), 90, np.uint8)
    pixels[20:36, 30:50] = 200
    (tmp_path / "train").mkdir()
    Image.fromarray(pixels).save(tmp_path / "train/a.png")
    boxes = np.array([[27, 18, 48, 40, 0.7], [60, 60, 75, 75, 0.9]], np.float32)
    (found,) = snapped(CocoImages(tmp_path), [boxes])
    assert found.tolist() == [[30.0, 20.0, 50.0, 36.0, pytest.approx(0.7)]]


@pytest.fixture
def squares(tmp_path: Path) -> tuple[CocoImages, list[np.ndarray]]:
    """20 noisy images, each with three bright squares, which the first three of its six boxes show."""
    rng = np.random.default_rng(0)
    (tmp_path / "train").mkdir()
    boxes = []
    for number in range(20):
        pixels = rng.normal(90, 20, (160, 160)).clip(0, 255)
        cells = rng.permutation(16)[:6]
        corners = np.stack([cells % 4, cells // 4], axis=1) * 40 + rng.integers(4, 16, (6, 2))
        for x, y in corners[:3]:
            pixels[y : y + 16, x : x + 16] = 230
        boxes.append(np.concatenate([corners, corners + 16, np.ones((6, 1))], axis=1).astype(np.float32))
        Image.fromarray(pixels.astype(np.uint8)).convert("RGB").save(tmp_path / f"train/{number:02}.png")
    return CocoImages(tmp_path), boxes


def test_boxes_that_look_like_background_go(squares: tuple[CocoImages, list[np.ndarray]]):
    images, boxes = squares
    model, _ = looking(images, LOOKS, None, None, seed=0)
    kept = objects_alone(model, images, boxes, 0.8)
    shown = [{tuple(row) for row in own.tolist()} for own in kept]
    squares_kept = sum(tuple(row) in own for own, given in zip(shown, boxes, strict=True) for row in given[:3].tolist())
    chance_kept = sum(tuple(row) in own for own, given in zip(shown, boxes, strict=True) for row in given[3:].tolist())
    assert squares_kept == 60
    assert chance_kept <= 12


def test_images_without_boxes_are_passed_over(squares: tuple[CocoImages, list[np.ndarray]]):
    images, boxes = squares
    boxes[0] = boxes[0][:0]
    model, _ = looking(images, LOOKS, None, None, seed=0)
    kept = objects_alone(model, images, boxes, 0.8)
    assert len(kept[0]) == 0
    assert all(len(own) <= 6 for own in kept)
    assert len(kept[2]) < 6


def test_clusters_none_of_which_resembles_an_object_are_refused(squares: tuple[CocoImages, list[np.ndarray]]):
    settings = ConfigDict(clusters=LOOKS, max_boxes=16, min_objectness=1.1)
    with pytest.raises(
        ValueError, match=r"clusters with a silhouette resembles an object by 1\.1: lower pseudo_boxes\."
    ):
        first_boxes(squares[0], settings, Path(), None, None, seed=0)


def test_without_a_threshold_no_image_is_looked_at(squares: tuple[CocoImages, list[np.ndarray]]):
    images, boxes = squares
    assert all(map(np.array_equal, objects_alone(torch.nn.Identity(), images, boxes, 0), boxes))


@pytest.mark.parametrize(("max_boxes", "least", "most"), [(16, 1, 32), (64, 33, 128)])
def test_images_with_many_objects_get_as_many_clusters(tmp_path: Path, max_boxes: int, least: int, most: int):
    pixels = np.random.default_rng(0).normal(90, 3, (320, 320)).clip(0, 255)
    for corner in range(64):
        y, x = 40 * (corner // 8) + 14, 40 * (corner % 8) + 14
        pixels[y : y + 12, x : x + 12] = 230
    (tmp_path / "train").mkdir()
    Image.fromarray(pixels.astype(np.uint8)).convert("RGB").save(tmp_path / "train/a.png")
    settings = ConfigDict(clusters=LOOKS, max_boxes=max_boxes, min_objectness=0)
    (found,) = first_boxes(CocoImages(tmp_path), settings, Path(), None, None, seed=0)
    assert least <= len(found) <= most
