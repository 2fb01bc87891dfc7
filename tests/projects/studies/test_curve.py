"""Curves of schedules: what is on one, and what a point says."""

from pathlib import Path

import pytest

from ccrop.projects.studies.finetuning_recipe.curve import curves, main, table

HEADER = "data,labels,arm,seed,iterations,core_seconds,AP_S_counted,AP50_S_counted,AP_S,AP\n"


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    rows = {
        "tiles_r10_100.csv": "a,0.1,random,0,100,10,0.10,0.2,0.1,\na,0.1,imagenet,0,100,10,0.5,0.5,0.5,0.5\n",
        "tiles_r10-seed0_50.csv": "a,0.1,random,0,50,4,0.04,0.2,0.1,0.1\n",
        "tiles_r10-seed1_50.csv": "a,0.1,random,1,50,6,0.06,0.2,0.1,0.1\n",
    }
    for name, text in rows.items():
        (tmp_path / name).write_text(HEADER + text)
    return [tmp_path / name for name in rows]


def test_seeds_of_a_schedule_are_a_point_and_schedules_of_an_init_a_curve(files: list[Path]):
    found = curves(files)
    assert set(found) == {("a", "tiles_r10, random, 10%"), ("a", "tiles_r10, imagenet, 10%")}
    points = found["a", "tiles_r10, random, 10%"]
    assert [(point.iterations, point.core_seconds, len(point.rows)) for point in points] == [(50, 5, 2), (100, 10, 1)]
    assert points[0].percent("AP_S_counted") == pytest.approx([4, 6])
    assert points[1].percent("AP") == []
    assert "| a | tiles_r10, random, 10% | 50 | 5 | 2 | 5.0 ± 1.4 | 20.0 ± 0.0 | 10.0 ± 0.0 | 10.0 ± 0.0 |" in table(
        found
    )


def test_the_command_writes_table_and_picture(files: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main([*map(str, files), "--out", str(tmp_path / "curves")]) == 0
    assert (tmp_path / "curves.md").read_text() in capsys.readouterr().out
    assert (tmp_path / "curves_a.png").stat().st_size > 5000
