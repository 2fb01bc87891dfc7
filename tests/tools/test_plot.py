"""Curves of runs are those that were logged."""

import csv
from pathlib import Path

import pytest
from PIL import Image
from torch.utils.tensorboard import SummaryWriter

from ccrop.tools import plot


def log(folder: Path, scalar: str, values: dict[int, float]) -> None:
    with SummaryWriter(str(folder)) as writer:
        for epoch, value in values.items():
            writer.add_scalar(f"epoch/{scalar}", value, epoch)
            writer.add_scalar(f"train/{scalar}", -1, epoch)


def test_a_resumed_run_is_one_line(tmp_path: Path):
    log(tmp_path / "a/first/vis_data", "loss", {1: 0.5, 2: 0.25, 3: 9})
    log(tmp_path / "a/second/vis_data", "loss", {3: 0.125})
    log(tmp_path / "b/vis_data", "loss", {1: 2})
    log(tmp_path / "b/vis_data", "knn", {1: 0.75})
    runs = [str(tmp_path / name) for name in ("a", "b")]
    assert plot.main([*runs, "--scalars", "loss", "knn", "--out", str(tmp_path / "c.png")]) == 0
    with (tmp_path / "c.csv").open(newline="") as file:
        assert list(csv.reader(file)) == [
            ["run", "epoch", "scalar", "value"],
            ["a", "1", "loss", "0.5"],
            ["a", "2", "loss", "0.25"],
            ["a", "3", "loss", "0.125"],
            ["b", "1", "loss", "2"],
            ["b", "1", "knn", "0.75"],
        ]
    assert Image.open(tmp_path / "c.png").width > 700


def test_what_a_run_without_labels_did_not_log_is_left_out(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for scalar in ("rank", "loss"):
        log(Path("a"), scalar, {1: 2, 2: 3})
    assert plot.main(["a"]) == 0
    with Path("curves.csv").open(newline="") as file:
        assert [row[2] for row in csv.reader(file)] == ["scalar", "loss", "loss", "rank", "rank"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["empty"], "empty holds no run's TensorBoard log"),
        (["a", "--scalars", "lose"], "no run logged lose; available are loss"),
        (["begun"], "no epoch was logged in begun"),
        (
            ["detector"],
            "detector holds no run's TensorBoard log: it is a detector's, whose curves tools/report.py draws",
        ),
    ],
)
def test_what_is_missing_is_named(tmp_path: Path, monkeypatch, capsys, arguments: list[str], message: str):
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    log(Path("a"), "loss", {1: 1})
    with SummaryWriter("begun") as writer:
        writer.add_scalar("train/loss", 1, 1)
    Path("detector/time/vis_data").mkdir(parents=True)
    with SummaryWriter("begun") as writer:
        writer.add_scalar("train/loss", 1, 1)
    Path("detector/time/vis_data/scalars.json").write_text('{"loss": 1.5, "iter": 50, "step": 50}\n')
    assert plot.main(arguments) == 2
    assert message in capsys.readouterr().err
