"""The interval of one detector's figures over another's, from what their runs kept."""

from pathlib import Path

import numpy as np
import pytest

from ccrop.projects.detection_transfer.paired_bootstrap import FILE, main, paired_interval


def keep(folder: Path, figures: list[float], images=(1, 2), objects=((1, 0.0),), min_objects=50) -> Path:
    folder.mkdir()
    content = dict(images=np.array(images), objects=np.array(objects), min_objects=min_objects, found=np.zeros((0, 7)))
    values = np.array(figures)
    np.savez(folder / FILE, **content, AP_S_counted=values, AP50_S_counted=values / 2)
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
    found = paired_interval("AP_S_counted", runs[:2], runs[2:])
    # 0.6 - 0.1, 0.5 - 0.4, 0.7 - 0.2, 0.7 - 0.3: sorted 0.1, 0.4, 0.5, 0.5; quantile 0.025 is at place 0.075
    assert found == pytest.approx((0.6, 0.2, 0.4, 0.1 + 0.075 * 0.3, 0.5))
    assert paired_interval("AP_S_counted", runs[:1], runs[:1])[2:] == (0, 0, 0)


def test_nothing_counted_gives_nan(tmp_path: Path, runs: list[Path]):
    none = keep(tmp_path / "none", [np.nan] * 5)
    assert np.isnan(paired_interval("AP_S_counted", [none], [none])).all()


def test_the_command_prints_both_figures(runs: list[Path], capsys):
    assert main([*map(str, runs[:2]), "--over", str(runs[2])]) == 0
    assert capsys.readouterr().out.splitlines()[2:] == [
        "| AP_S_counted | 60.0 | 20.0 | +40.0 | +12.2 to +50.0 |",
        "| AP50_S_counted | 30.0 | 10.0 | +20.0 | +6.1 to +25.0 |",
    ]


@pytest.mark.parametrize("change", [dict(images=(1, 3)), dict(objects=((2, 0.0),)), dict(min_objects=10)])
def test_runs_on_other_images_are_refused(tmp_path: Path, runs: list[Path], change: dict, capsys):
    strange = keep(tmp_path / "strange", [0.1] * 5, **change)
    assert main([str(runs[0]), "--over", str(strange)]) == 2
    error = capsys.readouterr().err
    assert "strange" in error
    assert "differ in test images, objects or min_objects" in error


def test_a_folder_that_kept_nothing_is_named(tmp_path: Path, runs: list[Path], capsys):
    assert main([str(tmp_path), "--over", str(runs[0])]) == 2
    assert f"{tmp_path / FILE} does not exist" in capsys.readouterr().err
