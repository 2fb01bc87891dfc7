"""Figures of a detector's run, and the rounds of a pretraining on pseudo-boxes."""

import json
import sys
from pathlib import Path

import torch

from ccrop.report.detector import by_size, of_sweeps, precision, sections, validations

NOTE = (
    "Round {} of 2: 1,234 pseudo-boxes of 20 of 22 images; by the annotations, which are not trained on: "
    "recall at IoU 0.3 30.5%, small 20.0%; recall at IoU 0.5 10.0%, small nan%; "
    "precision at IoU 0.3 40.0%, small 41.0%; precision at IoU 0.5 15.0%, small 16.0%"
)


def finished(folder: Path, **figures: float) -> None:
    log = folder / "1/vis_data"
    log.mkdir(parents=True)
    (folder / "metrics.json").write_text(json.dumps(figures))
    config = dict(headline="tiles on drones", train_cfg=dict(max_iters=800), train_dataloader=dict(batch_size=32))
    config["notes"] = ["left out: <a.jpg>", "Teacher run: 9 boxes"]
    torch.save(dict(config=config), folder / "iter_800.pth")
    lines = [dict(loss=2.0 / step, step=step) for step in (1, 50, 100)]
    (log / "scalars.json").write_text("\n".join(map(json.dumps, lines)))


def test_a_run_has_its_figures_and_its_curve(tmp_path: Path):
    finished(tmp_path, core_seconds=9.0, AP=0.125, AP_S=0.0625, AP_L=float("nan"))
    text = "".join(sections(tmp_path))
    assert "tiles on drones" in text
    assert ">left out: &lt;a.jpg&gt;; Teacher run: 9 boxes<" in text
    assert ">12.5%<" in text
    assert ">6.25%<" in text
    assert ">12.5 %<" in text
    assert "large" not in text
    assert "core_seconds" not in text
    assert text.count("<polyline") == 1


def test_sizes_have_both_precisions_and_the_run_its_time(tmp_path: Path):
    finished(tmp_path, core_seconds=90.0, AP=0.125, AP_S=0.0625, AP50=0.5, AP50_S=0.25, AP50_tiny=0.0)
    (tmp_path / "1/vis_data/scalars.json").write_text('{"time": 0.1, "step": 50}\n{"time": 0.3, "step": 400}\n')
    text = "".join(sections(tmp_path))
    assert "0:01:20 (0.2 s per iteration), CPU time 0:01:30" in text
    assert [title in text for title in ("AP by size", "AP at IoU 0.5 by size")] == [True, True]
    assert by_size({"AP": 0.1, "AP_S": 0.2}) == {"AP by size": {"all": 0.1, "small": 0.2}}
    assert by_size({"mAP": 0.1, "AP_Car": 0.2}) == {}


def test_tests_on_the_way_are_a_curve_that_ends_with_the_run(tmp_path: Path):
    finished(tmp_path, AP=0.5, AP_S=0.25)
    log = "x - INFO - Validation after {} iterations: AP_S {:.2f}%  AR_S 9.00%\n"
    (tmp_path / "1/1.log").write_text(log.format(20, 12.5) + "other\n" + log.format(60, 20))
    assert validations(tmp_path) == {"AP_S": {20: 0.125, 60: 0.2, 100: 0.25}, "AR_S": {20: 0.09, 60: 0.09}}
    assert "".join(sections(tmp_path)).count("<polyline") == 3


def test_a_config_that_names_code_from_elsewhere_is_shown_and_not_run(tmp_path: Path):
    finished(tmp_path, AP=0.5)
    model = dict(type="antigravity.Detector")
    config = dict(model=model, headline="own", train_cfg={}, train_dataloader={}, custom_imports=dict(imports=["this"]))
    torch.save(dict(config=config), tmp_path / "iter_800.pth")
    text = "".join(sections(tmp_path))
    assert "antigravity.Detector" in text
    assert ">50.0 %<" in text
    assert not {"antigravity", "this"} & sys.modules.keys()


def test_rounds_stand_below_each_other(tmp_path: Path):
    for number in (0, 1):
        folder = tmp_path / f"round_{number}"
        finished(folder, AP=0.1)
        (folder / "1/log.log").write_text(NOTE.format(number))
    text = "".join(sections(tmp_path))
    assert text.count("1,234 of 20 images") == 2
    for cell in ("30.5 / 20.0", "10.0 / nan", "40.0 / 41.0", "15.0 / 16.0"):
        assert text.count(cell) == 2
    assert text.count("<polyline") == 2


def test_rounds_on_sweeps_have_recall_by_class_and_say_why_they_ended(tmp_path: Path):
    boxes = "Round {} of 3: {} pseudo-boxes of 10 sweeps; {}\n"
    measured = (
        "by the labels, which are not learned: recall at BEV IoU 0.3 Car 50.5%, Person on foot 7.0%, precision 8.0%; "
        "recall at BEV IoU 0.5 Car 20.0%, Person on foot 1.0%, precision nan%"
    )
    finished(tmp_path / "round_0", mAP=0.1)
    log = tmp_path / "round_0/1/log.log"
    log.write_text(boxes.format(0, "1,234", measured) + "Round 0 was the last: it scores no box\n")
    text = "".join(sections(tmp_path))
    assert "Precision, and recall by class" in text
    assert "<p>Round 0 was the last: it scores no box</p>" in text
    for cell in ("1,234 of 10 sweeps", "8.0 / nan", "recall of Car", "50.5 / 20.0", "recall of Person on foot"):
        assert text.count(f">{cell}<") == 1
    log.write_text(boxes.format(0, 12, "not compared with labels: the data set has no labels"))
    text = "".join(sections(tmp_path))
    assert "<p>Not compared with labels: the data set has no labels</p>" in text
    assert "12 of 10 sweeps" in text
    assert "Precision" not in text


def test_an_unfinished_run_has_no_figures():
    assert precision({"run": {}}) == ""


def test_errors_of_sweeps_have_units_and_are_no_percentages(tmp_path: Path):
    finished(tmp_path, mAP=0.5, translation=0.25, heading=1.5)
    text = "".join(sections(tmp_path))
    assert ">50.0 %<" in text
    assert ">0.25<" in text
    assert ">1.5<" in text
    assert "A bin, such as mAP_0-15m by range or mAP_100+points by points in the box, counts only" in text
    assert "COCO" not in text


def test_figures_of_sweeps_have_a_chart_for_each_thing_they_tell_apart():
    figures = {"NDS": 0.4, "mAP": 0.5, "AP_Car": 0.7, "AP_traffic_cone": 0.3, "mAP_0.5m": 0.2, "mAP_4m": 0.8}
    figures |= {"mAP_0-15m": 0.6, "mAP_30m+": 0.1, "mAP_1-9points": 0.25, "mAP_100+points": 0.75, "translation": 0.3}
    figures |= {"AP_R40_bev_Car_easy": 0.9, "AP_R40_3d_Car_hard": 0.45}
    assert of_sweeps(figures) == {
        "AP by class": {"NDS": 0.4, "mean": 0.5, "Car": 0.7, "traffic_cone": 0.3},
        "mAP by distance of centers": {"0.5m": 0.2, "4m": 0.8},
        "mAP by range": {"0-15m": 0.6, "30m+": 0.1},
        "mAP by points in the box": {"1-9": 0.25, "100+": 0.75},
        "KITTI's AP in BEV": {"Car_easy": 0.9},
        "KITTI's AP in 3D": {"Car_hard": 0.45},
    }
    assert of_sweeps({"AP50": 0.5}) == {"Average precision": {"AP50": 0.5}}
    page = precision({"a": figures, "b": {"mAP": 0.125, "AP_Car": float("nan")}})
    assert 'aria-label="a: mAP by range"' in page
    assert 'aria-label="b: AP by class"' in page
    assert "mean" in page
    assert 'aria-label="AP by class"' in precision({"a": figures})
