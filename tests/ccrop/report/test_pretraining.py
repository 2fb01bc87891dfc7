"""What a page says about a pretraining run."""

import re
from pathlib import Path

import pytest

from ccrop.backbones.builder import backbone_config
from ccrop.report.pretraining import network_name, region_knn, times, why_no_region_knn


@pytest.mark.parametrize(
    ("backbone", "expected"),
    [
        (backbone_config("mmdet:resnet18"), "ResNet-18"),
        (backbone_config("timm:convnext_tiny"), "timm:convnext_tiny"),
        (backbone_config("torchvision:resnet50"), "torchvision:resnet50"),
        (dict(type="my.nets.PlainNet", width=32), "PlainNet"),
        ({}, ""),
    ],
)
def test_a_network_is_named_as_its_config_does(backbone: dict, expected: str):
    assert network_name(backbone) == expected


@pytest.mark.parametrize(
    ("steps", "moments", "small", "chart"),
    [
        ({0: 0.5, 10: 0.6, 20: 0.75}, "before training → after epoch 20", "50.0 → 75.0", "after epoch 20"),
        ({0: 0.5}, "before training", "50.0", "before training"),  # a run that ended early
        ({10: 0.6}, "after epoch 10", "60.0", "after epoch 10"),
    ],
)
def test_region_knn_says_when_it_was_measured(steps: dict[int, float], moments: str, small: str, chart: str):
    html = region_knn({"s8_small": steps, "s8_all": steps})
    assert f"%, {moments}; sizes" in html
    assert re.findall(r"<td[^>]*>(.*?)</td>", html)[2] == small
    assert f">{chart}</text>" in html
    assert region_knn({}) == ""


def test_sizes_without_objects_are_left_open():
    cells = re.findall(r"<td[^>]*>(.*?)</td>", region_knn({"s8_all": {0: 0.5, 4: 0.6}, "s8_large": {0: 0.5}}))
    assert cells == ["stride 8", "50.0 → 60.0", "– → –", "– → –", "50.0 → –"]


def test_a_run_without_region_knn_says_why(tmp_path: Path):
    log = tmp_path / "1/1.log"
    log.parent.mkdir()
    log.write_text("x - INFO - other\n")
    assert why_no_region_knn(tmp_path) == ""
    for line in ("No RoI-kNN in this run, for lack of annotations: a", "The run continues without RoI-kNN: b"):
        log.write_text(f"x - INFO - {line}\nx - INFO - other\n")
        assert why_no_region_knn(tmp_path) == f"<p>{line}</p>"


@pytest.mark.parametrize(("logged", "shown"), [("0.02", "0.02"), ("25", "25")])
def test_slow_runs_have_a_speed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logged: str, shown: str):
    monkeypatch.setattr("ccrop.report.pretraining.seconds_by_epoch", lambda work_dir: {})
    (tmp_path / "1").mkdir()
    (tmp_path / "1/1.log").write_text(f"epoch 1/1  loss 0.1  {logged} sweeps/s  ETA 0:00:00\n")
    assert f">{shown} examples/s, mean over epochs<" in times(tmp_path)
