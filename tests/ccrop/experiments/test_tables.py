"""Statistics and tables of a comparison."""

from dataclasses import replace
from pathlib import Path

from ccrop.experiments.initializations import schema_of
from ccrop.experiments.schema import Schema
from ccrop.experiments.tables import markdown
from ccrop.transfer import Transfer

TRANSFER = Transfer(
    load_config=None,
    finetune=None,
    use_pseudo_boxes=None,
    goal="AP",
    metrics=("AP", "error"),
    shown=("AP", "error"),
    references=("random", "other"),
)
SCHEMA = schema_of(TRANSFER)


def row(arm: str, seed: int, goal: float | str) -> dict[str, str]:
    return dict(data="a_set", labels="0.1", arm=arm, seed=str(seed), AP=str(goal), error="")


def test_table_compares_with_the_references_that_ran():
    rows = [row("random", s, 0.01) for s in (0, 1)] + [row("pre_trained", s, 0.02 + 0.01 * s) for s in (0, 1)]
    lines = markdown(rows, SCHEMA).splitlines()
    assert lines[0] == "| a set, 10% of the labels, 2 seeds, % | AP | AP over random |"
    assert lines[2] == "| random | 1.0 ± 0.0 |  |"
    assert lines[3] == "| pre trained | 2.5 ± 0.7 | +1.5 ± 6.4 |"  # 12.706 x 0.7071 / sqrt(2)


def test_other_references_and_runs_without_the_goal():
    rows = [row("random", 0, 0.01), row("x", 0, 0.04), row("y", 0, "")]
    lines = markdown(rows, SCHEMA, ["x"]).splitlines()
    assert lines[0].endswith("| AP | AP over x |")
    assert lines[2:] == ["| random | 1.0 | -3.0 |", "| x | 4.0 |  |", "| y |  |  |"]


def test_a_figure_has_a_column_where_a_run_has_it():
    rows = [row("random", 0, 0.01), row("x", 0, 0.04) | dict(error="0.5")]
    lines = markdown(rows, SCHEMA, ["x"]).splitlines()
    assert lines[0].endswith("| AP | error | AP over x |")
    assert lines[2:] == ["| random | 1.0 |  | -3.0 |", "| x | 4.0 | 50.0 |  |"]


def test_where_nothing_counts_for_the_goal_another_figure_takes_its_place():
    metrics = ("rare", "none", *TRANSFER.metrics)
    schema = schema_of(replace(TRANSFER, goal="rare", fallbacks=("none", "AP"), metrics=metrics))
    rows = [row(arm, seed, 0.01 * seed) | dict(rare="", none="") for arm in ("random", "x") for seed in (1, 2)]
    assert markdown(rows, schema).splitlines()[0].endswith("| AP | AP over random |")
    rows[0]["rare"] = "0.5"
    assert markdown(rows, schema).splitlines()[0].endswith("| rare over random |")


def test_the_interval_over_examples_is_that_of_the_common_seeds_runs():
    def interval(metric, own, other):
        assert metric == "AP"
        asked.append([[str(folder) for folder in side] for side in (own, other)])
        return None if "y_0" in str(own[0]) else (-0.012, 0.034)

    asked = []
    rows = [row("random", s, 0.01) for s in (0, 1)] + [row("x", s, 0.02) for s in (1, 2, 0)] + [row("y", 0, 0.5)]
    schema = schema_of(replace(TRANSFER, interval=interval))
    lines = markdown(rows, schema, work_dirs=Path("w")).splitlines()
    assert [line.split(" | ")[-1] for line in lines[3:]] == ["+1.0 ± 0.0 [-1.2, +3.4] |", "+49.0 |"]
    assert asked[0] == [
        ["w/a_set/0.1/x_1", "w/a_set/0.1/x_0"],
        ["w/a_set/0.1/random_1", "w/a_set/0.1/random_0"],
    ]
    assert "[" not in markdown(rows, schema)


def test_without_a_condition_the_header_says_how_many_seeds_the_arms_have():
    schema = Schema(("data", "arm", "seed"), ("hit",), {"hit": "objects hit"}, lambda _: ("hit",))
    rows = [dict(data="d", arm="a_b", seed=str(seed), hit=str(0.5 + seed / 10)) for seed in range(3)]
    rows.append(dict(data="d", arm="c", seed="0", hit="0.25"))
    lines = markdown(rows, schema).splitlines()
    assert lines[0] == "| d, 1/3 seeds, % | objects hit |"
    assert lines[2:] == ["| a b | 60.0 ± 10.0 |", "| c | 25.0 |"]
    assert markdown(rows, schema, ["a_b"]).splitlines()[3] == "| c | 25.0 | -25.0 |"
