"""Sizes, boxes and areas of annotation files."""

import math
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image
from pycocotools import mask as coco_mask

from ccrop.datasets import coco_geometry
from ccrop.datasets.base import InvalidAnnotations
from ccrop.datasets.coco_geometry import mask_area, repair_areas, repair_boxes, repair_sizes

FILE = Path("labels.json")
WIDTH, HEIGHT = 60, 40
NAN, INF = math.nan, math.inf


def content_of(*boxes, right=200):
    """Boxes in an image after this many right ones."""
    every = [[1, 2, 10, 10]] * right + list(boxes)
    annotations = [dict(id=n, image_id=5, bbox=box) for n, box in enumerate(every, 1)]
    return dict(images=[dict(id=5, file_name="5.png", width=WIDTH, height=HEIGHT)], annotations=annotations)


@pytest.mark.parametrize(
    "box",
    [
        [96.65, 38.33, 1.03, 0.0],  # annotation 918 of COCO's train2017
        [5, 5, 0, 5],
        [5, 5, -3, 5],
        [NAN, 5, 5, 5],
        [5, 5, INF, 5],
        [-INF, 5, INF, 5],
        [WIDTH + 5, 5, 9, 9],
        [-30, 5, 20, 9],
        [5, 5, 10**400, 5],
        [5, 5, 5],
        [5, 5, 5, 5, 5],
        ["a", 5, 5, 5],
        None,
        dict(x=1),
    ],
)
def test_a_box_without_an_area_in_its_image_is_left_out_and_counted(box):
    content = content_of(box)
    assert repair_boxes(content, FILE) == ["1 boxes without an area in their image (left out)"]
    assert [each["id"] for each in content["annotations"]] == list(range(1, 201))


def test_boxes_in_fractions_of_their_image_are_refused():
    fractions = [[0.1, 0.2, 0.3, 0.4], [0.5, 0.5, 0.5, 0.5]]
    with pytest.raises(
        InvalidAnnotations, match=r"labels\.json: all 2 boxes .* as if they were fractions .* annotation 1: \[0\.1, "
    ):
        repair_boxes(content_of(*fractions, right=0), FILE)
    assert repair_boxes(content_of(*fractions, right=1), FILE) == []  # tiny, but in pixels as the other one


@pytest.mark.parametrize(
    ("box", "clipped"),
    [
        ([-4, 5, 10, 10], [0, 5, 6, 10]),
        ([50, 30, 30, 40], [50, 30, 10, 10]),
        ([-100, -100, 400, 400], [0, 0, 60, 40]),
    ],
)
def test_a_box_that_leaves_its_image_is_clipped_and_counted(box, clipped):
    content = content_of(box)
    assert repair_boxes(content, FILE) == ["1 boxes that extend beyond their image (clipped)"]
    assert content["annotations"][-1]["bbox"] == clipped


@pytest.mark.parametrize("box", [[0, 0, 60, 40], [-1, -1, 62, 42], [59.5, 39.5, 0.5, 1.4], [0.25, 0.5, 1e-3, 1e-3]])
def test_boxes_inside_and_a_pixel_outside_stay_as_they_are(box):
    content = content_of(box)
    assert repair_boxes(content, FILE) == []
    assert content == content_of(box)


def test_boxes_of_text_become_numbers():
    content = content_of(["1.5", "2", "3", "4"])
    assert repair_boxes(content, FILE) == ["1 boxes given as text (read as numbers)"]
    assert content["annotations"][-1]["bbox"] == [1.5, 2, 3, 4]


@pytest.mark.parametrize(("right", "wrong"), [(0, 1), (48, 1), (99, 1), (198, 2), (990, 10)])
def test_one_wrong_box_or_one_in_a_hundred_is_tolerated(right, wrong):
    content = content_of(*[[5, 5, 0, 5]] * wrong, right=right)
    assert repair_boxes(content, FILE) == [f"{wrong} boxes without an area in their image (left out)"]


@pytest.mark.parametrize(("right", "wrong"), [(0, 2), (48, 2), (197, 3), (989, 11)])
def test_more_are_refused_with_the_first_of_them(right, wrong):
    with pytest.raises(InvalidAnnotations) as caught:
        repair_boxes(content_of(*[[NAN, 5, 2, 5]] * wrong, right=right), FILE)
    assert str(caught.value).startswith(f"labels.json: {wrong} of {right + wrong} boxes have no area")
    assert f"the first is of annotation {right + 1}: [nan, 5, 2, 5] in an image of [60, 40] pixels" in str(caught.value)


SQUARE = [[10, 10, 30, 10, 30, 30, 10, 30]]  # 20 x 20
TRIANGLE = [[10, 10, 30, 10, 10, 30]]  # half of it


def run_lengths(compressed):
    pixels = np.zeros((HEIGHT, WIDTH), np.uint8)
    pixels[10:30, 10:20] = 1
    encoded = coco_mask.encode(np.asfortranarray(pixels))
    if compressed:
        return dict(size=encoded["size"], counts=encoded["counts"].decode())
    return dict(size=[HEIGHT, WIDTH], counts=[10 * HEIGHT + 10, *[20, 20] * 9, 20, 40 * HEIGHT + 10])


@pytest.mark.parametrize(
    ("segmentation", "area"),
    [
        (SQUARE, 400),
        (TRIANGLE, 200),
        ([*SQUARE, [0, 0, 4, 0, 4, 5, 0, 5]], 420),
        (run_lengths(True), 200),
        (run_lengths(False), 200),
        ([], 0),
        (None, 0),
        ([[1, 2, 3]], 0),
        (["x"], 0),
        ([[NAN, 1, 2, 3, 4, 5]], 0),
        (7, 0),
        (dict(size=[4, 4]), 0),
        (dict(size=[4, 4], counts=["a", "b"]), 0),
        (dict(size=[4, 4], counts=[1, 10**400]), 0),
        (dict(counts="04404"), 0),
        (dict(size=[4], counts="04404"), 0),
        (dict(size=["4", "4"], counts="04404"), 0),
        (dict(size=[-4, 10**30], counts="04404"), 0),
        ([[10**400, 0, 10, 0, 10, 10]], 0),
    ],
)
def test_area_of_masks(segmentation, area):
    assert mask_area(segmentation) == area


@pytest.mark.parametrize("wrong", [0, -5, WIDTH * HEIGHT, NAN, INF, 10**400, None, "many", 1, 0.02, True])
@pytest.mark.parametrize(("segmentation", "right"), [([], 400), (None, 400), (SQUARE, 400), (TRIANGLE, 200)])
def test_an_area_of_neither_box_nor_mask_becomes_the_mask_s_or_the_box_s(wrong, segmentation, right):
    each = dict(bbox=[10, 10, 20, 20], area=wrong, segmentation=segmentation)
    assert repair_areas([each]) == ["1 areas that match neither box nor mask"]
    assert each["area"] == right


def test_a_missing_area_is_the_box_s():
    each = dict(bbox=[10, 10, 20, 20])
    assert repair_areas([each]) == ["1 areas that match neither box nor mask"]
    assert each["area"] == 400


@pytest.mark.parametrize(
    ("area", "segmentation"),
    [
        (400, []),
        (399.3, []),
        (400, TRIANGLE),
        (200, TRIANGLE),
        (212.5, TRIANGLE),  # outlines are rasterized in other ways
        (188, TRIANGLE),
        (210, run_lengths(True)),
    ],
)
def test_areas_of_box_and_mask_stay_as_they_are(area, segmentation):
    each = dict(bbox=[10, 10, 20, 20], area=area, segmentation=segmentation)
    assert repair_areas([each]) == []
    assert each["area"] == area


def test_a_mask_that_is_not_in_its_box_does_not_count():
    each = dict(bbox=[10, 10, 5, 5], area=0, segmentation=SQUARE)
    repair_areas([each])
    assert each["area"] == 25


def folder_of(tmp_path, sizes, exif=None):
    for number, size in enumerate(sizes):
        Image.new("L", size).save(tmp_path / f"{number}.png", exif=exif or Image.Exif())
    return tmp_path


def listed(*sizes):
    images = [dict(id=n, file_name=f"{n}.png", width=width, height=height) for n, (width, height) in enumerate(sizes)]
    return dict(images=images, annotations=[])


def sizes_of(content):
    return [(image["width"], image["height"]) for image in content["images"]]


@pytest.mark.parametrize(
    "wrong", [(-1, -1), (0, 8), (8, 6), (6, 9), (None, 8), ("6", "8"), (6.0, 8.0), (True, 8), (10**400, 8)]
)
def test_sizes_are_those_of_the_files(tmp_path, wrong):
    content = listed((6, 8), wrong, (9, 3))
    found = repair_sizes(content, FILE, folder_of(tmp_path, [(6, 8), (6, 8), (9, 3)]))
    assert sizes_of(content) == [(6, 8), (6, 8), (9, 3)]
    assert all(type(side) is int for size in sizes_of(content) for side in size)
    assert found == ["1 sizes of images that differ from the files'"]


def test_of_many_images_a_sample_tells_whether_all_are_measured(tmp_path, monkeypatch):
    monkeypatch.setattr(coco_geometry, "MEASURED", 3)  # the first, the third and the last of five
    folder = folder_of(tmp_path, [(6, 8)] * 5)
    unseen = listed((6, 8), (5, 5), (6, 8), (6, 8), (6, 8))
    assert repair_sizes(unseen, FILE, folder) == []
    crossing = listed((6, 8), (5, 5), (6, 8), (6, 8), (6, 8))
    crossing["annotations"] = [dict(id=1, image_id=1, bbox=[0, 0, 6, 8])]  # gives it away
    assert repair_sizes(crossing, FILE, folder) == ["1 sizes of images that differ from the files'"]
    seen = listed((6, 8), (5, 5), (7, 8), (5, 5), (6, 8))
    assert repair_sizes(seen, FILE, folder) == ["3 sizes of images that differ from the files'"]
    assert sizes_of(crossing) == sizes_of(seen) == [(6, 8)] * 5


def test_images_that_are_turned_are_as_they_are_shown_or_refused(tmp_path):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    folder = folder_of(tmp_path, [(6, 8)], exif)
    assert repair_sizes(listed((8, 6)), FILE, folder) == []
    with pytest.raises(InvalidAnnotations, match=r"image 0, .*0\.png, is rotated by its EXIF orientation"):
        repair_sizes(listed((6, 8)), FILE, folder)


def test_an_unreadable_image_keeps_its_size_and_needs_one(tmp_path):
    (tmp_path / "0.png").touch()
    assert repair_sizes(listed((6, 8)), FILE, tmp_path) == []
    with pytest.raises(InvalidAnnotations, match=r"image 0 has no width and height, and its file .* is empty"):
        repair_sizes(listed((0, 0)), FILE, tmp_path)


def test_without_images_a_size_is_taken_as_it_is_and_needed():
    assert repair_sizes(listed((6, 8)), FILE, None) == []
    with pytest.raises(InvalidAnnotations, match=r"labels\.json: image 0 has no width and height: add them"):
        repair_sizes(listed((6, -1)), FILE, None)
