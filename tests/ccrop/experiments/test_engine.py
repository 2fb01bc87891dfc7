"""Runs without a row are done, each once, and rows of other budgets are refused."""

import multiprocessing
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from ccrop.experiments.engine import run_missing
from ccrop.experiments.rows import OPTIONS, Row, append_row, read_rows
from ccrop.experiments.schema import Schema
from ccrop.experiments.steps import step
from ccrop.work_dir import locked

SCHEMA = Schema(("data", "arm", "seed"), ("epochs", "hit"), {"hit": "hit"}, lambda _: ("hit",))


class Toy:
    """Two arms and three seeds; says in a log what it measures."""

    schema = SCHEMA

    def __init__(self, folder: Path, epochs: int = 2, seconds: float = 0) -> None:
        self.folder, self.epochs, self.seconds = folder, epochs, seconds

    def runs(self) -> Iterator[Row]:
        for seed in "012":
            for arm in "ab":
                yield dict(data="d", arm=arm, seed=seed)

    def settings(self, run: Row) -> dict[str, object]:
        return {"epochs": self.epochs, OPTIONS: f"arm={run['arm']}"}

    def measure(self, run: Row) -> dict[str, float]:
        return step(self.schema.folder(self.folder, run), {}, partial(self.measured, run))

    def measured(self, run: Row) -> dict[str, float]:
        with (self.folder / "log").open("a") as file:
            file.write(f"{run['arm']}{run['seed']} ")
        time.sleep(self.seconds)
        return dict(hit=0.25)

    @property
    def log(self) -> list[str]:
        return (self.folder / "log").read_text().split()


@pytest.mark.parametrize(
    ("finished", "kept"), [(0, "no run is finished"), (2, "x.csv keeps the rows of finished runs")]
)
def test_an_interrupt_says_what_is_finished(tmp_path: Path, finished: int, kept: str):
    class Interrupted(Toy):
        def measured(self, run: Row) -> dict[str, float]:
            if len(read_rows(tmp_path / "x.csv", SCHEMA.header)) == finished:
                raise KeyboardInterrupt
            return super().measured(run)

    with pytest.raises(KeyboardInterrupt, match=f"{kept}; run the same command again to continue$"):
        run_missing(Interrupted(tmp_path), tmp_path / "x.csv")


def test_a_csv_that_cannot_be_written_stops_before_the_first_run(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        run_missing(Toy(tmp_path), tmp_path / "file/x.csv")
    assert not (tmp_path / "log").exists()
    run_missing(Toy(tmp_path), tmp_path / "new/folder/x.csv")
    assert len(read_rows(tmp_path / "new/folder/x.csv", SCHEMA.header)) == 6


def test_what_has_a_row_is_not_done_again(tmp_path: Path):
    toy, file = Toy(tmp_path), tmp_path / "x.csv"
    run_missing(toy, file)
    assert toy.log == ["a0", "b0", "a1", "b1", "a2", "b2"]
    rows = read_rows(file, SCHEMA.header)
    assert rows[3] == dict(data="d", arm="b", seed="1", epochs="2", hit="0.25", options="arm=b")
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join(lines[:2] + lines[3:]))
    run_missing(toy, file)
    assert len(toy.log) == 6  # the step of a removed row is known
    assert sorted(map(str, read_rows(file, SCHEMA.header))) == sorted(map(str, rows))


def test_another_budget_and_other_options_are_refused_before_anything_is_run(tmp_path: Path):
    file = tmp_path / "x.csv"
    row = dict(data="d", arm="b", seed="2", epochs="2.0", hit="0.5", options="arm=c")
    append_row(file, row, SCHEMA.header, SCHEMA.key)
    with pytest.raises(ValueError, match=r"x\.csv holds b of seed 2 with epochs 2\.0, not 3: choose another --csv"):
        run_missing(Toy(tmp_path, epochs=3), file)
    with pytest.raises(ValueError, match="with options arm=c, not arm=b"):
        run_missing(Toy(tmp_path), file)
    assert not (tmp_path / "log").exists()


def test_rows_of_a_file_without_options_count(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    toy, file = Toy(tmp_path), tmp_path / "x.csv"
    file.write_text("data,arm,seed,epochs,hit\nd,a,0,2,0.5\n")
    run_missing(toy, file)
    assert "x.csv does not record the options of its rows" in capsys.readouterr().out
    assert toy.log == ["b0", "a1", "b1", "a2", "b2"]
    assert [row["hit"] for row in read_rows(file, SCHEMA.header)] == ["0.5", *["0.25"] * 5]


def test_a_run_of_another_process_is_left_to_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    toy, file = Toy(tmp_path), tmp_path / "x.csv"
    with locked(tmp_path / "d/a_1"):
        assert run_missing(toy, file) == ["a of seed 1"]
    assert toy.log == ["a0", "b0", "b1", "a2", "b2"]
    assert f"No row yet of a of seed 1: {tmp_path}/d/a_1 is in use by process" in capsys.readouterr().out
    assert run_missing(toy, file) == []
    assert toy.log[5:] == ["a1"]
    assert len(read_rows(file, SCHEMA.header)) == 6


def test_two_processes_share_the_runs(tmp_path: Path):
    context, file = multiprocessing.get_context("fork"), tmp_path / "x.csv"
    toy = Toy(tmp_path, seconds=0.1)
    processes = [context.Process(target=run_missing, args=(toy, file)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    assert sorted(toy.log) == ["a0", "a1", "a2", "b0", "b1", "b2"]
    assert sorted(row["arm"] + row["seed"] for row in read_rows(file, SCHEMA.header)) == sorted(toy.log)
