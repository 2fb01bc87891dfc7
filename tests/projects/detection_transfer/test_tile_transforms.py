"""Tiles show what the image shows, and their boxes lie where the objects are."""

import numpy as np
import pytest
import torch
from mmdet.datasets.transforms import PackDetInputs
from mmdet.structures.bbox import HorizontalBoxes
from PIL import Image

from ccrop.projects.detection_transfer.images import KeptImage
from ccrop.projects.detection_transfer.tile_transforms import ObjectTile, RandomLevels, cut, pack_tiles


def results(boxes: list[list[float]], labels: list[int] | None = None, shape: tuple[int, ...] = (90, 120, 3)) -> dict:
    """An image that is white within the boxes and black elsewhere."""
    image = np.zeros(shape, np.uint8)
    for x0, y0, x1, y1 in boxes:
        image[int(y0) : int(y1), int(x0) : int(x1)] = 255
    return dict(
        img=image,
        gt_bboxes=HorizontalBoxes(np.array(boxes, np.float32).reshape(-1, 4)),
        gt_bboxes_labels=np.array(labels or [0] * len(boxes)),
        gt_ignore_flags=np.zeros(len(boxes), bool),
    )


@pytest.mark.parametrize("shape", [(90, 120, 3), (90, 120), (90, 120, 5), (20, 25, 3)])
def test_boxes_follow_the_pixels(shape: tuple[int, ...]):
    torch.manual_seed(1)
    tile = ObjectTile(size=40, scale=(0.5, 2.0), object_prob=0.7, min_visible=0.01, mirror=(0.5, 0.5))
    found = 0
    for _ in range(60):
        out = tile.transform(results([[6, 4, 18, 16]], shape=shape))
        assert out["img"].shape == (40, 40, *(shape[2:] or (1,)))
        white = out["img"][..., 0] > 127
        if out["gt_bboxes"].tensor.numel() and not out["gt_ignore_flags"][0]:
            rows, columns = np.flatnonzero(white.any(axis=1)), np.flatnonzero(white.any(axis=0))
            pixels = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1] if len(rows) else [0, 0, 0, 0]
            assert np.abs(out["gt_bboxes"].numpy()[0] - pixels).max() <= 2
            found += 1
    assert found >= 30


def test_a_tile_around_an_object_shows_its_center():
    torch.manual_seed(0)
    tile = ObjectTile(size=32, scale=(1.0, 1.0), object_prob=1.0, offset=0.4)
    for _ in range(50):
        out = tile.transform(results([[100, 70, 110, 84]]))
        x0, y0, x1, y1 = out["gt_bboxes"].numpy()[0]
        assert 0 < (x0 + x1) / 2 < 32
        assert 0 < (y0 + y1) / 2 < 32


def test_categories_of_an_image_are_drawn_alike_however_many_objects_they_have():
    torch.manual_seed(0)
    tile = ObjectTile(size=16, scale=(1.0, 1.0), object_prob=1.0, offset=0.0)
    crowd = [[x, 4, x + 4, 8] for x in range(4, 40, 4)]
    lone = [[100, 70, 104, 74]]
    shown = [tile.transform(results(crowd + lone, [0] * len(crowd) + [1]))["gt_bboxes_labels"] for _ in range(200)]
    share = np.mean([1 in labels for labels in shown])
    assert abs(share - 0.5) < 0.12  # 3.4 standard errors


def test_what_is_mostly_cut_off_is_ignored_and_what_is_gone_left_out():
    tile = ObjectTile(size=20, scale=(1.0, 1.0), object_prob=0.0, min_visible=0.5)
    tile._corner = lambda *_: np.array([10, 10])
    out = tile.transform(results([[4, 12, 14, 22], [7, 12, 17, 22], [50, 50, 60, 60], [28, 28, 30, 30]]))
    assert out["gt_bboxes"].numpy().tolist() == [[0, 2, 4, 12], [0, 2, 7, 12], [18, 18, 20, 20]]
    assert out["gt_ignore_flags"].tolist() == [True, False, False]


def test_half_of_the_tiles_lie_anywhere():
    torch.manual_seed(0)
    tile = ObjectTile(size=10, scale=(1.0, 1.0), object_prob=0.5, offset=0.0)
    shown = [len(tile.transform(results([[100, 70, 104, 74]]))["gt_bboxes_labels"]) for _ in range(300)]
    assert abs(np.mean(shown) - 0.5) < 0.1


def test_a_cut_at_its_own_scale_is_the_image_itself():
    image = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)
    assert (cut(image, 5, 7, 16, 16, 114) == image[7:23, 5:21]).all()
    padded = cut(image, 30, 20, 16, 16, 114)
    assert (padded[:10, :10] == image[20:, 30:]).all()
    assert (padded[10:] == 114).all()
    assert (padded[:, 10:] == 114).all()


def test_transforms_of_a_run_draw_differently_and_a_seed_draws_again():
    torch.manual_seed(0)
    tile, levels, again = ObjectTile().rng.random(8), RandomLevels().rng.random(8), ObjectTile().rng.random(8)
    assert (tile == again).all()
    assert not np.isin(tile, levels).any()


def test_levels_change_alike_in_all_pixels():
    torch.manual_seed(0)
    image = np.arange(256, dtype=np.uint8).reshape(16, 16, 1)
    out = RandomLevels(gain=(0.5, 0.5), offset=0).transform(dict(img=image))["img"]
    assert (out == np.round(image * 0.5).astype(np.uint8)).all()
    moved = RandomLevels().transform(dict(img=image))["img"].astype(int).ravel()
    inner = moved[(moved > 0) & (moved < 255)]
    assert set(np.diff(inner)) <= {0, 1, 2}
    assert moved.tolist() == sorted(moved)


def test_an_image_is_read_once_and_what_is_kept_is_bounded(tmp_path, monkeypatch):
    files = []
    for number in range(3):
        files.append(str(tmp_path / f"{number}.png"))
        Image.new("RGB", (100, 100), (number, 0, 0)).save(files[-1])
    loader = KeptImage(megabytes=0)
    loader.room = 70_000  # two of 30,000 bytes
    first = [loader.transform(dict(img_path=file))["img"] for file in files]
    assert list(loader.kept) == files[:2]
    again = [loader.transform(dict(img_path=file))["img"] for file in files]
    assert all((a == b).all() for a, b in zip(first, again, strict=True))
    assert again[0] is first[0]
    with pytest.raises(ValueError, match="read-only"):
        again[0][0] = 1


def test_a_tile_is_mirrored_with_its_boxes():
    boxes = [[2, 3, 6, 9], [10, 12, 15, 20]]
    plain, mirrored = (
        ObjectTile(size=20, scale=(1.0, 1.0), object_prob=0.0, mirror=probabilities).transform(
            results(boxes, shape=(20, 20, 3))
        )
        for probabilities in ((0.0, 0.0), (1.0, 1.0))
    )
    assert (mirrored["img"] == plain["img"][::-1, ::-1]).all()
    assert mirrored["gt_bboxes"].numpy().tolist() == [[14, 11, 18, 17], [5, 0, 10, 8]]


def test_a_packed_batch_is_what_mmdet_packs():
    torch.manual_seed(0)
    tile = ObjectTile(size=32, scale=(1.0, 1.0), min_visible=0.9)
    tiles = [tile.transform(results(boxes)) for boxes in ([[4, 4, 30, 30], [40, 40, 50, 60]], [], [[1, 1, 9, 9]])]
    arrays = [each | dict(gt_bboxes=each["gt_bboxes"].numpy(), img_path="", ori_shape=(90, 120)) for each in tiles]
    batch = pack_tiles(arrays)
    expected = [PackDetInputs(meta_keys=("img_shape", "scale_factor")).transform(each) for each in tiles]
    assert torch.equal(batch["inputs"], torch.stack([each["inputs"] for each in expected]))
    for own, other in zip(batch["data_samples"], (each["data_samples"] for each in expected), strict=True):
        for name in ("gt_instances", "ignored_instances"):
            assert torch.equal(own.get(name).bboxes, other.get(name).bboxes.tensor)
            assert torch.equal(own.get(name).labels, other.get(name).labels)
        assert own.img_shape == other.img_shape
        assert own.scale_factor == other.scale_factor


@pytest.mark.parametrize(
    "wrong",
    [
        *(dict(size=0), dict(scale=(2.0, 0.5)), dict(scale=1.0), dict(scale=(0, 1))),
        *(dict(object_prob=7), dict(object_prob=-0.1), dict(mirror=(0.5, 2))),
    ],
)
def test_a_tile_without_pixels_scale_or_probability_is_refused_before_training(wrong: dict):
    (name,) = wrong
    with pytest.raises(ValueError, match=f"ObjectTile's {name} must be"):
        ObjectTile(**wrong)
