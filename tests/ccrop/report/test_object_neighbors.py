"""Neighbors, their agreement, the map, and the cut-outs that stand for objects."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from ccrop.report.object_neighbors import THUMBNAIL, ObjectFeatures, agreement, cut_out, draw_map, flat_map, neighbors


def objects(angles: list[float], images: list[int], names: list[str] | None = None) -> ObjectFeatures:
    angles = torch.tensor(angles)
    features = torch.stack([angles.cos(), angles.sin()], dim=1)
    thumbnails = [Image.new("RGB", (THUMBNAIL, THUMBNAIL), (number + 1, 0, 0)) for number in range(len(images))]
    return ObjectFeatures(features, torch.tensor(images), thumbnails, names, "objects")


def test_neighbors_are_the_nearest_of_other_images():
    nearest, cosine = neighbors(objects([0, 0.1, 0.2, 1.5, 1.6], [0, 0, 1, 1, 2]), 2)
    assert nearest[0].tolist() == [2, 3]
    assert nearest[4].tolist() == [3, 2]
    assert cosine[0, 0].item() == pytest.approx(np.cos(0.2), abs=1e-6)


def test_agreement_stands_beside_chance():
    found = objects([0, 0.1, 1.5, 1.6], [0, 1, 2, 3], ["cup", "cup", "car", "cup"])
    nearest, _ = neighbors(found)
    # nearest: 1, 0, 3, 2, of which two agree; of 12 ordered pairs the 6 among three cups
    assert agreement(found, nearest) == pytest.approx((0.5, 0.5))


def test_a_flat_map_keeps_what_is_far_apart_far_apart():
    centers = torch.eye(16)[:2].repeat_interleave(10, dim=0)
    noise = torch.randn(20, 16, generator=torch.Generator().manual_seed(0))
    places, method = flat_map(F.normalize(centers + 0.02 * noise, dim=1))
    assert method in ("PCA", "UMAP")
    assert places.min() == pytest.approx(0, abs=1e-6)
    assert places.max() == pytest.approx(1, abs=1e-6)
    apart = np.linalg.norm(places[:10].mean(axis=0) - places[10:].mean(axis=0))
    assert apart > 0.5


def test_a_map_shows_each_object_at_its_place_and_no_two_at_one():
    found = objects([0, 1, 2], [0, 1, 2])
    drawn = np.asarray(draw_map(found, np.array([[0, 0], [1, 1], [0.001, 0]]), side=200, thumbnail=40))
    assert drawn[20, 20].tolist() == [1, 0, 0]
    assert drawn[180, 180].tolist() == [2, 0, 0]
    assert drawn[20, 180].tolist() == [255, 255, 255]
    assert not (drawn == [3, 0, 0]).all(axis=2).any()


def test_a_cut_out_is_a_square_around_the_box():
    image = Image.new("RGB", (200, 100))
    image.paste("white", (80, 40, 120, 60))
    picture = np.asarray(cut_out(image, [0.4, 0.4, 0.6, 0.6])) > 128  # 40 x 20 px in a square of 52
    assert picture.shape[:2] == (THUMBNAIL, THUMBNAIL)
    rows, columns = np.nonzero(picture[..., 0])
    scale = THUMBNAIL / 52
    assert np.ptp(columns) + 1 == pytest.approx(40 * scale, abs=2)
    assert np.ptp(rows) + 1 == pytest.approx(20 * scale, abs=2)
    assert columns.mean() == pytest.approx(THUMBNAIL / 2, abs=1)
