"""Evaluations as a user asks for them."""

import csv
import importlib.util
import json
import re
import shutil
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
import torchvision
from jobs import ROOT, call, tool
from PIL import Image

from ccrop.compat.safe_checkpoint import load_checkpoint
from ccrop.pretrained import load_pretrained
from ccrop.tools.evaluations import common, pairs

CONFIG = ROOT / "configs/simsiam_single_demo.py"
LIMITS = {"small": (0, 1024), "medium": (1024, 9216), "large": (9216, np.inf), "all": (0, np.inf)}


@pytest.fixture(scope="module")
def evaluate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("evaluate", ROOT / "tools/evaluate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def annotated(root: Path, split: str) -> dict[str, tuple[tuple[int, int], list[list[float]]]]:
    """Width and height, and boxes (x, y, width, height) in pixels, of each image of a split without crowds."""
    content = json.loads((root / f"annotations/instances_{split}2017.json").read_text())
    images = {image["id"]: image for image in content["images"]}
    found = {image["file_name"]: ((image["width"], image["height"]), []) for image in images.values()}
    for annotation in content["annotations"]:
        if not annotation.get("iscrowd"):
            found[images[annotation["image_id"]]["file_name"]][1].append(annotation["bbox"])
    return found


def tables(text: str) -> dict[str, dict[str, list[str]]]:
    """The rows of all Markdown tables by their first column, by the header of that column."""
    found: dict[str, dict[str, list[str]]] = {}
    for block in re.findall(r"(?:^\|.*\|\n)+", text, re.MULTILINE):
        header, _, *rows = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in block.splitlines()]
        found[header[0]] = {"": header[1:]} | {row[0]: row[1:] for row in rows}
    return found


def test_pairs_of_crops_that_follow_objects_show_more_of_them(demo_root: Path, tmp_path: Path):
    done = call(tool("evaluate.py", "pairs", "--data-root", demo_root, "--draws", "2"), tmp_path)
    assert done.returncode == 0, done.stdout
    assert "64 annotated images" in done.stdout
    rows = re.findall(r"^\| (.+?) \| ([\d.]+) \| ([\d.]+) \| ([\d.]+)% \|", done.stdout, re.MULTILINE)
    metrics = {name: [float(number) for number in numbers] for name, *numbers in rows}
    assert len(metrics) == 5
    assert metrics["objects"][0] > 0.99 > metrics["rcrop"][0]
    assert metrics["objects"][2] > 4 * metrics["rcrop"][2]


def test_a_set_without_annotations_is_named(tmp_path: Path):
    (tmp_path / "train2017").mkdir()
    done = call(tool("evaluate.py", "pairs", "--data-root", tmp_path), tmp_path)
    assert done.returncode == 2
    assert "annotations/instances_train2017.json" in done.stdout


def test_images_without_objects_are_left_out(tmp_path: Path):
    images = [dict(id=i, file_name=f"{i}.jpg", width=100, height=80) for i in (1, 2)]
    boxes = [
        dict(id=1, image_id=1, category_id=1, bbox=[10, 10, 30, 30]),
        dict(id=2, image_id=2, iscrowd=1, bbox=[0] * 4),
    ]
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations/instances_train.json").write_text(json.dumps(dict(images=images, annotations=boxes)))
    done = call(tool("evaluate.py", "pairs", "--data-root", tmp_path), tmp_path)
    assert done.returncode == 0, done.stdout
    assert "1 annotated images" in done.stdout


def test_pairs_around_a_checkpoints_boxes_stand_beside_those_around_objects(
    evaluate: ModuleType, pretrained: Path, demo_root: Path, capsys: pytest.CaptureFixture[str]
):
    assert evaluate.main(["pairs", "--data-root", str(demo_root), "--draws", "2"]) == 0
    without = tables(capsys.readouterr().out)["crop"]
    assert evaluate.main(["pairs", str(pretrained), "--draws", "2"]) == 0
    beside = tables(capsys.readouterr().out)["crop"]
    assert {name: row for name, row in beside.items() if "cluster" not in name} == without
    assert [name for name in beside if "cluster" in name] == [
        "single, alpha 0.1, around clusters",
        "single, alpha 0.6, around clusters",
        "objects, around clusters",
        "objects, 20 % scenes, around clusters",
    ]
    assert float(beside["objects, around clusters"][0]) < float(beside["objects"][0])


def test_images_without_annotations_end_with_a_verdict(
    evaluate: ModuleType, pretrained: Path, demo_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / "train2017").symlink_to(demo_root / "train2017")
    arguments = ["--data-root", str(tmp_path), "--images", "8", "--draws", "2"]
    assert evaluate.main(["pairs", str(pretrained), *arguments]) == 0
    text = capsys.readouterr().out
    assert f"No annotations ({tmp_path} has no annotations of split 'train'): using clusters instead" in text
    rows = tables(text)["crop"]
    assert "rcrop" in rows
    assert float(rows["objects, around clusters"][0]) == 1  # as the crop promises
    (verdict,) = re.findall(r"^Verdict: (?:not )?healthy: (.*)", text, re.M)
    assert "1.0 clusters an image" in verdict
    assert "find their partner among 8 (chance 12.5%)" in verdict


def test_pairs_of_some_images(evaluate: ModuleType, demo_root: Path, capsys: pytest.CaptureFixture[str]):
    assert evaluate.main(["pairs", "--data-root", str(demo_root), "--draws", "1", "--images", "5"]) == 0
    assert "5 annotated images" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        ["boxes", "--images", "0"],
        ["pairs", "--draws", "0"],
        ["linear", "--lr", "0.1", "nan"],
        ["linear", "--lr", "-1"],
        ["linear", "--epochs", "0"],
        ["knn", "--k", "0"],
        ["object-knn", "--image-size", "0", "64"],
        ["roi-knn", "--bank", "-1"],
    ],
)
def test_numbers_that_measure_nothing_are_refused(
    evaluate: ModuleType, arguments: list[str], capsys: pytest.CaptureFixture[str]
):
    with pytest.raises(SystemExit):
        evaluate.main([*arguments, "--config", str(CONFIG)])
    assert re.search(rf"argument {arguments[1]}: \S+ is not a (whole )?number", capsys.readouterr().err)


def test_a_set_without_objects_is_refused(evaluate: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "annotations").mkdir()
    images = [dict(id=1, file_name="1.jpg", width=100, height=80)]
    (tmp_path / "annotations/instances_train.json").write_text(json.dumps(dict(images=images, annotations=[])))
    assert evaluate.main(["pairs", "--data-root", str(tmp_path)]) == 2
    assert "annotates no objects" in capsys.readouterr().err


def test_clusters_that_are_the_objects_give_the_pairs_of_objects(
    evaluate: ModuleType,
    pretrained: Path,
    demo_root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    content = json.loads((demo_root / "annotations/instances_val2017.json").read_text())
    emptied = content["images"][3]
    content["annotations"] = [each for each in content["annotations"] if each["image_id"] != emptied["id"]]
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations/instances_val2017.json").write_text(json.dumps(content))
    (tmp_path / "val2017").symlink_to(demo_root / "val2017")
    known = annotated(tmp_path, "val")

    def locate(_model, dataset, _localizer, image_size, _batch_size, _workers, keep_ratio):
        assert (image_size, keep_ratio) == ((224, 224), False)
        boxes, counts = torch.zeros(len(dataset), 50, 5), torch.zeros(len(dataset), dtype=torch.long)
        for number in range(len(dataset)):
            size, objects = known[Path(dataset.get_data_info(number)["path"]).name]
            corners = torch.tensor(objects or [[0, 0, 20, 20]])
            corners[:, 2:] += corners[:, :2]
            counts[number] = len(corners)
            boxes[number, : len(corners), :4] = corners / torch.tensor(size * 2)
            boxes[number, : len(corners), 4] = 1
        return boxes, counts

    monkeypatch.setattr(common, "locate", locate)
    arguments = ["--data-root", str(tmp_path), "--split", "val", "--draws", "3"]
    assert evaluate.main(["pairs", str(pretrained), *arguments]) == 0
    text = capsys.readouterr().out
    assert "15 annotated images" in text
    rows = tables(text)["crop"]
    for name in pairs.CROPS:
        assert rows[f"{name}, around clusters"] == rows[name]


def test_one_box_is_drawn_around_all_of_an_image(evaluate: ModuleType, demo_root: Path):
    images = pairs.annotated_boxes(demo_root, "val")[:1]
    two = np.array([[0.1, 0.5, 0.2, 0.6, 1], [0.4, 0.2, 0.6, 0.55, 1]], np.float32)
    around = np.array([[0.1, 0.2, 0.6, 0.6]], np.float32)
    crop = pairs.ContrastiveCrop(0.6)
    views = [pairs.drawn_views(images, [boxes], crop, 50, 0) for boxes in (two, around)]
    assert (views[0] == views[1]).all()


def test_clusters_of_an_image_without_any_give_random_crops(evaluate: ModuleType, demo_root: Path):
    images = pairs.annotated_boxes(demo_root, "val")[:3]
    none = [np.zeros((0, 5), np.float32)] * 3
    expected = pairs.drawn_views(images, none, pairs.RandomCrop(), 4, 0)
    for crop in (pairs.ContrastiveCrop(0.6), pairs.MultiObjectCrop(scene_prob=0)):
        assert (pairs.drawn_views(images, none, crop, 4, 0) == expected).all()


def test_boxes_of_a_checkpoint(
    evaluate: ModuleType, pretrained: Path, demo_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    file = tmp_path / "boxes.csv"
    options = ["--image-size", "60", "80", "--max-boxes", "20", "--levels", "1", "--csv", str(file)]
    assert evaluate.main(["boxes", str(pretrained), *options, "--multi-object", "merge=1.0", "threshold=0.7"]) == 0
    text = capsys.readouterr().out
    found = tables(text)
    names = ["SingleObject of the config", "SingleObject", "MultiObject", "MultiObject on another image", "middle"]
    assert [name for name in found["localizer"] if name] == [*names, "whole image"]
    assert set(found) == {
        "localizer",
        *(f"{m}, % of objects" for m in ("center hit", "center inside", "IoU 0.3", "IoU 0.5")),
    }

    objects = dict.fromkeys(LIMITS, 0)
    inside = dict.fromkeys(LIMITS, 0)
    for (width, height), boxes in annotated(demo_root, "val").values():
        for x, y, w, h in boxes:
            in_middle = 0.25 <= (x + w / 2) / width <= 0.75 and 0.25 <= (y + h / 2) / height <= 0.75
            for size, (low, high) in LIMITS.items():
                objects[size] += low <= w * h < high
                inside[size] += in_middle and low <= w * h < high
    assert f"16 images of {demo_root} (val)" in text
    assert ", ".join(f"{number} {size}" for size, number in objects.items()) in text
    assert found["center inside, % of objects"]["middle"] == [
        " / ".join([f"{100 * inside[size] / objects[size]:.1f}"] * 3) for size in LIMITS
    ]
    assert found["center inside, % of objects"]["whole image"] == ["100.0 / 100.0 / 100.0"] * 4
    assert found["center hit, % of objects"]["whole image"][0] == "0.0 / 0.0 / 0.0"
    assert found["localizer"]["middle"][:2] == ["1.0", "25.0 / 25.0 / 25.0"]
    assert 1 < float(found["localizer"]["MultiObject"][0]) <= 20
    assert found["localizer"]["MultiObject"][:2] == found["localizer"]["MultiObject on another image"][:2]
    assert (
        found["center hit, % of objects"]["MultiObject"]
        != found["center hit, % of objects"]["MultiObject on another image"]
    )

    with file.open() as lines:
        rows = list(csv.DictReader(lines))
    assert len(rows) == 6 * 3 * 4
    row = next(r for r in rows if (r["localizer"], r["k"], r["size"]) == ("MultiObject", "20", "all"))
    assert row["objects"] == str(objects["all"])
    for measure in ("center hit", "center inside", "IoU 0.3", "IoU 0.5"):
        printed = found[f"{measure}, % of objects"]["MultiObject"][3].split(" / ")[2]
        assert f"{100 * float(row[measure]):.1f}" == printed
    assert f"{100 * float(row['mean_area']):.1f}" == found["localizer"]["MultiObject"][1].split(" / ")[2]
    assert f"{100 * float(row['corloc']):.1f}" == found["localizer"]["MultiObject"][2]


def test_boxes_from_a_finer_level_are_smaller_and_untrained_weights_are_always_the_same(
    evaluate: ModuleType, demo_root: Path, capfd: pytest.CaptureFixture[str]
):
    def areas(*options: str) -> list[list[str]]:
        assert (
            evaluate.main(["boxes", "--config", str(CONFIG), "--data-root", str(demo_root), "--images", "6", *options])
            == 0
        )
        text, errors = capfd.readouterr()
        assert "6 images of" in text
        assert "Init" not in text + errors
        return tables(text)["localizer"]["MultiObject"]

    default, coarse, fine = areas(), areas("--levels", "3"), areas("--levels", "0")
    assert default == coarse == areas()
    assert float(fine[1].split(" / ")[-1]) < float(coarse[1].split(" / ")[-1]) / 4


def test_boxes_are_looked_for_at_the_images_own_aspect_ratio_in_batches_that_fit(
    evaluate: ModuleType, pretrained: Path, monkeypatch: pytest.MonkeyPatch
):
    looks = []

    def locate(_model, dataset, localizer, *settings):
        looks.append(settings)
        return torch.zeros(len(dataset), localizer.max_boxes, 5), torch.zeros(len(dataset), dtype=torch.long)

    monkeypatch.setattr(common, "locate", locate)
    assert evaluate.main(["boxes", str(pretrained), "--image-size", "448", "896"]) == 0
    assert looks == [((448, 896), 8, common.WORKERS, True)] * 5


def test_a_model_has_the_weights_of_its_checkpoint_or_those_that_a_run_starts_from(pretrained: Path, demo_root: Path):
    _, model = load_pretrained(pretrained)
    state = load_checkpoint(pretrained)["state_dict"]
    assert not model.training
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    before = torch.get_rng_state()
    _, untrained = load_pretrained(None, CONFIG, demo_root)
    assert torch.equal(torch.get_rng_state(), before)
    assert not untrained.training
    assert not untrained.backbone.layer1[0].bn2.weight.any()  # mmdet's residual branches begin at zero


def test_each_image_meets_its_own_annotations(evaluate: ModuleType, tmp_path: Path):
    (tmp_path / "annotations").mkdir()
    (tmp_path / "val/deep").mkdir(parents=True)
    names = ["z.jpg", "deep/a.jpg", "m.jpg", "gone.jpg"]
    for width, name in enumerate([*names[:3], "a.jpg"], 20):
        Image.new("RGB", (width, 10)).save(tmp_path / "val" / name)
    images = [dict(id=i, file_name=name, width=20 + i, height=10) for i, name in enumerate(names)]
    annotation = dict(id=1, image_id=1, category_id=1, bbox=[1, 2, 3, 4])
    content = dict(images=images, annotations=[annotation, annotation | dict(id=2, iscrowd=1)])
    (tmp_path / "annotations/instances_val.json").write_text(json.dumps(content))
    dataset, known = common.annotated_set(str(tmp_path), "val", None)
    paths = [dataset.get_data_info(index)["path"] for index in range(len(dataset))]
    assert paths == ["val/deep/a.jpg", "val/m.jpg", "val/z.jpg"]
    assert [image.size[1] for image in known] == [21, 22, 20]
    assert [len(image.boxes) for image in known] == [1, 0, 0]
    dataset, known = common.annotated_set(str(tmp_path), "val", 2)
    assert [image.size[1] for image in known] == [21, 20]
    assert [dataset[index]["index"] for index in range(2)] == [0, 1]


def test_object_knn(evaluate: ModuleType, pretrained: Path, demo_root: Path, capsys: pytest.CaptureFixture[str]):
    assert evaluate.main(["object-knn", str(pretrained), "--image-size", "32", "32"]) == 0
    text = capsys.readouterr().out
    found = tables(text)["object kNN"]
    sides = np.array([box[2:] for _, boxes in annotated(demo_root, "val").values() for box in boxes])
    areas = sides[sides.min(axis=1) >= 8].prod(axis=1)
    numbers = {size: int(((areas >= low) & (areas < high)).sum()) for size, (low, high) in LIMITS.items()}
    assert dict(zip(found[""], map(int, found["objects"]), strict=True)) == numbers
    for row in ("accuracy, %", "mean over classes, %"):
        assert all(0 <= float(share) <= 100 for share in found[row])
    shares = [float(share) for share in found["accuracy, %"]]
    weighed = sum(share * numbers[size] for share, size in zip(shares[1:], found[""][1:], strict=True))
    assert weighed / numbers["all"] == pytest.approx(shares[0], abs=0.1)


def test_objects_that_are_in_the_bank_are_recognized(
    evaluate: ModuleType, pretrained: Path, tmp_path: Path, demo_root: Path, capsys: pytest.CaptureFixture[str]
):
    shutil.copytree(demo_root / "val2017", tmp_path / "val")
    shutil.copytree(demo_root / "val2017", tmp_path / "train")
    (tmp_path / "annotations").mkdir()
    for split in ("train", "val"):
        shutil.copy(demo_root / "annotations/instances_val2017.json", tmp_path / f"annotations/instances_{split}.json")
    assert evaluate.main(["object-knn", str(pretrained), "--data-root", str(tmp_path), "--image-size", "64", "64"]) == 0
    copied = tables(capsys.readouterr().out)["object kNN"]
    assert evaluate.main(["object-knn", str(pretrained), "--image-size", "64", "64"]) == 0
    apart = tables(capsys.readouterr().out)["object kNN"]
    assert float(copied["accuracy, %"][0]) > float(apart["accuracy, %"][0])


def test_knn_and_linear_tell_classes_apart_that_differ(
    evaluate: ModuleType, colors: Path, capsys: pytest.CaptureFixture[str]
):
    untrained = ("--config", str(ROOT / "configs/simsiam_rcrop_cifar10.py"), "--data-root", str(colors))
    assert evaluate.main(["knn", *untrained, "--k", "3", "24"]) == 0
    text = capsys.readouterr().out
    assert "24 training and 12 test images" in text
    found = tables(text)["kNN, temperature 0.07"]
    assert list(found) == ["", "k 3, best", "k 24"]
    assert found["k 3, best"] == ["100.0", "100.0"]

    assert evaluate.main(["linear", *untrained, "--lr", "1e30", "0.1", "--epochs", "20", "--images", "12"]) == 0
    text = capsys.readouterr().out
    assert "12 training and 12 test images" in text
    found = tables(text)["linear"]
    assert list(found) == ["", "learning rate 1e+30", "learning rate 0.1, chosen on training images"]
    assert found["learning rate 0.1, chosen on training images"] == ["100.0", "100.0"]


def test_figures_by_class_and_confusion_are_written(evaluate: ModuleType, colors: Path, tmp_path: Path):
    for image in (colors / "test/blue").iterdir():  # blue images that are red
        shutil.copy(colors / "test/red/0.png", image)
    untrained = ("--config", str(ROOT / "configs/simsiam_rcrop_cifar10.py"), "--data-root", str(colors))
    assert evaluate.main(["knn", *untrained, "--k", "3", "--out", str(tmp_path / "out")]) == 0
    with (tmp_path / "out/knn.csv").open(newline="") as file:
        rows = {row.pop("class"): row for row in csv.DictReader(file)}
    assert rows == {
        "blue": dict(images="4", recall="0.0000", precision="", f1="0.0000"),
        "green": dict(images="4", recall="1.0000", precision="1.0000", f1="1.0000"),
        "red": dict(images="4", recall="1.0000", precision="0.5000", f1="0.6667"),
    }
    with (tmp_path / "out/knn_confusion.csv").open(newline="") as file:
        counts = [row[1:] for row in csv.reader(file)]
    assert counts == [["blue", "green", "red"], ["0", "0", "4"], ["0", "4", "0"], ["0", "0", "4"]]
    assert Image.open(tmp_path / "out/knn_confusion.png").width > 300


@pytest.mark.parametrize("command", ["knn", "linear"])
def test_annotated_objects_have_figures_by_class_too(
    evaluate: ModuleType, command: str, demo_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    untrained = ("--config", str(ROOT / "configs/simsiam_rcrop_demo.py"), "--data-root", str(demo_root))
    assert evaluate.main([command, *untrained, "--images", "40", "--out", str(tmp_path)]) == 0
    assert "40 training and 40 test objects" in capsys.readouterr().out
    with (tmp_path / f"{command}.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    annotations = json.loads((demo_root / "annotations/instances_val2017.json").read_text())
    assert [row["class"] for row in rows] == [category["name"] for category in annotations["categories"]]
    assert sum(int(row["objects"]) for row in rows) == 40
    assert "images" not in rows[0]


def test_weights_of_another_library_take_the_place_of_ours(
    evaluate: ModuleType, colors: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    torch.save(torchvision.models.resnet18().state_dict(), tmp_path / "resnet18.pth")
    model = ("--network", "torchvision:resnet18", "--data-root", str(colors))
    config = ("--config", str(ROOT / "configs/simsiam_rcrop_cifar10.py"))
    command = ["knn", "--init", str(tmp_path / "resnet18.pth"), *model, "--k", "3", "--image-size", "64", "64"]
    assert evaluate.main([*command, *config]) == 0
    assert float(tables(capsys.readouterr().out)["kNN, temperature 0.07"]["k 3"][0]) > 90
    assert evaluate.main(command) == 2
    assert "--network needs a --config" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["knn", "linear"])
def test_classes_must_be_known(evaluate: ModuleType, command: str, colors: Path, capsys: pytest.CaptureFixture[str]):
    config = str(ROOT / "configs/simsiam_rcrop_folder.py")
    assert evaluate.main([command, "--config", config, "--data-root", str(colors)]) == 2
    assert "no kNN hook" in capsys.readouterr().err


def test_roi_knn(
    evaluate: ModuleType, pretrained: Path, tmp_path: Path, demo_root: Path, capsys: pytest.CaptureFixture[str]
):
    content = json.loads((demo_root / "annotations/instances_train2017.json").read_text())
    for annotation in content["annotations"]:
        annotation["category_id"] = 1  # so that the class is large enough
    (tmp_path / "annotations").mkdir()
    for split in ("train", "val"):
        (tmp_path / split).symlink_to(demo_root / "train2017")
        (tmp_path / f"annotations/instances_{split}.json").write_text(json.dumps(content))
    assert evaluate.main(["roi-knn", str(pretrained), "--data-root", str(tmp_path), "--bank", "16"]) == 0
    found = tables(capsys.readouterr().out)["RoI-kNN"]
    assert found.pop("") == ["all", "small", "medium", "large"]
    assert list(found) == ["stride 4", "stride 8", "stride 16", "stride 32"]
    assert all(50 < float(row[0]) <= 100 for row in found.values())


def test_roi_knn_counts_objects_before_it_processes_images(
    evaluate: ModuleType, pretrained: Path, demo_root: Path, monkeypatch, capsys: pytest.CaptureFixture[str]
):
    def process(*_: object) -> None:
        raise AssertionError("an image was processed")

    monkeypatch.setattr("ccrop.tools.evaluations.objects.annotated_regions", process)
    assert evaluate.main(["roi-knn", str(pretrained), "--data-root", str(demo_root), "--queries", "1"]) == 2
    assert "no category has 50 annotated objects among the queries: use more images" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["boxes", "object-knn", "pairs", "roi-knn"])
def test_what_is_missing_is_named(
    evaluate: ModuleType, command: str, pretrained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    def refusal(*arguments: str | Path) -> str:
        assert evaluate.main([command, *map(str, arguments)]) == 2
        return capsys.readouterr().err

    (tmp_path / "images/train").mkdir(parents=True)
    (tmp_path / "images/val").mkdir(parents=True)
    assert "gone.pth does not exist" in refusal(tmp_path / "gone.pth")
    assert "nowhere does not exist" in refusal(pretrained, "--data-root", tmp_path / "nowhere")
    expected = "no image found in" if command == "pairs" else "annotations/instances_"  # pairs can do without
    assert expected in refusal(pretrained, "--data-root", tmp_path)
    assert "pass a" in refusal()


def test_a_checkpoint_of_another_model_and_a_setting_that_is_none(
    evaluate: ModuleType, pretrained: Path, demo_root: Path, capsys: pytest.CaptureFixture[str]
):
    assert evaluate.main(["boxes", str(pretrained), "--config", str(CONFIG), "--data-root", str(demo_root)]) == 2
    error = capsys.readouterr().err
    assert f"is not a checkpoint of a run with {CONFIG}: the config needs the model of its run, what --cfg-op" in error
    assert evaluate.main(["boxes", str(pretrained), "--multi-object", "minimum=2"]) == 2
    assert "minimum" in capsys.readouterr().err
    assert evaluate.main(["boxes", str(pretrained), "--multi-object", "threshold=2"]) == 2
    assert "threshold must be in [0, 1)" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["centers", "window-knn"])
def test_a_run_on_images_has_no_sweeps(evaluate: ModuleType, command: str, pretrained: Path, capsys):
    assert evaluate.main([command, str(pretrained)]) == 2
    assert "is of a run on images: evaluate it by knn, linear, pairs" in capsys.readouterr().err
