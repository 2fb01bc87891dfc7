import json
import threading
import time

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from ccrop.datasets import demo
from ccrop.datasets.demo import CLASSES, make_demo_set, mask_polygons, sample_layout


@pytest.fixture(scope="module")
def demo_set(tmp_path_factory):
    root = tmp_path_factory.mktemp("demo") / "set"
    make_demo_set(root, num_train=30, num_val=3, seed=3, workers=1)
    return root


@pytest.fixture(scope="module")
def coco(demo_set):
    return COCO(demo_set / "annotations" / "instances_train2017.json")


def contents(root):
    return {str(file.relative_to(root)): file.read_bytes() for file in root.rglob("*") if file.is_file()}


def test_same_seed_gives_same_bytes_whatever_the_workers(demo_set, tmp_path):
    make_demo_set(tmp_path / "again", num_train=30, num_val=3, seed=3, workers=2)
    assert contents(tmp_path / "again") == contents(demo_set)


def test_images_differ_between_indices_splits_and_seeds(demo_set, tmp_path):
    make_demo_set(tmp_path / "other", num_train=2, num_val=2, seed=4)
    files = [file.read_bytes() for root in (demo_set, tmp_path / "other") for file in root.rglob("*.jpg")]
    assert len(files) == 37
    assert len(set(files)) == 37


def test_longer_set_starts_with_the_shorter_one(demo_set, tmp_path):
    make_demo_set(tmp_path / "short", num_train=2, num_val=0, seed=3)
    for file in (tmp_path / "short" / "train2017").iterdir():
        assert file.read_bytes() == (demo_set / "train2017" / file.name).read_bytes()


def test_annotations_agree_with_their_masks(coco):
    annotations = coco.loadAnns(coco.getAnnIds())
    assert len(annotations) >= 30
    for annotation in annotations:
        mask = coco.annToMask(annotation)
        columns, rows = np.flatnonzero(mask.any(0)), np.flatnonzero(mask.any(1))
        tight = [columns[0], rows[0], columns[-1] + 1 - columns[0], rows[-1] + 1 - rows[0]]
        assert annotation["bbox"] == tight
        assert annotation["area"] == mask.sum() >= 16
        assert annotation["iscrowd"] == 0
        points = np.concatenate(annotation["segmentation"]).reshape(-1, 2)
        assert (points >= 0).all()
        assert (points <= (320, 240)).all()


def test_visible_parts_do_not_overlap(coco):
    for image_id in coco.getImgIds():
        masks = [coco.annToMask(each) for each in coco.loadAnns(coco.getAnnIds(image_id))]
        assert 1 <= len(masks) <= 12
        assert sum(masks).max() == 1


def test_files_are_the_images_of_the_annotations(demo_set, coco):
    names = {file.name for file in (demo_set / "train2017").iterdir()}
    assert {image["file_name"] for image in coco.loadImgs(coco.getImgIds())} == names
    assert [category["name"] for category in coco.loadCats(coco.getCatIds())] == list(CLASSES)
    with Image.open(demo_set / "train2017" / "000000000001.jpg") as image:
        assert (image.size, image.mode) == ((320, 240), "RGB")


def rasterise(polygons, height, width):
    data = COCO()
    data.imgs = {1: {"height": height, "width": width}}
    return data.annToMask({"image_id": 1, "segmentation": polygons})


def test_polygons_reproduce_any_mask():
    rng = np.random.default_rng(0)
    for share in (0.02, 0.3, 0.6, 0.9):  # specks, diagonals, holes in holes
        mask = rng.random((23, 31)) < share
        assert (rasterise(mask_polygons(mask), 23, 31) == mask).all()


def test_empty_mask_has_no_polygons():
    assert mask_polygons(np.zeros((4, 5), bool)) == []


def test_objects_stay_visible():
    for seed in range(40):
        things, labels, _ = sample_layout(np.random.default_rng(seed))
        for number, thing in enumerate(things, 1):
            assert (labels == number).sum() >= max(0.3 * thing.area, 16)


def test_sizes_spread_as_in_coco():
    areas = []
    for seed in range(200):
        things, labels, _ = sample_layout(np.random.default_rng((7, seed)))
        areas += [(labels == number).sum() for number in range(1, len(things) + 1)]
    small, medium, large = np.histogram(areas, (0, 32**2, 96**2, np.inf))[0] / len(areas)
    assert (small, medium, large) == pytest.approx((0.41, 0.34, 0.25), abs=0.04)


def test_mean_color_does_not_tell_the_class(demo_set, coco):
    colors, classes = [], []
    for annotation in coco.loadAnns(coco.getAnnIds()):
        name = coco.loadImgs(annotation["image_id"])[0]["file_name"]
        image = np.asarray(Image.open(demo_set / "train2017" / name), np.float32)
        colors.append(image[coco.annToMask(annotation) > 0].mean(0))
        classes.append(annotation["category_id"] - 1)
    colors, classes = np.array(colors), np.array(classes)
    right = 0
    for index in range(len(classes)):  # leave one out
        others = np.arange(len(classes)) != index
        means = [colors[others & (classes == c)].mean(0) for c in range(len(CLASSES))]
        right += np.linalg.norm(means - colors[index], axis=1).argmin() == classes[index]
    assert right / len(classes) < 0.2


def test_complete_set_is_left_alone(demo_set, monkeypatch):
    before = {file: file.stat().st_mtime_ns for file in demo_set.rglob("*")}
    monkeypatch.setattr(demo, "_draw_example", None)
    make_demo_set(demo_set, num_train=30, num_val=3, seed=3)
    assert {file: file.stat().st_mtime_ns for file in demo_set.rglob("*")} == before


def test_interrupted_drawing_leaves_nothing_that_looks_complete(tmp_path, monkeypatch):
    draw = demo._draw_example

    def interrupted(root, seed, job):
        if job == ("val2017", 0):
            raise KeyboardInterrupt
        return draw(root, seed, job)

    monkeypatch.setattr(demo, "_draw_example", interrupted)
    with pytest.raises(KeyboardInterrupt):
        make_demo_set(tmp_path / "set", num_train=2, num_val=1)
    assert list(tmp_path.iterdir()) == []
    monkeypatch.undo()
    make_demo_set(tmp_path / "set", num_train=2, num_val=1)
    annotations = json.loads((tmp_path / "set" / "annotations" / "instances_val2017.json").read_text())
    assert len(annotations["images"]) == 1


def test_of_two_processes_one_waits_and_finds_the_set(tmp_path, monkeypatch):
    root, drawn = tmp_path / "demo", []

    def slow(folder, recipe, workers, fill=demo._fill):
        drawn.append(folder)
        time.sleep(0.2)
        fill(folder, recipe, workers)

    monkeypatch.setattr(demo, "_fill", slow)
    threads = [threading.Thread(target=make_demo_set, args=(root, 2, 1, 0, 1)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(drawn) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["demo"]
    assert len(list(root.glob("*2017/*.jpg"))) == 3


def test_what_a_killed_process_left_is_removed(tmp_path):
    (tmp_path / "demo.partial-x1" / "demo").mkdir(parents=True)
    (tmp_path / "demo2.partial-x1").mkdir()  # of another set
    make_demo_set(tmp_path / "demo", 1, 1, workers=1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["demo", "demo2.partial-x1"]


def test_other_folder_is_refused_and_kept(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="choose another folder"):
        make_demo_set(tmp_path, num_train=1, num_val=1)
    assert contents(tmp_path) == {"thesis.txt": b"mine"}


def test_set_with_other_parameters_or_missing_images_is_refused(tmp_path):
    make_demo_set(tmp_path, num_train=2, num_val=1)
    with pytest.raises(FileExistsError, match="'seed': 0"):
        make_demo_set(tmp_path, num_train=2, num_val=1, seed=1)
    (tmp_path / "train2017" / "000000000002.jpg").unlink()
    with pytest.raises(FileExistsError, match="missing"):
        make_demo_set(tmp_path, num_train=2, num_val=1)


def test_negative_numbers_are_refused(tmp_path):
    with pytest.raises(ValueError, match="negative"):
        make_demo_set(tmp_path / "set", num_train=-1)
