"""A teacher's boxes are learned next to labels: which images, which boxes, and what is refused."""

import json
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from jobs import ROOT
from mmengine.config import Config

from ccrop.projects.detection_transfer.finetune import load_config
from ccrop.projects.detection_transfer.inference import ImageDetections
from ccrop.projects.detection_transfer.predict import DetectedImage
from ccrop.projects.detection_transfer.self_training import FILE, described, labeled_boxes
from ccrop.tools import finetune, predict
from ccrop.transfer import drawn_fraction

CONFIG = str(ROOT / "projects/detection_transfer/configs/tiles_r18.py")
SURE = 0.0001  # a score that all boxes of the untrained detector reach
TINY = [
    "model.backbone.base_channels=8",
    "model.neck.in_channels=[8,16,32]",
    "train_dataloader.batch_size=2",
    f"self_training.min_score={SURE}",
]


@pytest.fixture
def root(demo_root: Path, tmp_path: Path) -> Path:
    """The demo set, with an image in the train split's folder that its annotation file does not list."""
    root = tmp_path / "demo"
    shutil.copytree(demo_root, root)
    shutil.copy(next((root / "val2017").iterdir()), root / "train2017/new.jpg")
    return root


def tuned(root: Path, teacher: Path, *flags: str, options: tuple[str, ...] = (), work_dir: str = "run") -> int:
    command = [CONFIG, "--data-root", str(root), "--init", "random", "--iterations", "1", "--teacher", str(teacher)]
    command += ["--work-dir", str(root.parent / work_dir), *flags, "--cfg-options", *TINY, *options]
    return finetune.main(command)


def dividing_score(file: Path) -> float:
    """A score that some of a file's boxes do not reach, and that none has."""
    scores = sorted(each["score"] for each in json.loads(file.read_text())["annotations"])
    low = len(scores) // 20
    gap = next(index for index in range(low, len(scores)) if scores[index + 1] - scores[index] > 1.5e-6)
    return (scores[gap] + scores[gap + 1]) / 2


def boxes_of(file: Path, sure: float = 0.0) -> tuple[Counter[str], dict[str, list[tuple]]]:
    """How often each image is listed, and category, corner and size of the sure boxes of one of its listings."""
    content = json.loads(file.read_text())
    names = {image["id"]: image["file_name"] for image in content["images"]}
    categories = {each["id"]: each["name"] for each in content["categories"]}
    assert len({each["id"] for each in content["annotations"]}) == len(content["annotations"])
    boxes: dict[int, list[tuple]] = {number: [] for number in names}
    for each in content["annotations"]:
        if each.get("score", 1) >= sure:
            boxes[each["image_id"]].append((categories[each["category_id"]], *np.round(each["bbox"], 3).tolist()))
    return Counter(names.values()), {names[number]: sorted(own) for number, own in boxes.items()}


def test_labels_stay_and_all_other_images_get_the_teachers_boxes(
    detector: Path, root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    further = tmp_path / "further"
    (further / "deep").mkdir(parents=True)
    shutil.copy(root / "train2017/new.jpg", further / "deep/more.jpg")
    arguments = ["--to", "coco", "--min-score", str(SURE), "--pictures", "0"]
    assert predict.main([str(detector), str(root), "--split", "train", *arguments, "--out", "split"]) == 0
    assert predict.main([str(detector), str(further), *arguments, "--out", "more"]) == 0
    sure = dividing_score(tmp_path / "split/coco.json")
    capsys.readouterr()

    flags = ("--labels", "10%", "--seed", "3", "--unlabeled", str(further))
    assert tuned(root, detector, *flags, options=(f"self_training.min_score={sure!r}",)) == 0
    out = capsys.readouterr().out
    assert f"labeled images, and on boxes of {detector} with a score of at least {sure:g} on others" in out

    content = json.loads((root / "annotations/instances_train2017.json").read_text())
    named = {image["id"]: image["file_name"] for image in content["images"]}
    with_objects = sorted({each["image_id"] for each in content["annotations"]}, key=list(named).index)
    drawn = [named[with_objects[index]] for index in drawn_fraction(range(len(with_objects)), 0.1, 3)]
    times, boxes = boxes_of(tmp_path / "run" / FILE)
    _, labels = boxes_of(root / "annotations/instances_train2017.json")
    for name in drawn:
        assert boxes[name] == labels[name]

    _, found = boxes_of(tmp_path / "split/coco.json", sure)
    _, more = boxes_of(tmp_path / "more/coco.json", sure)
    empty = set(named.values()) - {named[number] for number in with_objects}
    taught = {name: own for name, own in found.items() if own and name not in empty.union(drawn)}
    assert "new.jpg" in taught
    assert any(len(own) < 100 for own in taught.values())  # which the score left out
    taught |= {str((further / name).resolve()): own for name, own in more.items()}
    assert boxes.keys() == taught.keys() | set(drawn)
    for name, own in taught.items():
        assert [category for category, *_ in boxes[name]] == [category for category, *_ in own]
        learned, expected = (np.array([box for _, *box in each]) for each in (boxes[name], own))
        assert sorted(learned.sum(axis=1)) == pytest.approx(sorted(expected.sum(axis=1)), abs=1e-2)
        assert learned.mean(axis=0) == pytest.approx(expected.mean(axis=0), abs=2e-3)
    assert all(times[name] == 1 for name in taught)
    copies = times[drawn[0]]
    assert [times[name] for name in drawn] == [copies] * len(drawn)
    assert copies * len(drawn) / (copies * len(drawn) + len(taught)) == pytest.approx(0.2, abs=0.1)
    assert f"each of {len(drawn)} labeled images counts as {copies}; by their annotations, " in out


def test_a_resumed_run_takes_up_its_boxes_again_and_no_other_teacher(
    detector: Path, root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    teacher = tmp_path / "teacher"
    shutil.copytree(detector, teacher)
    assert tuned(root, teacher, "--labels", "50%") == 0
    before = (tmp_path / "run" / FILE).read_bytes()
    shutil.rmtree(teacher)
    assert tuned(root, teacher, "--labels", "50%", "--resume") == 0
    assert (tmp_path / "run" / FILE).read_bytes() == before
    capsys.readouterr()
    assert tuned(root, detector, "--labels", "50%", "--resume") == 2
    assert f"was trained with self_training.teacher {teacher}, not {detector}: repeat" in capsys.readouterr().err


def test_a_learning_rate_search_does_not_learn_what_it_is_tested_on(detector: Path, root: Path, tmp_path: Path):
    assert tuned(root, detector, "--labels", "50%", "--lr-search", "1") == 0
    (searched,) = (tmp_path / "run").glob(f"lr_*/{FILE}")
    times, _ = boxes_of(searched)
    every, _ = boxes_of(tmp_path / "run" / FILE)
    content = json.loads((root / "annotations/instances_train2017.json").read_text())
    labeled = len({each["image_id"] for each in content["annotations"]})
    drawn = drawn_fraction(range(labeled), 0.5, 0)
    assert len(every) - len(times) == len(drawn_fraction(drawn, 0.2, 1))


def test_an_unusable_teacher_is_one_line(
    detector: Path, root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    def refused(message: str, *flags: str, options: tuple[str, ...] = (), teacher: Path = detector) -> None:
        assert tuned(root, teacher, *flags, options=options) == 2
        error = capsys.readouterr().err
        assert message in error
        assert len(error.splitlines()) == 1

    refused("nowhere does not exist: pass a fine-tuning run's work_dir", teacher=Path("nowhere"))
    few = ("--labels", "50%")
    content = torch.load(detector / "iter_1.pth", weights_only=False)
    torch.save(content | dict(meta={}), tmp_path / "nameless.pth")
    refused("nameless.pth holds no names of categories, which a", *few, teacher=tmp_path / "nameless.pth")
    torch.save(content["state_dict"], tmp_path / "weights.pth")
    refused("weights.pth holds no config, which a teacher needs: pass a", *few, teacher=tmp_path / "weights.pth")
    (tmp_path / "cut.pth").write_bytes((detector / "iter_1.pth").read_bytes()[:5000])
    refused("cut.pth was not loaded: it is damaged, or", *few, teacher=tmp_path / "cut.pth")
    refused("scores no box of the ", *few, options=("self_training.min_score=1.0",))
    refused("self_training.min_score must be from 0 to 1, got 35", *few, options=("self_training.min_score=35",))
    refused("labeled_fraction must be from 0 to 0.999, got 1", *few, options=("self_training.labeled_fraction=1",))
    refused(" images that the detector is tested on, the first is ", *few, "--unlabeled", str(root / "val2017"))
    refused(f"{tmp_path}/none does not exist: pass an image or a folder", *few, "--unlabeled", str(tmp_path / "none"))
    (root / "train2017/new.jpg").unlink()
    refused("has no image without labels, and self_training.unlabeled names no others")
    for file in (root / "annotations").iterdir():
        content = json.loads(file.read_text())
        content["categories"][0]["name"] = "kiwi"
        file.write_text(json.dumps(content))
    refused(f"{detector} does not detect kiwi, which this data set labels", *few)


def test_a_teacher_in_the_new_runs_place_is_not_moved_aside(detector: Path, root: Path, tmp_path: Path, capsys):
    shutil.copytree(detector, tmp_path / "run")
    assert tuned(root, tmp_path / "run", "--labels", "50%") == 2
    assert f"{tmp_path}/run is in {tmp_path}/run, which would be moved aside: choose" in capsys.readouterr().err
    assert (tmp_path / "run/iter_1.pth").is_file()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--unlabeled", "photos"), "--unlabeled is of --teacher, which is missing"),
        (("--teacher", "run", "--pseudo-boxes", "boxes.json"), "--pseudo-boxes replaces the labels that --teacher"),
    ],
)
def test_flags_that_contradict_each_other(flags: tuple[str, ...], message: str, demo_root: Path, capsys):
    try:
        code = finetune.main([CONFIG, "--data-root", str(demo_root), "--init", "random", *flags])
    except SystemExit as end:
        code = end.code
    assert code == 2
    assert message in capsys.readouterr().err


def test_a_config_without_the_section_has_no_teacher():
    with pytest.raises(ValueError, match="--teacher needs a section self_training in the config"):
        finetune.set_teacher(Config(), "run", None)


def test_masks_cannot_be_taught(detector: Path, root: Path, capsys):
    config = str(ROOT / "projects/detection_transfer/configs/mask-rcnn_r50_fpn_1x_coco.py")
    if "segmentation" not in json.loads((root / "annotations/instances_train2017.json").read_text())["annotations"][0]:
        pytest.skip("the demo set has no masks")
    command = [config, "--data-root", str(root), "--init", "random", "--teacher", str(detector), "--labels", "50%"]
    assert finetune.main([*command, "--work-dir", str(root.parent / "run")]) == 2
    assert "a teacher's boxes have no masks, which this detector learns" in capsys.readouterr().err


def test_boxes_of_the_wrong_category_are_not_right():
    truth = {
        "a": [dict(bbox=[0, 0, 10, 10], category_id=1), dict(bbox=[50, 50, 10, 10], category_id=2)],
        "b": [dict(bbox=[0, 0, 10, 10], category_id=2)],
        "crowds": [dict(bbox=[0, 0, 10, 10], category_id=1, iscrowd=1)],
    }
    found = {
        "a": np.array([[0, 0, 10, 9, 0.9, 1], [50, 50, 60, 60, 0.9, 1], [0, 0, 10, 8, 0.5, 1], [80, 0, 90, 9, 0.5, 2]]),
        "unlisted": np.array([[0, 0, 10, 10, 0.9, 1]]),
    }
    assert described(found, truth).endswith("at IoU 0.5: 50.0% and 33.3%")  # 2 of 4 boxes, 1 of 3 objects
    assert described(found, {}) == ""


def test_every_detector_of_coco_format_images_has_the_section(demo_root: Path):
    for name in ("tiles_r18", "tiles_lite0", "faster-rcnn_r18_fpn_small"):
        settings = load_config(ROOT / f"projects/detection_transfer/configs/{name}.py", demo_root).self_training
        assert settings.teacher is None


def test_changed_settings_of_a_resumed_run_are_refused_or_its_boxes_are_made_again(
    detector: Path, root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    few, more = ("--labels", "20%"), ("self_training.labeled_fraction=0.5",)
    file = tmp_path / "run" / FILE
    assert tuned(root, detector, *few) == 0
    before = file.read_bytes()
    capsys.readouterr()
    assert tuned(root, detector, *few, "--resume", options=more) == 2
    assert "iter_1.pth was trained with self_training.labeled_fraction 0.2, not 0.5: repeat" in capsys.readouterr().err
    assert tuned(root, detector, *few, "--resume", "--unlabeled", str(tmp_path)) == 2
    assert f"was trained with self_training.unlabeled None, not {tmp_path}: repeat" in capsys.readouterr().err
    assert file.read_bytes() == before
    assert tuned(root, detector, *few, "--resume", "--allow-changes", options=more) == 0
    assert max(boxes_of(file)[0].values()) == 4  # 13 of 63 images are labeled, and 51 are not
    file.write_bytes(before[:1000])
    capsys.readouterr()
    assert tuned(root, detector, *few, "--resume") == 2
    assert f"{file} is damaged (" in capsys.readouterr().err


def test_no_image_is_learned_twice_and_none_that_is_tested_on(
    detector: Path, root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked/train").symlink_to(root / "train2017")
    shutil.copy(root / "train2017/new.jpg", tmp_path / "linked/more.jpg")
    (tmp_path / "linked/same.jpg").symlink_to("more.jpg")
    assert tuned(root, detector, "--labels", "50%", "--unlabeled", str(tmp_path / "linked")) == 0
    _, boxes = boxes_of(tmp_path / "run" / FILE)
    assert [name for name in boxes if name.startswith("/")] == [str(tmp_path / "linked/more.jpg")]
    assert "; 65 images of " in capsys.readouterr().out

    (root / "train2017/tested.jpg").symlink_to(min((root / "val2017").iterdir()))
    assert tuned(root, detector, "--labels", "50%", work_dir="tested") == 0
    _, boxes = boxes_of(tmp_path / "tested" / FILE)
    assert "new.jpg" in boxes
    assert "tested.jpg" not in boxes
    assert "; 1 image of the val split not learned" in capsys.readouterr().out


def test_a_folder_without_a_readable_image_does_not_stop_the_other(
    detector: Path, root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    further = tmp_path / "further"
    further.mkdir()
    (root / "train2017/new.jpg").rename(further / "more 1 ü.jpg")
    (root / "train2017/broken.jpg").touch()
    assert tuned(root, detector, "--unlabeled", str(further)) == 0
    out = capsys.readouterr().out
    assert "train2017: none of 1 images can be read; the first: " in out
    assert " boxes with a score of at least 0.0001 on 1 of 2 images without labels" in out
    (further / "more 1 ü.jpg").write_bytes(b"")
    assert tuned(root, detector, "--unlabeled", str(further), work_dir="other") == 2
    assert "none of 1 images can be read; the first: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "options", "message"),
    [
        ((), ("self_training.unlabeled=photos",), "self_training.unlabeled is of self_training.teacher, which is"),
        (("--teacher", ""), (), "self_training.teacher must be a path, got ''"),
        (("--teacher", "run", "--unlabeled", ""), (), "self_training.unlabeled must be a path, got ''"),
        (("--teacher", "run"), ("self_training=None",), "--teacher needs a section self_training in the config"),
    ],
)
def test_settings_that_name_nothing(
    flags: tuple[str, ...], options: tuple[str, ...], message: str, root: Path, tmp_path: Path, capsys
):
    command = [CONFIG, "--data-root", str(root), "--init", "random", *flags, "--work-dir", str(tmp_path / "run")]
    assert finetune.main([*command, "--iterations", "1", "--cfg-options", *TINY[:3], *options]) == 2
    assert message in capsys.readouterr().err


def test_boxes_that_no_detector_learns_do_not_count():
    found = DetectedImage(
        "a.jpg",
        (64, 64),
        ImageDetections(
            torch.tensor([[0.0, 0.0, 9.0, 9.0], [5.0, 5.0, 5.9, 20.0], [0.0, 0.0, 8.0, 8.0]]),
            torch.tensor([0.9, 0.8, 0.7]),
            torch.tensor([1, 1, 0]),
        ),
    )
    assert labeled_boxes(found, ["other", "car"], ["car"]) == pytest.approx(np.array([[0, 0, 9, 9, 0.9, 1]]))


def test_an_error_of_the_main_process_ends_the_others(tmp_path: Path):
    program = (
        "import sys, torch; from torch.distributed import init_process_group\n"
        f"init_process_group('gloo', init_method='file://{tmp_path}/meet', rank=int(sys.argv[1]), world_size=2)\n"
        "from ccrop.transfer.self_training import in_main_process\n"
        "def refuse(): raise KeyError('kiwi')\n"
        "try: in_main_process(refuse)\n"
        "except Exception as error: print(type(error).__name__, error)\n"
    )
    ranks = [
        subprocess.Popen([sys.executable, "-c", program, str(rank)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        for rank in range(2)
    ]
    try:
        assert [each.communicate(timeout=300)[0].strip() for each in ranks] == ["KeyError 'kiwi'", "ValueError 'kiwi'"]
    finally:
        for each in ranks:
            each.kill()
