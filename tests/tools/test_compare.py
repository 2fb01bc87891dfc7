"""Comparisons of pretrainings as a user runs them: rows, resuming, tables and a plot."""

import csv
from pathlib import Path

import pytest
from jobs import ROOT, call, tool
from mmengine.runner import EpochBasedTrainLoop

from ccrop.experiments.class_measure import SHOWN
from ccrop.work_dir import locked

DETECTOR = ROOT / "tests/projects/detection_transfer/configs/faster-rcnn_tiny.py"

SMALL = (
    *("--tflop", "1e-6", "--bank", "8", "--queries", "8", "--objects", "20", "--min-queries", "1"),
    *("--cfg-options", "model.backbone.base_channels=8", "model.backbone.stem_channels=8", "model.channels=32"),
    *("train_dataloader.batch_size=16", "train_dataloader.dataset.subset=32"),
)


def compared(demo_root: Path, folder: Path, *arms: str):
    done = []
    for arm in arms:
        config = arm if arm == "untrained" else ROOT / "configs/comparison" / f"{arm}.py"
        also = [ROOT / "configs/comparison/rcrop.py"] if arm == "untrained" else []
        command = tool("compare.py", *also, config, "--data-root", demo_root, "--seeds", "0", "--csv", "c.csv")
        done.append(call([*command, *SMALL], folder))
    return done


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "c.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_one_row_a_run_resumable_with_tables_and_a_plot(demo_root: Path, tmp_path: Path):
    first, second = compared(demo_root, tmp_path, "rcrop", "region_clusters")
    assert first.returncode == second.returncode == 0, first.stdout + second.stdout
    trained = rows(tmp_path)
    assert [(row["arm"], row["seed"], row["epochs"]) for row in trained] == [
        ("rcrop", "0", "1"),
        ("region_clusters", "0", "1"),
    ]
    for row in trained:
        assert float(row["tflop"]) > 0
        found = [float(row[column]) for column in ("roi_s8_small", "roi_s16_all", "object_all")]
        assert all(0 <= each < 1 for each in found)
        assert max(found) > 0
    assert trained[0]["boxes"] == trained[0]["hit_small"] == ""
    assert float(trained[1]["boxes"]) > 1
    assert 0 < float(trained[1]["hit_small"]) <= 1
    assert trained[1]["roi_s32_all"] == ""  # the region arms have no stride 32

    run = tmp_path / "work_dirs/comparison" / demo_root.name / "region_clusters_0"
    lines = (tmp_path / "c.csv").read_text().splitlines(keepends=True)
    (tmp_path / "c.csv").write_text("".join(lines[:2]))
    (run / "step.json").write_text((run / "step.json").read_text().partition(' "result"')[0].rstrip(" ,\n") + "}")
    (tested,) = compared(demo_root, tmp_path, "region_clusters")
    assert "epoch 1/1" not in tested.stdout  # it was trained, but not measured
    assert rows(tmp_path) == [trained[0], trained[1] | dict(seconds="")]
    trained = rows(tmp_path)

    (again,) = compared(demo_root, tmp_path, "untrained")
    assert again.returncode == 0, again.stdout
    assert "epoch 1/1" not in again.stdout  # rcrop's row is there
    assert [row["arm"] for row in rows(tmp_path)] == ["rcrop", "region_clusters", "untrained"]
    assert rows(tmp_path)[2]["loss"] == ""
    assert rows(tmp_path)[:2] == trained
    data = demo_root.name
    table = (tmp_path / "c.md").read_text()
    assert table in again.stdout
    share = 100 * float(trained[1]["roi_s8_small"])
    assert f"| region clusters | {share:.1f} |" in table
    assert (tmp_path / f"c_{data}.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["configs/x.py"], "runs need --data-root"),
        (["untrained", "--data-root", "."], "at least one config"),
        (["nothing.py", "--data-root", "."], "config nothing.py does not exist"),
        (["a/x.py", "b/x.py", "--data-root", "."], "two arms of a/x.py, b/x.py have the same name"),
        ([DETECTOR, "x.py", "--data-root", "."], "is a detector's config and must be the only one"),
        ([DETECTOR, "--data-root", ".", "--bank", "9"], "--bank applies to pretrainings, not to "),
        (["x.py", "--data-root", ".", "--labels", "5%"], "--labels applies to a detector's config, not to x.py"),
        ([DETECTOR, "--data-root", ".", "--labels", "5x"], "fraction of labels must be above 0 and at most 100%"),
        (["--csv", "none.csv"], "none.csv does not exist: name configs to compare"),
    ],
)
def test_bad_arguments_are_named(arguments: list[str], message: str, tmp_path: Path):
    done = call(tool("compare.py", *arguments), tmp_path)
    assert done.returncode == 2
    assert message in done.stdout


def test_a_config_in_yaml_does_not_run(tmp_path: Path):
    (tmp_path / "config.yaml").write_text("model: !!python/object/apply:os.mkdir [made]\n")
    done = call(tool("compare.py", "config.yaml", "--data-root", "data"), tmp_path)
    assert done.returncode == 2
    assert "config.yaml: not YAML of plain values only" in done.stdout
    assert not (tmp_path / "made").exists()


def test_an_unknown_arm_to_compare_with_is_refused_before_the_runs(demo_root: Path, tmp_path: Path):
    config = ROOT / "configs/comparison/rcrop.py"
    command = tool("compare.py", config, "--data-root", demo_root, "--over", "rcop", "--csv", "c.csv")
    done = call([*command, *SMALL], tmp_path)
    assert done.returncode == 2
    assert done.stdout.splitlines()[-1] == "compare.py: --over rcop: unknown arm; the arms are rcrop"
    assert not list(tmp_path.iterdir())


def test_an_interrupt_is_a_line_with_how_to_continue(demo_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    configs = [ROOT / f"configs/comparison/{name}.py" for name in ("rcrop", "region_clusters")]
    command = tool("compare.py", *configs, "--data-root", demo_root, "--seeds", "0", "--csv", "c.csv", *SMALL)
    run_epoch = EpochBasedTrainLoop.run_epoch

    def interrupted(self: EpochBasedTrainLoop) -> None:
        if "region_clusters" in self.runner.work_dir:
            raise KeyboardInterrupt
        run_epoch(self)

    monkeypatch.setattr(EpochBasedTrainLoop, "run_epoch", interrupted)
    done = call(command, tmp_path)
    assert done.returncode == 130
    *_, logged, last = done.stdout.splitlines()
    assert logged.endswith("Interrupted after 0 iterations: run the same command again")
    assert last == (
        "compare.py: interrupted: c.csv keeps the rows of finished runs; run the same command again to continue"
    )
    assert [row["arm"] for row in rows(tmp_path)] == ["rcrop"]
    monkeypatch.undo()
    again = call(command, tmp_path)
    assert again.returncode == 0, again.stdout
    assert [row["arm"] for row in rows(tmp_path)] == ["rcrop", "region_clusters"]


def test_a_csv_of_something_else_is_not_written_to(tmp_path: Path):
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    done = call(tool("compare.py", "--csv", "other.csv"), tmp_path)
    assert done.returncode == 2
    assert "other.csv does not have a comparison's columns" in done.stdout
    assert (tmp_path / "other.csv").read_text() == "a,b\n1,2\n"


def test_images_with_classes_are_measured_by_knn_and_linear(colors: Path, tmp_path: Path):
    configs = [ROOT / f"configs/simsiam_{crop}_cifar10.py" for crop in ("rcrop", "single")]
    command = tool("compare.py", *configs, "--data-root", colors, "--seeds", 0, "--epochs", 2, "--csv", "c.csv")
    small = (
        *("--cfg-options", "model.backbone.base_channels=8", "model.backbone.stem_channels=8"),
        *("train_dataloader.batch_size=8", "train_dataloader.num_workers=0"),
    )
    done = call([*map(str, command), *small], tmp_path)
    assert done.returncode == 0, done.stdout
    first, second = rows(tmp_path)
    assert (first["arm"], first["epochs"], first["boxes"]) == ("simsiam_rcrop_cifar10", "2", "")
    assert (second["arm"], second["boxes"]) == ("simsiam_single_cifar10", "1.0")
    assert all(0 < float(row[name]) <= 1 for row in (first, second) for name in SHOWN)
    gained = 100 * (float(second["linear"]) - float(first["linear"]))
    assert "single over rcrop, points, mean of 1: " in done.stdout
    assert f"linear {gained:+.2f}" in done.stdout
    assert (tmp_path / f"c_{colors.name}.png").stat().st_size > 5000


def test_a_comparison_of_which_another_process_has_a_run_says_so(demo_root: Path, tmp_path: Path):
    with locked(tmp_path / "work_dirs/comparison" / demo_root.name / "rcrop_0"):
        (held,) = compared(demo_root, tmp_path, "rcrop")
    assert held.returncode == 3
    said = "c.csv is not complete: other processes work on rcrop of seed 0; "
    assert held.stdout.splitlines()[-1] == f"{said}run the same command again when they have ended"
    assert rows(tmp_path) == []
