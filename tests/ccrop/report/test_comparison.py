"""Tables of comparisons are those of their rows."""

import json
import re
from pathlib import Path

import pytest

from ccrop.report.comparison import meaning, metrics_of, read, sections

ROWS = """data,labels,arm,seed,lr,seconds,AP_S,AP,translation
drones,0.1,random,0,0.1,60,0.10,0.2,1.5
drones,0.1,random,1,0.1,60,0.14,0.2,1.5
drones,0.1,own_arm,0,0.1,60,0.20,0.3,1.5
drones,0.1,own_arm,1,0.1,60,0.26,,1.5
drones,1,own_arm,0,0.1,60,0.50,0.6,1.5
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "comparison.csv"
    file.write_text(ROWS)
    return file


def cells(html: str) -> list[list[str]]:
    rows = re.findall(r"<tr>(.*?)</tr>", html)
    return [re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row) for row in rows]


def test_means_have_intervals_and_differences_are_paired(file: Path):
    tenth = next(part for part in sections(file) if "drones, 10 % of the labels" in part)
    header, random, own = cells(tenth)
    assert "dots are seeds, the bar is their mean and the line its interval" in tenth
    assert header == ["", "seeds", "AP_S", "AP", "AP_S over random"]
    # half of the interval of two values: t(0.975, 1) = 12.706 times half of their distance
    assert random == ["random", "2", f"12.0 ± {12.706 * 2:.1f}", "20.0 ± 0.0", ""]
    assert own == ["own arm", "2", f"23.0 ± {12.706 * 3:.1f}", "30.0", f"+11.0 ± {12.706 * 1:.1f}"]


def test_a_metric_is_explained_once():
    assert meaning(["roi_s8_all", "roi_s8_small", "roi_s16_all", "own"]) == (
        "roi_s8 is RoI-kNN in the map of stride 8: balanced accuracy over categories and background. "
        "roi_s16 is RoI-kNN in the map of stride 16: balanced accuracy over categories and background."
    )
    assert meaning(["AP_S_counted", "AP"]).startswith("Sizes are COCO's; metrics that end in _counted")
    assert "distances of 0.5 to 4 m" in meaning(["mAP", "AP_Car"])
    assert "COCO" not in meaning(["mAP", "AP_Car"])
    assert meaning(["own"]) == ""


def test_a_difference_has_its_interval_over_tested_examples(file: Path, tmp_path: Path):
    asked = []

    def interval(metric: str, own: list[Path], other: list[Path]) -> tuple[float, float] | None:
        asked.append((metric, own, other))
        return 0.03, 0.15

    tenth = next(part for part in sections(file, tmp_path, interval) if "drones, 10 % of the labels" in part)
    assert cells(tenth)[2][-1] == f"+11.0 ± {12.706:.1f} [+3.0, +15.0]"
    assert "In brackets: its 95 % interval over the choice of tested examples (paired bootstrap)" in tenth
    runs = ([tmp_path / f"drones/0.1/{arm}_{seed}" for seed in (0, 1)] for arm in ("own_arm", "random"))
    assert asked == [("AP_S", *runs)]
    assert "In brackets" not in "".join(sections(file))


def test_runs_of_a_single_logged_step_have_no_curves_and_no_legend(file: Path, tmp_path: Path):
    for steps, sections_of_curves in (((50,), 0), ((50, 100), 1)):
        log = tmp_path / "drones/1/own_arm_0/1/vis_data/scalars.json"
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text("\n".join(json.dumps(dict(loss=1.0, step=step)) for step in steps))
        assert "".join(sections(file, tmp_path)).count("how the detectors learn") == sections_of_curves


def test_shares_of_the_labels_make_a_curve(file: Path):
    first = sections(file)[0]
    assert "AP_S by labels" in first
    assert first.count("<polyline") == 2


def test_measures_are_fractions_that_are_no_cost(file: Path):
    assert metrics_of(read(file)) == ["AP_S", "AP"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n", "is not the CSV of a comparison"),
        ("", "is not the CSV of a comparison"),
        ("arm,seed,seconds\nrandom,0,60\n", "has no metric"),
    ],
)
def test_other_tables_are_refused(file: Path, text: str, message: str):
    file.write_text(text)
    with pytest.raises(ValueError, match=message):
        sections(file)


def test_a_comparison_of_pretrainings_has_no_labels(file: Path):
    file.write_text("arm,seed,knn\nrcrop,0,0.2\nccrop,0,0.3\n")
    (part,) = sections(file)
    assert cells(part)[1:] == [["rcrop", "1", "20.0", ""], ["ccrop", "1", "30.0", "+10.0"]]


def test_a_metric_that_not_all_arms_have_comes_last(file: Path):
    file.write_text("arm,seed,hit,roi\nuntrained,0,,0.5\nuntrained,1,,0.5\nccrop,0,0.2,0.4996\nccrop,1,0.2,0.4996\n")
    (part,) = sections(file)
    assert cells(part) == [
        ["", "seeds", "roi", "hit", "roi over untrained"],
        ["untrained", "2", "50.0 ± 0.0", "", ""],
        ["ccrop", "2", "50.0 ± 0.0", "20.0 ± 0.0", "+0.0 ± 0.0"],
    ]
