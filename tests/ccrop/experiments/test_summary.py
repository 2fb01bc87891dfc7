"""Tables, a note and plots beside a CSV."""

from pathlib import Path

import pytest

from ccrop.experiments.initializations import schema_of
from ccrop.experiments.object_measure import ObjectMeasure
from ccrop.experiments.rows import append_row
from ccrop.experiments.schema import Schema
from ccrop.experiments.summary import require_arms, write_summary
from ccrop.transfer import Transfer

DETECTOR = schema_of(Transfer(None, None, None, "AP", ("AP",), ("AP",), references=("random", "other")))


def add(file: Path, schema: Schema, **row: object) -> None:
    append_row(file, dict.fromkeys(schema.header, "") | row, schema.header, schema.key)


def test_of_a_detector_a_table_for_each_fraction_of_the_labels(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    file = tmp_path / "x.csv"
    for labels in ("0.07", "0.02", "0.0025"):
        for arm, goal in (("random", 0.01), ("other", 0.03)):
            add(file, DETECTOR, data="a_set", labels=labels, arm=arm, seed=0, AP=goal)
    write_summary(file, DETECTOR)
    text = (tmp_path / "x.md").read_text()
    assert text.strip() == capsys.readouterr().out.strip()
    assert text.splitlines()[0].startswith("| a set, 0.25% of the labels, 1 seed, % | AP | AP over random |")
    assert text.splitlines()[3] == "| other | 3.0 | +2.0 |  |"
    assert text.count(", 2% of the labels") == text.count(", 7% of the labels") == 1
    assert "95 % interval over seeds (Student's t)" in text.splitlines()[-1]
    assert (tmp_path / "x_a_set.png").stat().st_size > 5000


def test_of_pretrainings_mean_and_spread_over_seeds(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    file, schema = tmp_path / "x.csv", ObjectMeasure.schema
    for seed, fraction in enumerate((0.5, 0.6, 0.7)):
        add(file, schema, data="d", arm="a_b", seed=seed, roi_s8_small=fraction)
    add(file, schema, data="d", arm="c", seed=0, roi_s8_small=0.25)
    add(file, schema, data="e", arm="c", seed=0, roi_s8_small=0.75)
    write_summary(file, schema, ["a_b", "z"])
    lines = (tmp_path / "x.md").read_text().splitlines()
    assert lines[0] == "| d, 1/3 seeds, % | RoI-kNN at stride 8, small | RoI-kNN at stride 8, small over a b |"
    assert lines[2:4] == ["| a b | 60.0 ± 10.0 |  |", "| c | 25.0 | -25.0 |"]
    assert lines[5] == "| e, 1 seed, % | RoI-kNN at stride 8, small |"
    assert f"No differences to z: no such rows in {file}" in capsys.readouterr().out
    assert all((tmp_path / f"x_{data}.png").stat().st_size > 5000 for data in "de")
    write_summary(file, schema)
    assert (tmp_path / "x.md").read_text().splitlines()[-1] == "Mean ± standard deviation over seeds."


def test_references_are_among_the_arms_to_run_or_the_rows(tmp_path: Path):
    file, schema = tmp_path / "x.csv", ObjectMeasure.schema
    with pytest.raises(ValueError, match=r"^--over b: unknown arm; the arms are a$"):
        require_arms(["a", "b"], file, schema, ["a"])
    add(file, schema, data="d", arm="b", seed=0, roi_s8_small=0.5)
    require_arms(["a", "b"], file, schema, ["a"])
    with pytest.raises(ValueError, match=r"^--over a z: unknown arm; the arms are b$"):
        require_arms(["a", "b", "z"], file, schema)


@pytest.mark.parametrize("labels", ["", "nan", "0", "10"])
def test_a_row_without_its_fraction_of_the_labels_is_named(tmp_path: Path, labels: str):
    file = tmp_path / "x.csv"
    file.write_text(",".join(DETECTOR.header) + "\n")
    fields = dict.fromkeys(DETECTOR.header, "") | dict(data="d", labels=labels, arm="random", seed="0", AP="0.5")
    with file.open("a") as handle:
        handle.write(",".join(fields.values()) + "\n")
    message = rf"x\.csv, row 2: labels is '{labels}', not a fraction above 0 and up to 1; remove the row, and the next"
    with pytest.raises(ValueError, match=message):
        write_summary(file, DETECTOR)


def test_an_empty_metric_is_an_empty_cell(tmp_path: Path):
    file = tmp_path / "x.csv"
    for arm, goal in (("random", ""), ("other", 0.25)):
        add(file, DETECTOR, data="d", labels="0.1", arm=arm, seed=0, AP=goal)
    write_summary(file, DETECTOR)
    assert (tmp_path / "x.md").read_text().splitlines()[2:4] == ["| random |  |  |  |", "| other | 25.0 |  |  |"]
    add(file, DETECTOR, data="e", labels="0.1", arm="random", seed=0)
    write_summary(file, DETECTOR)
    assert "| e, 10% of the labels, 1 seed, % | AP over random |" in (tmp_path / "x.md").read_text()
