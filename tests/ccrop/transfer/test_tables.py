"""Statistics and tables of a comparison."""

import math

import pytest

from ccrop.transfer import Transfer
from ccrop.transfer.comparison import named_pretraining
from ccrop.transfer.tables import markdown, paired_difference

TRANSFER = Transfer(
    load_config=None,
    finetune=None,
    use_clusters=None,
    goal="AP",
    figures=("AP", "error"),
    shown=("AP", "error"),
    references=("random", "other"),
)


def row(arm: str, seed: int, goal: float | str) -> dict[str, str]:
    return dict(data="a_set", labels="0.1", arm=arm, seed=str(seed), AP=str(goal), error="")


def test_paired_interval_is_students():
    own, other = {0: 5.0, 1: 7.0, 2: 9.0, 3: 99.0}, {0: 4.0, 1: 5.0, 2: 6.0}
    difference, half = paired_difference(own, other)
    # differences 1, 2, 3: mean 2, standard deviation 1, t of 2 degrees of freedom 4.3027
    assert difference == pytest.approx(2)
    assert half == pytest.approx(4.302653 / math.sqrt(3), rel=1e-5)


def test_one_seed_has_no_interval():
    difference, half = paired_difference({0: 5.0}, {0: 4.0})
    assert difference == pytest.approx(1)
    assert math.isnan(half)
    assert math.isnan(paired_difference({0: 1.0}, {1: 1.0})[0])


def test_table_compares_with_the_references_that_ran():
    rows = [row("random", s, 0.01) for s in (0, 1)] + [row("pre_trained", s, 0.02 + 0.01 * s) for s in (0, 1)]
    lines = markdown(rows, "a_set", "0.1", TRANSFER).splitlines()
    assert lines[0] == "| a set, 10% of the labels, 2 seeds, % | AP | AP over random |"
    assert lines[2] == "| random | 1.0 ± 0.0 |  |"
    assert lines[3] == "| pre trained | 2.5 ± 0.7 | +1.5 ± 6.4 |"  # 12.706 x 0.7071 / sqrt(2)


def test_other_references_and_runs_without_the_goal():
    rows = [row("random", 0, 0.01), row("x", 0, 0.04), row("y", 0, "")]
    lines = markdown(rows, "a_set", "0.1", TRANSFER, ["x"]).splitlines()
    assert lines[0].endswith("| AP | AP over x |")
    assert lines[2:] == ["| random | 1.0 | -3.0 |", "| x | 4.0 |  |", "| y |  |  |"]


def test_a_figure_has_a_column_where_a_run_has_it():
    rows = [row("random", 0, 0.01), row("x", 0, 0.04) | dict(error="0.5")]
    lines = markdown(rows, "a_set", "0.1", TRANSFER, ["x"]).splitlines()
    assert lines[0].endswith("| AP | error | AP over x |")
    assert lines[2:] == ["| random | 1.0 |  | -3.0 |", "| x | 4.0 | 50.0 |  |"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("configs/a_b.py", ("a_b", "configs/a_b.py")),
        ("runs/gauss_{seed}/epoch_3.pth", ("gauss", "runs/gauss_{seed}/epoch_3.pth")),
        ("mine=runs/x/epoch_3.pth", ("mine", "runs/x/epoch_3.pth")),
    ],
)
def test_names_of_pretrainings(text: str, expected: tuple[str, str]):
    assert named_pretraining(text) == expected
