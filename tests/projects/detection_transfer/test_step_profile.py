"""Where a step's time goes."""

from pathlib import Path

import pytest
from jobs import ROOT

from ccrop.projects.detection_transfer import step_profile


def test_the_parts_of_a_step_add_up(demo_root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture):
    monkeypatch.setattr(step_profile, "WARM_UP", 1)
    config = ROOT / "projects/detection_transfer/configs/tiles_r18.py"
    command = [
        str(config),
        "--data-root",
        str(demo_root),
        "--steps",
        "1",
        "--cfg-options",
        "train_dataloader.batch_size=4",
    ]
    assert step_profile.main(command) == 0
    line = capsys.readouterr().out.splitlines()[-1]
    name, megapixels, *parts, total = line.strip("| ").split(" | ")
    assert name == "tiles_r18"
    assert float(megapixels) == pytest.approx(4 * 128 * 128 / 1e6, abs=0.005)
    assert all(int(part) >= 0 for part in parts)
    assert sum(map(int, parts)) == pytest.approx(int(total), abs=len(parts))
    assert int(parts[1]) > 0  # the network


def test_a_missing_set_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture):
    config = ROOT / "projects/detection_transfer/configs/tiles_r18.py"
    assert step_profile.main([str(config), "--data-root", str(tmp_path / "none")]) == 2
    assert "none does not exist" in capsys.readouterr().err
