import json

import numpy as np
import pytest
from PIL import Image

from ccrop.datasets import CocoImages, InvalidAnnotations, MissingData, ObjectCrops
from ccrop.datasets.coco import annotated_boxes, square_around

LAYOUTS = ["train2017", "train", "images/train2017", "images/train"]


def write_images(folder, names):
    folder.mkdir(parents=True)
    for name in names:
        Image.new("RGB", (8, 8)).save(folder / name)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_is_found_without_annotations(tmp_path, layout):
    write_images(tmp_path / layout, ["2.jpg", "1.jpg"])
    dataset = CocoImages(tmp_path)
    assert [dataset.get_data_info(i)["path"] for i in range(2)] == [f"{layout}/1.jpg", f"{layout}/2.jpg"]
    assert dataset[1]["image"].size == (8, 8)


@pytest.mark.parametrize("split", ["val", "val2017"])
def test_split_is_named_with_or_without_the_year(tmp_path, split):
    write_images(tmp_path / "train2017", ["1.jpg"])
    write_images(tmp_path / "val2017", ["2.jpg"])
    dataset = CocoImages(tmp_path, split=split)
    assert [dataset.get_data_info(i)["path"] for i in range(len(dataset))] == ["val2017/2.jpg"]


def test_annotations_are_not_even_read(tmp_path):
    write_images(tmp_path / "train2017", ["1.jpg"])
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations" / "instances_train2017.json").write_text("{ not json")
    assert len(CocoImages(tmp_path)) == 1


def test_missing_split_shows_the_layout(tmp_path):
    write_images(tmp_path / "train2017", ["1.jpg"])
    with pytest.raises(MissingData, match="no images of split 'val'; expected layout") as caught:
        CocoImages(tmp_path, split="val")
    assert f"{tmp_path}/val2017/*.jpg" in str(caught.value)


def test_empty_split_is_an_error(tmp_path):
    (tmp_path / "train2017").mkdir()
    with pytest.raises(MissingData, match="no image found"):
        CocoImages(tmp_path)


def test_missing_annotations_show_the_layout(tmp_path):
    write_images(tmp_path / "val2017", ["1.jpg"])
    with pytest.raises(MissingData, match="no annotations of split 'val'; expected layout") as caught:
        ObjectCrops(tmp_path)
    assert f"{tmp_path}/annotations/instances_val2017.json" in str(caught.value)


@pytest.mark.parametrize(
    ("box", "context", "image_size", "square"),
    [
        ((10, 20, 30, 10), 1.2, (100, 80), (7, 7, 43, 43)),  # side 36 around (25, 25)
        ((10, 20, 30, 10), 1.0, (100, 80), (10, 10, 40, 40)),
        ((90, 0, 10, 10), 1.2, (100, 80), (88, 0, 100, 12)),  # around (95, 5), pushed left and down
        ((0, 70, 10, 10), 1.2, (100, 80), (0, 68, 12, 80)),
        ((0, 0, 100, 20), 1.2, (100, 50), (25, 0, 75, 50)),  # 120 does not fit into 50
        ((40, 30, 0.2, 0.2), 1.2, (100, 80), (40, 30, 41, 31)),
    ],
)
def test_square_around_by_hand(box, context, image_size, square):
    assert square_around(box, context, image_size) == square


def test_square_lies_in_the_image_and_shows_a_box_that_fits():
    rng = np.random.default_rng(0)
    for _ in range(500):
        width, height = rng.integers(20, 200, 2).tolist()
        x, y = rng.uniform(0, (width - 8, height - 8)).tolist()
        w, h = rng.uniform(4, (width - x, height - y)).tolist()
        left, top, right, bottom = square_around((x, y, w, h), 1.2, (width, height))
        assert 0 <= left < right <= width
        assert 0 <= top < bottom <= height
        assert right - left == bottom - top == min(round(1.2 * max(w, h)), width, height)
        if 1.2 * max(w, h) <= min(width, height):
            assert left - 1 <= x
            assert x + w <= right + 1
            assert top - 1 <= y
            assert y + h <= bottom + 1


def write_set(root, annotations, size=(100, 80), layout="val2017"):
    """One image whose red is the column and whose green is the row, with categories 7 (dog) and 3 (cat)."""
    columns, rows = np.meshgrid(np.arange(size[0]), np.arange(size[1]))
    pixels = np.stack((columns, rows, np.zeros_like(rows)), -1).astype(np.uint8)
    (root / layout).mkdir(parents=True)
    Image.fromarray(pixels).save(root / layout / "11.png")
    (root / "annotations").mkdir()
    content = dict(
        images=[dict(id=11, file_name="11.png", width=size[0], height=size[1])],
        categories=[dict(id=7, name="dog"), dict(id=3, name="cat")],
        annotations=[dict(id=i, image_id=11, iscrowd=0) | annotation for i, annotation in enumerate(annotations)],
    )
    (root / "annotations" / "instances_val2017.json").write_text(json.dumps(content))


@pytest.mark.parametrize("layout", ["val2017", "images/val"])
def test_objects_are_cut_out_and_labeled(tmp_path, layout):
    write_set(
        tmp_path,
        [
            dict(bbox=[10, 20, 30, 10], category_id=7),
            dict(bbox=[90, 0, 10, 10], category_id=3),
        ],
        layout=layout,
    )
    dataset = ObjectCrops(tmp_path)
    assert dataset.classes == ("cat", "dog")
    wide, corner = dataset
    assert (wide["label"], corner["label"]) == (1, 0)
    assert (wide["image"].size, corner["image"].size) == ((36, 36), (12, 12))
    assert [wide["image"].getpixel(at)[:2] for at in ((0, 0), (35, 35))] == [(7, 7), (42, 42)]
    assert [corner["image"].getpixel(at)[:2] for at in ((0, 0), (11, 11))] == [(88, 0), (99, 11)]


def test_context_scales_the_square(tmp_path):
    write_set(tmp_path, [dict(bbox=[40, 30, 20, 10], category_id=7)])
    sample = ObjectCrops(tmp_path, context=2)[0]
    assert sample["image"].size == (40, 40)
    assert sample["image"].getpixel((0, 0))[:2] == (30, 15)


def test_crowds_and_tiny_boxes_are_left_out(tmp_path):
    write_set(
        tmp_path,
        [
            dict(bbox=[0, 0, 50, 50], category_id=7, iscrowd=1),
            dict(bbox=[0, 0, 50, 7.9], category_id=7),
            dict(bbox=[0, 0, 7.9, 50], category_id=7),
            dict(bbox=[0, 0, 8, 50], category_id=3),
        ],
    )
    assert [sample["label"] for sample in ObjectCrops(tmp_path)] == [0]
    assert [sample["label"] for sample in ObjectCrops(tmp_path, min_side=7)] == [1, 1, 0]
    with pytest.raises(MissingData, match="annotates no objects of at least 60 px"):
        ObjectCrops(tmp_path, min_side=60)


@pytest.mark.parametrize(
    ("dangling", "reason"),
    [
        (dict(image_id=12), "1 annotations belong to images that it does not list, the first, 1, to image 12"),
        (dict(category_id=4), r"its annotations use the unlisted categories \['4'\]"),
    ],
)
def test_dangling_ids_are_named(tmp_path, dangling, reason):
    good = dict(bbox=[0, 0, 20, 20], category_id=7)
    write_set(tmp_path, [good, good | dangling])
    with pytest.raises(InvalidAnnotations, match=rf"instances_val2017\.json: {reason}"):
        ObjectCrops(tmp_path)


def test_classes_are_numbered_by_the_training_split(tmp_path):
    write_set(tmp_path, [dict(bbox=[0, 0, 20, 20], category_id=7), dict(bbox=[0, 0, 30, 30], category_id=3)])
    val = tmp_path / "annotations/instances_val2017.json"
    content = json.loads(val.read_text())
    ant = dict(id=5, name="ant")  # between cat and dog
    (val.parent / "instances_train2017.json").write_text(
        json.dumps(content | dict(annotations=[], categories=[*content["categories"], ant]))
    )
    dataset = ObjectCrops(tmp_path)
    assert dataset.classes == ("cat", "ant", "dog")
    assert [sample["label"] for sample in dataset] == [2, 0]
    assert [image.categories.tolist() for image in annotated_boxes(tmp_path, "val")] == [[7, 3]]


def test_boxes_of_a_whole_split_in_fractions(tmp_path):
    content = {
        "images": [
            {"id": 7, "file_name": "seven.jpg", "width": 200, "height": 100},
            {"id": 8, "file_name": "eight.jpg", "width": 10, "height": 10},
        ],
        "annotations": [
            {"image_id": 7, "category_id": 4, "bbox": [20, 10, 40, 50]},
            {"image_id": 7, "category_id": 2, "bbox": [0, 0, 200, 100], "iscrowd": 1},
            {"image_id": 7, "category_id": 2, "bbox": [190, 90, 20, 20]},  # sticks out
        ],
        "categories": [{"id": 2, "name": "cat"}, {"id": 4, "name": "dog"}],
    }
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations" / "instances_val2017.json").write_text(json.dumps(content))
    first, second = annotated_boxes(tmp_path, "val")
    assert first.size == (100, 200)
    np.testing.assert_allclose(first.boxes, [[0.1, 0.1, 0.3, 0.6], [0.95, 0.9, 1, 1]])
    assert first.categories.tolist() == [4, 2]
    assert (first.file_name, second.file_name) == ("seven.jpg", "eight.jpg")
    assert second.categories.shape == (0,)
    assert second.boxes.shape == (0, 4)


def test_annotations_are_read_again_only_after_a_change(tmp_path, monkeypatch):
    write_set(tmp_path, [dict(bbox=[0, 0, 20, 20], category_id=7)])
    reads = []
    parse = json.loads
    monkeypatch.setattr(json, "loads", lambda text: reads.append(text) or parse(text))
    for _ in range(3):
        assert [len(image.boxes) for image in annotated_boxes(tmp_path, "val")] == [1]
    assert len(reads) == 1
    file = tmp_path / "annotations/instances_val2017.json"
    content = parse(file.read_text())
    content["annotations"].append(content["annotations"][0] | dict(id=5, bbox=[0, 0, 30, 30]))
    file.write_text(json.dumps(content))
    assert [len(image.boxes) for image in annotated_boxes(tmp_path, "val")] == [2]
    with pytest.raises(ValueError, match="read-only"):
        annotated_boxes(tmp_path, "val")[0].boxes[:] = 0


def test_boxes_of_an_unknown_image_are_named(tmp_path):
    wrong = {"id": 3, "image_id": 9, "category_id": 1, "bbox": [0, 0, 1, 1]}
    content = {"images": [], "annotations": [wrong], "categories": [{"id": 1, "name": "cat"}]}
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations" / "instances_val.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match="the first, 3, to image 9"):
        annotated_boxes(tmp_path, "val")
