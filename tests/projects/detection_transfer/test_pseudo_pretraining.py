"""From unlabeled images to a detector: the boxes of each round, what is taken up again, and what is refused."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from jobs import ROOT
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import DefaultScope

from ccrop.checkpoint.recorded_config import recorded_config
from ccrop.compat.safe_checkpoint import load_checkpoint
from ccrop.config_names import config_file
from ccrop.datasets import CocoImages
from ccrop.projects.detection_transfer.cluster_boxes import looking
from ccrop.projects.detection_transfer.pseudo_boxes import best, boxes_by_image, pseudo_annotations, read_pseudo_boxes
from ccrop.projects.detection_transfer.pseudo_pretraining import agreement, boxes_of_file
from ccrop.projects.detection_transfer.pseudo_pretraining import pretrain as pretrain_detector
from ccrop.tools import predict, train
from ccrop.work_dir import WorkDirInUse, locked

CONFIG = str(ROOT / "configs/detector_paste_coco.py")
WRITTEN = ("iter_2.pth", "boxes.json", "metrics.json")
TINY = [
    "model.backbone.base_channels=8",
    "model.backbone.stem_channels=8",
    "model.neck.in_channels=[8,16,32]",
    "train_dataloader.batch_size=4",
    "train_cfg.max_iters=2",
]


@pytest.fixture(scope="module")
def unlabeled(demo_root: Path, tmp_path_factory) -> Path:
    """The first 12 images of the demo set, and nothing else."""
    root = tmp_path_factory.mktemp("unlabeled")
    (root / "train").mkdir()
    for file in sorted((demo_root / "train2017").iterdir())[:12]:
        shutil.copy(file, root / "train")
    return root


def pretrain(root: Path, work_dir: Path, *options: str, flags: tuple[str, ...] = ()) -> int:
    command = [CONFIG, "--data-root", str(root), "--work-dir", str(work_dir), *flags]
    return train.main([*command, "--cfg-options", *TINY, *options])


@pytest.mark.parametrize(
    ("pretraining", "fine_tuning"),
    [("detector_paste_coco", "tiles_r18"), ("detector_paste_coco_lite0", "tiles_lite0")],
)
def test_a_fine_tuning_starts_from_all_that_was_pretrained_but_the_categories(pretraining: str, fine_tuning: str):
    """The same network, optimizer and normalization, so that no layer is left out or starts over."""
    first, second = (Config.fromfile(config_file(name)) for name in (pretraining, fine_tuning))
    with DefaultScope.overwrite_default_scope("mmdet"):
        shapes = [{k: v.shape for k, v in MODELS.build(each.model).state_dict().items()} for each in (first, second)]
    assert shapes[0] == shapes[1]
    assert first.model.data_preprocessor == second.model.data_preprocessor
    assert first.optim_wrapper == second.optim_wrapper


def test_clusters_are_localized_by_the_configs_backbone_or_that_of_the_command_line(demo_root: Path):
    images = CocoImages(demo_root, "train")
    settings = Config.fromfile(config_file("detector_paste_coco_lite0")).pseudo_boxes.clusters
    settings.config = str(ROOT / "configs" / settings.config)
    (model, _), (other, _) = (looking(images, settings, None, backbone, 0) for backbone in (None, "mmdet:resnet18"))
    assert model.backbone.name == "tf_efficientnet_lite0"
    assert [level.channels for level in other.backbone.levels] == [64, 128, 256, 512]


def test_rounds_on_images_without_any_annotation(unlabeled: Path, tmp_path: Path, capsys):
    work_dir = tmp_path / "run"
    assert pretrain(unlabeled, work_dir, "pseudo_boxes.rounds=2") == 0
    reason = f"{work_dir}/round_0 scores no box of the training images at 0.5 or above: train it longer, or lower"
    assert f"Round 0 was the last: {reason} pseudo_boxes.min_score" in capsys.readouterr().out
    options = ["pseudo_boxes.rounds=2", "pseudo_boxes.min_score=0.0", "model.test_cfg.score_thr=0.0"]
    assert pretrain(unlabeled, work_dir, *options) == 0
    files = [work_dir / f"round_{number}/boxes.json" for number in (0, 1)]
    first, second = (read_pseudo_boxes(file, unlabeled).content for file in files)
    names = sorted(path.name for path in (unlabeled / "train").iterdir())
    for content in (first, second):
        assert {image["file_name"] for image in content["images"]} <= set(names)
        assert content["annotations"]
        for name, boxes in boxes_by_image(content).items():
            size = next(image for image in content["images"] if image["file_name"] == name)
            assert (boxes[:, :2] >= -1e-3).all()
            assert (boxes[:, 2:] <= np.array([size["width"], size["height"]]) + 1e-3).all()
    assert boxes_by_image(first).keys() != boxes_by_image(second).keys() or first != second
    assert (work_dir / "round_0/gallery.png").stat().st_size > 10_000
    state = torch.load(work_dir / "round_1/iter_2.pth", weights_only=False)["state_dict"]
    assert len(state["bbox_head.classifier.bias"]) == 1
    assert predict.main([str(work_dir / "round_1"), str(unlabeled), "--out", str(tmp_path / "found")]) == 0
    assert "12 of 12 images" in capsys.readouterr().out
    assert f"tools/train.py {CONFIG} --data-root {unlabeled} " in (work_dir / "report.html").read_text()

    files = sorted(work_dir.rglob("*"))
    assert pretrain(unlabeled, work_dir, *options, flags=("--resume",)) == 0
    assert sorted(work_dir.rglob("*")) == files  # all was there
    (work_dir / "round_1/metrics.json").unlink()
    (work_dir / "round_1/iter_2.pth").unlink()
    boxes = (work_dir / "round_1/boxes.json").read_text()
    assert pretrain(unlabeled, work_dir, *options, flags=("--resume",)) == 0
    assert (work_dir / "round_1/iter_2.pth").exists()
    assert (work_dir / "round_1/boxes.json").read_text() == boxes


def test_a_fine_tuned_detectors_boxes_are_learned(detector: Path, unlabeled: Path, tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    files = sorted(detector.iterdir())
    options = [f"pseudo_boxes.detector={detector}", "pseudo_boxes.min_score=0.0001", "pseudo_boxes.max_boxes=7"]
    assert pretrain(unlabeled, tmp_path / "run", *options) == 0
    arguments = ["--split", "train", "--to", "coco", "--min-score", "0.0001", "--pictures", "0", "--out", "found"]
    assert predict.main([str(detector), str(unlabeled), *arguments]) == 0
    assert sorted(detector.iterdir()) == files

    def by_image(file: Path) -> dict[str, list[tuple]]:
        content = json.loads(file.read_text())
        names = {each["id"]: each["file_name"] for each in content["images"]}
        boxes: dict[str, list[tuple]] = {name: [] for name in names.values()}
        for each in content["annotations"]:
            boxes[names[each["image_id"]]].append((each["score"], *each["bbox"]))
        return {name: sorted(own, reverse=True) for name, own in boxes.items() if own}

    learned, found = by_image(tmp_path / "run/round_0/boxes.json"), by_image(tmp_path / "found/coco.json")
    assert learned.keys() == found.keys()
    for name, own in found.items():  # boxes of the two categories that overlap by more than 0.6 are one
        kept = learned[name]
        assert len(own) > len(kept) > 7
        for score, *box in kept:
            assert any(np.allclose((score, *box), each, atol=2e-4) for each in own)  # both files round
            assert sum(iou(box, other) > 0.6 for _, *other in kept) == 1
        for _, *box in own:
            assert any(iou(box, other) > 0.599 for _, *other in kept)
    taught = json.loads((tmp_path / "run/round_0/pseudo_boxes_train.json").read_text())
    assert len(taught["annotations"]) == 7 * len(found)


def iou(first: tuple, second: tuple) -> float:
    (x, y, w, h), (u, v, a, b) = first, second
    shared = max(0, min(x + w, u + a) - max(x, u)) * max(0, min(y + h, v + b) - max(y, v))
    return shared / (w * h + a * b - shared)


def test_a_detector_that_cannot_teach_is_refused(detector: Path, unlabeled: Path, tmp_path: Path, capsys):
    for options, message in (
        (
            (f"detector={detector}", "min_score=1"),
            f"{detector} scores no box of the training images at 1 or above: train",
        ),
        ((f"detector={detector}", "file=boxes.json"), "pseudo_boxes.file and pseudo_boxes.detector cannot both"),
        (("detector=nowhere",), "nowhere does not exist: pass a fine-tuning run's work_dir, or one of its checkpoints"),
    ):
        assert pretrain(unlabeled, tmp_path / "run", *(f"pseudo_boxes.{each}" for each in options)) == 2
        assert message in capsys.readouterr().err
        assert not (tmp_path / "run/round_0").exists()


def test_an_earlier_run_is_moved_aside(unlabeled: Path, tmp_path: Path):
    file = tmp_path / "boxes.json"
    images = CocoImages(unlabeled)
    sizes = [(640, 480)] * len(images)
    file.write_text(json.dumps(pseudo_annotations(images, sizes, [np.array([[10, 20, 50, 60, 0.9]])] * len(images))))
    (tmp_path / "run").mkdir()
    (tmp_path / "run/mine").touch()
    assert pretrain(unlabeled, tmp_path / "run", f"pseudo_boxes.file={file}") == 0
    assert (tmp_path / "run.1/mine").exists()
    learned = json.loads((tmp_path / "run/round_0/pseudo_boxes_train.json").read_text())
    assert {tuple(each["bbox"]) for each in learned["annotations"]} == {(10.0, 20.0, 40.0, 40.0)}


@pytest.mark.parametrize("flag", ["--init", "file", "detector"])
def test_an_earlier_run_that_the_new_one_reads_is_not_moved_aside(unlabeled: Path, tmp_path: Path, capsys, flag: str):
    source = tmp_path / "run/round_0/boxes.json"
    source.parent.mkdir(parents=True)
    source.write_text("precious")
    options, flags = ((), (flag, str(source))) if flag == "--init" else ((f"pseudo_boxes.{flag}={source}",), ())
    assert pretrain(unlabeled, tmp_path / "run", *options, flags=flags) == 2
    assert f"{source} is in {tmp_path}/run, which would be moved aside: choose another" in capsys.readouterr().err
    assert source.read_text() == "precious"


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("pseudo_boxes.min_objectness=2", "pseudo_boxes.min_objectness must be from 0 to 1, got 2"),
        ("pseudo_boxes.rounds=1.5", "pseudo_boxes.rounds must be a whole number of at least 1, got 1.5"),
        ("pseudo_boxes.max_boxes=0", "pseudo_boxes.max_boxes must be a whole number of at least 1, got 0"),
        ("pseudo_boxes.min_score=50.0", "pseudo_boxes.min_score must be from 0 to 1, got 50.0"),
        ("pseudo_boxes.min_score=nan", "the option pseudo_boxes.min_score is not a number (nan)"),
        ("pseudo_boxes.min_score=None", "pseudo_boxes.min_score must be from 0 to 1, got None"),
        ("pseudo_boxes.min_objectness=nan", "the option pseudo_boxes.min_objectness is not a number (nan)"),
        ("pseudo_boxes.agreement=90", "pseudo_boxes.agreement must be from 0 to 1, got 90"),
        ("pseudo_boxes.detector=2024", "pseudo_boxes.detector must be a path, got 2024: write ./NAME"),
        ("pseudo_boxes.file=a,b", "pseudo_boxes.file must be a path, got ['a', 'b']: write ./NAME"),
    ],
)
def test_settings_without_a_round_to_learn_write_no_boxes(
    unlabeled: Path, tmp_path: Path, capsys, option: str, message: str
):
    assert pretrain(unlabeled, tmp_path / "run", option) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "run/round_0").exists()


def test_weights_that_do_not_fit_are_refused_before_the_boxes_are_made(
    detector: Path, unlabeled: Path, tmp_path: Path, capsys
):
    other = tmp_path / "other.pth"
    torch.save({"conv1.weight": torch.zeros(3, 3, 7, 7)}, other)
    options = [f"pseudo_boxes.detector={detector}", "pseudo_boxes.min_score=0.0001"]
    for init, message in ((other, "other.pth"), (tmp_path / "nowhere.pth", "nowhere.pth does not exist")):
        assert pretrain(unlabeled, tmp_path / "run", *options, flags=("--init", str(init))) == 2
        assert message in capsys.readouterr().err
        assert not (tmp_path / "run/round_0").exists()


def test_what_one_line_refuses(unlabeled: Path, tmp_path: Path, capsys):
    file = tmp_path / "boxes.json"
    for content, message in (
        ("no json", f"{file}: it is not valid JSON"),
        ("[1]", f"{file}: it has no list images and no list annotations"),
        ('{"images": [], "annotations": []}', "it has no annotations"),
        ('{"images": [{"id": 1, "file_name": "a.jpg"}], "annotations": []}', "none of its 1 images is in"),
    ):
        file.write_text(content)
        assert pretrain(unlabeled, tmp_path / "run", f"pseudo_boxes.file={file}") == 2
        error = capsys.readouterr().err.strip()
        assert message in error.splitlines()[-1]
    assert pretrain(tmp_path / "nowhere", tmp_path / "run") == 2
    assert "nowhere does not exist" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        pretrain(unlabeled, tmp_path / "run", flags=("--amp", "bf16"))
    assert "trains a detector: use one process" in capsys.readouterr().err


@pytest.mark.parametrize("damaged", [1, 2])
def test_unreadable_images_are_left_out_and_named(unlabeled: Path, tmp_path: Path, capsys, damaged: int):
    root, file = tmp_path / "data", tmp_path / "boxes.json"
    (root / "train").mkdir(parents=True)
    source = sorted((unlabeled / "train").iterdir())[0]
    for number in range(100):
        (root / f"train/{number:03d}.jpg").hardlink_to(source)
    images = CocoImages(root)
    own = [np.array([[0.0, 0.0, 40.0, 40.0, 1.0]])] * len(images)
    file.write_text(json.dumps(pseudo_annotations(images, [(64, 64)] * len(images), own)))
    for number in range(damaged):
        path = root / f"train/{number:03d}.jpg"
        path.unlink()
        path.write_bytes(source.read_bytes()[:300])
    status = pretrain(root, tmp_path / "run", f"pseudo_boxes.file={file}")
    output = capsys.readouterr()
    if damaged == 1:
        assert status == 0
        assert f"skipped {path}" in output.out + output.err
        learned = json.loads((tmp_path / "run/round_0/pseudo_boxes_train.json").read_text())
        assert {image["file_name"] for image in learned["images"]} == {f"{number:03d}.jpg" for number in range(1, 100)}
    else:
        assert status == 2
        assert "2 of 100 images are unreadable, more than 1%: repair or remove them." in output.err


def test_the_best_boxes_of_an_image_and_their_order(unlabeled: Path, tmp_path: Path):
    images = CocoImages(unlabeled)
    own = [np.array([[0, 0, 9, 9, 0.2], [5, 5, 20, 20, 0.9], [8, 8, 30, 30, 0.5]])] + [np.zeros((0, 5))] * 11
    content = pseudo_annotations(images, [(64, 64)] * 12, own)
    assert [each["score"] for each in best(content, 2)["annotations"]] == [0.9, 0.5]
    assert len(content["images"]) == 1
    file = tmp_path / "boxes.json"
    file.write_text(json.dumps(content))
    assert boxes_of_file(file, images)["annotations"] == content["annotations"]


def test_crowds_of_a_file_stay_and_do_not_count_as_boxes(unlabeled: Path, tmp_path: Path):
    images = CocoImages(unlabeled)
    own = [np.array([[0, 0, 9, 9, 0.2], [5, 5, 20, 20, 0.9], [8, 8, 30, 30, 0.5]])] + [np.zeros((0, 5))] * 11
    content = pseudo_annotations(images, [(64, 64)] * 12, own)
    content["annotations"][0]["iscrowd"] = 1
    file = tmp_path / "boxes.json"
    file.write_text(json.dumps(content))
    found = boxes_of_file(file, images)
    assert [each["iscrowd"] for each in found["annotations"]] == [1, 0, 0]
    assert [(each["iscrowd"], each["score"]) for each in best(found, 1)["annotations"]] == [(1, 0.2), (0, 0.9)]


def test_agreement_is_the_f1_score_of_two_sets_of_boxes(unlabeled: Path, tmp_path: Path):
    images = CocoImages(unlabeled)
    before = [np.array([[0, 0, 10, 10, 1], [20, 20, 30, 30, 1]]), np.array([[5, 5, 25, 25, 1]])]
    file = tmp_path / "boxes.json"
    file.write_text(json.dumps(pseudo_annotations(images, [(64, 64)] * 12, before + [np.zeros((0, 5))] * 10)))
    none = np.zeros((0, 5))
    after = [np.array([[0, 0, 10, 9, 0.6]]), none, np.array([[1, 1, 9, 9, 0.9]])] + [none] * 9
    # one of three is found again, by one of two
    assert agreement(after, file, images) == pytest.approx(2 * (1 / 3) * (1 / 2) / (1 / 3 + 1 / 2))
    assert agreement([none] * 12, file, images) == 0


def times(folder: Path) -> list[int]:
    return [(folder / name).stat().st_mtime_ns for name in WRITTEN]


def test_a_resumed_pretraining_keeps_finished_rounds_and_goes_on_with_the_unfinished(
    demo_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    options = {
        "pseudo_boxes.file": str(demo_root / "annotations/instances_train2017.json"),
        "pseudo_boxes.rounds": 2,
        "pseudo_boxes.min_score": 0.0,
        "pseudo_boxes.max_boxes": 4,
        "model.test_cfg.max_per_img": 8,
        "model.test_cfg.score_thr": 0.0,
        "model.backbone.base_channels": 8,
        "model.backbone.stem_channels": 8,
        "train_dataloader.batch_size": 2,
        "train_cfg.max_iters": 2,
        "default_hooks.checkpoint.keep": 2,
    }
    with locked("work"), pytest.raises(WorkDirInUse, match="work is in use by process "):
        pretrain_detector(CONFIG, demo_root, options, work_dir="work")
    last = pretrain_detector(CONFIG, demo_root, options, work_dir="work")
    assert last == Path("work/round_1/iter_2.pth")
    first, second = (times(Path("work", name)) for name in ("round_0", "round_1"))

    last.unlink()  # as if killed after its first iteration
    Path("work/round_1/metrics.json").unlink()
    spent = load_checkpoint("work/round_1/iter_1.pth")["finetuning"]["core_seconds"]
    assert pretrain_detector(CONFIG, demo_root, options, work_dir="work", resume=True) == last
    assert times(Path("work/round_0")) == first
    again = times(Path("work/round_1"))
    assert again[1] == second[1]
    assert again[0] > second[0]
    resumed = load_checkpoint(last)
    assert resumed["meta"]["iter"] == 2
    assert resumed["finetuning"]["core_seconds"] > spent
    assert not Path("work.1").exists()
    refused = "work/round_0/boxes.json was made with max_boxes 4, not 5: repeat its options, or start again without"
    with pytest.raises(ValueError, match=refused):
        pretrain_detector(CONFIG, demo_root, options | {"pseudo_boxes.max_boxes": 5}, work_dir="work", resume=True)
    refused = "work/round_0/iter_2.pth was trained with iterations 2, not 3: repeat its options, or leave out --resume"
    with pytest.raises(ValueError, match=refused):
        pretrain_detector(CONFIG, demo_root, options | {"train_cfg.max_iters": 3}, work_dir="work", resume=True)
    assert times(Path("work/round_0")) == first
    assert times(Path("work/round_1")) == again
    assert pretrain_detector(CONFIG, demo_root, options, work_dir="work", resume=True) == last
    assert times(Path("work/round_1")) == again

    del options["train_cfg.max_iters"]  # 2000, with 50 of warm-up
    options["pseudo_boxes.rounds"] = 1
    last = pretrain_detector(CONFIG, demo_root, options, work_dir="work", iterations=2)
    assert last.name == "iter_2.pth"
    assert [each.end for each in recorded_config(last).param_scheduler] == [1, 2]
    assert times(Path("work.1/round_0")) == first
