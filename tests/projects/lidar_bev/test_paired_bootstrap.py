"""The interval of one detector of sweeps over another, from what their runs kept."""

from pathlib import Path

import numpy as np
import pytest

from ccrop.experiments.paired_bootstrap import FILE
from ccrop.projects.detection_transfer.paired_bootstrap import image_interval
from ccrop.projects.lidar_bev.paired_bootstrap import main, paired_interval, sweep_interval
from ccrop.tools.report import interval


def keep(folder: Path, figures: list[float], sweeps=(1, 2), objects=((1, 0.0),), classes=("Car",)) -> Path:
    folder.mkdir()
    content = dict(sweeps=np.array(sweeps), objects=np.array(objects), classes=np.array(classes))
    values = np.array(figures)
    np.savez(folder / FILE, **content, mAP=values, **{f"AP_{name}": values / 2 for name in classes})
    return folder


@pytest.fixture
def runs(tmp_path: Path) -> list[Path]:
    """Two seeds of a detector and one of another, of four resamples."""
    return [
        keep(tmp_path / "own_0", [0.5, 0.6, 0.4, 0.5, 0.7]),
        keep(tmp_path / "own_1", [0.7, 0.6, 0.6, 0.9, 0.7]),
        keep(tmp_path / "other", [0.2, 0.1, 0.4, 0.2, 0.3]),
    ]


def test_differences_of_means_are_paired_by_resample(runs: list[Path]):
    # 0.6 - 0.1, 0.5 - 0.4, 0.7 - 0.2, 0.7 - 0.3: sorted 0.1, 0.4, 0.5, 0.5; quantile 0.025 is at place 0.075
    expected = (0.6, 0.2, 0.4, 0.1 + 0.075 * 0.3, 0.5)
    assert paired_interval("mAP", runs[:2], runs[2:]) == pytest.approx(expected)
    assert sweep_interval("AP_Car", runs[:2], runs[2:]) == pytest.approx((expected[3] / 2, 0.25))
    assert interval("mAP", runs[:2], runs[2:]) == pytest.approx(expected[3:])  # that of a report


def test_other_metrics_and_other_detectors_have_none(tmp_path: Path, runs: list[Path]):
    assert sweep_interval("heading", runs[:1], runs[2:]) is None
    assert sweep_interval("mAP", runs[:1], [tmp_path]) is None
    assert image_interval("mAP", runs[:1], runs[2:]) is None
    np.savez(tmp_path / FILE, images=np.array([1]), mAP=np.array([0.5, 0.5]))
    assert sweep_interval("mAP", runs[:1], [tmp_path]) is None


def test_the_command_prints_all_metrics(runs: list[Path], capsys):
    assert main([*map(str, runs[:2]), "--over", str(runs[2])]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "| % | own | other | difference | 95 % over sweeps |",
        "| --- | --- | --- | --- | --- |",
        "| mAP | 60.0 | 20.0 | +40.0 | +12.2 to +50.0 |",
        "| AP_Car | 30.0 | 10.0 | +20.0 | +6.1 to +25.0 |",
    ]


@pytest.mark.parametrize("change", [dict(sweeps=(1, 3)), dict(objects=((2, 0.0),))])
def test_runs_on_other_sweeps_are_refused(tmp_path: Path, runs: list[Path], change: dict, capsys):
    strange = keep(tmp_path / "strange", [0.1] * 5, **change)
    assert main([str(runs[0]), "--over", str(strange)]) == 2
    assert "differ in test sweeps, objects or classes: test both detectors on the same set" in capsys.readouterr().err


def test_a_folder_of_another_kind_is_named(tmp_path: Path, runs: list[Path], capsys):
    assert main([str(tmp_path), "--over", str(runs[0])]) == 2
    assert f"{tmp_path / FILE} does not exist" in capsys.readouterr().err
    np.savez(tmp_path / FILE, images=np.array([1]), AP_S_counted=np.zeros(5))
    assert main([str(runs[0]), "--over", str(tmp_path)]) == 2
    assert (
        f"{tmp_path / FILE} does not hold mAP, sweeps, objects, classes: it belongs to another"
        in capsys.readouterr().err
    )
