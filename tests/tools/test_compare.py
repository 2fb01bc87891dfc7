"""The comparison as a user runs it: rows, resuming, tables and a plot."""

import csv
from pathlib import Path

import pytest
from jobs import ROOT, call, tool

from ccrop.rows import append_row
from ccrop.tools.comparisons import classes, engine, objects

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
        for column in ("roi_s8_small", "roi_s16_all", "object_all"):
            assert 0 < float(row[column]) < 1
    assert trained[0]["boxes"] == trained[0]["hit_small"] == ""
    assert float(trained[1]["boxes"]) > 1
    assert 0 < float(trained[1]["hit_small"]) <= 1
    assert trained[1]["roi_s32_all"] == ""  # the region arms have no stride 32

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


def test_the_report_has_mean_and_spread_over_seeds(tmp_path: Path):
    columns = engine.columns_of(objects.MEASURE)
    for seed, share in enumerate((0.5, 0.6, 0.7)):
        append_row(tmp_path / "x.csv", dict(data="d", arm="a_b", seed=seed, roi_s8_small=share), columns)
    append_row(tmp_path / "x.csv", dict(data="d", arm="c", seed=0, roi_s8_small=0.25), columns)
    engine.report(tmp_path / "x.csv")
    lines = (tmp_path / "x.md").read_text().splitlines()
    assert lines[2].startswith("| a b | 60.0 ± 10.0 |")
    assert lines[3].startswith("| c | 25.0 |")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["configs/x.py"], "runs need --data-root"),
        (["untrained", "--data-root", "."], "at least one config"),
        (["nothing.py", "--data-root", "."], "config nothing.py does not exist"),
    ],
)
def test_bad_arguments_are_named(arguments: list[str], message: str, tmp_path: Path):
    done = call(tool("compare.py", *arguments), tmp_path)
    assert done.returncode == 2
    assert message in done.stdout


def test_a_csv_of_something_else_is_not_written_to(tmp_path: Path):
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    done = call(tool("compare.py", "--csv", "other.csv"), tmp_path)
    assert done.returncode == 2
    assert "other.csv has other columns" in done.stdout
    assert (tmp_path / "other.csv").read_text() == "a,b\n1,2\n"


def test_images_with_classes_are_measured_by_knn_and_linear(colours: Path, tmp_path: Path):
    configs = [ROOT / f"configs/simsiam_{crop}_cifar10.py" for crop in ("rcrop", "ccrop")]
    command = tool("compare.py", *configs, "--data-root", colours, "--seeds", 0, "--epochs", 2, "--csv", "c.csv")
    small = (
        *("--cfg-options", "model.backbone.base_channels=8", "model.backbone.stem_channels=8"),
        *("train_dataloader.batch_size=8", "train_dataloader.num_workers=0"),
    )
    done = call([*map(str, command), *small], tmp_path)
    assert done.returncode == 0, done.stdout
    first, second = rows(tmp_path)
    assert (first["arm"], first["epochs"], first["boxes"]) == ("simsiam_rcrop_cifar10", "2", "")
    assert (second["arm"], second["boxes"]) == ("simsiam_ccrop_cifar10", "1.0")
    assert all(0 < float(row[name]) <= 1 for row in (first, second) for name in classes.MEASURE.columns)
    gained = 100 * (float(second["linear"]) - float(first["linear"]))
    assert "ccrop over rcrop, points, mean of 1: " in done.stdout
    assert f"linear {gained:+.2f}" in done.stdout
    assert (tmp_path / f"c_{colours.name}.png").stat().st_size > 5000


def test_gains_are_of_seeds_that_both_have_in_the_mean_over_methods():
    figures = {
        ("a_rcrop_cifar10", "0"): 0.50,
        ("a_rcrop_cifar10", "1"): 0.70,
        ("a_ccrop_cifar10_k0.1", "1"): 0.80,
        ("b_rcrop_cifar10", "0"): 0.40,
        ("b_rcrop_cifar10", "1"): 0.40,
        ("b_ccrop_cifar10_k0.1", "0"): 0.41,
        ("b_ccrop_cifar10_k0.1", "1"): 0.43,
        ("b_ccrop_cifar10", "0"): 0.30,
        ("b_ccrop_cifar100", "0"): 0.90,
        ("b_simccrop_cifar10", "0"): 0.90,
    }
    columns = classes.MEASURE.columns
    table = [dict(arm=arm, seed=seed) | dict.fromkeys(columns, str(value)) for (arm, seed), value in figures.items()]
    assert classes.gains(table).splitlines() == [
        "- ccrop_k0.1 over rcrop, points, mean of 2: kNN, k 20 +6.00, kNN, k 200 +6.00, linear +6.00",
        "- ccrop over rcrop, points, mean of 1: kNN, k 20 -10.00, kNN, k 200 -10.00, linear -10.00",
        "- simccrop over rcrop, points, mean of 1: kNN, k 20 +50.00, kNN, k 200 +50.00, linear +50.00",
    ]
    assert classes.gains(table[:2]) == ""
