"""Timed in turn, and the other ways do what ours does."""

import json
import sys
import time
from pathlib import Path

import pytest
import torch

from ccrop.localization import SingleObject
from ccrop.projects.lidar_bev.grid import Grid
from ccrop.projects.lidar_bev.models.pillars import DynamicPillars
from ccrop.tools import benchmark
from ccrop.tools.benchmarks import clusters, gaussians, localize, pillars
from ccrop.tools.benchmarks.timing import Comparison, line, measured

COLUMNS = {"path", "against", "ratio", "ours", "theirs", "unit", "spread"}


def busy(milliseconds: float) -> None:
    end = time.process_time() + milliseconds / 1000
    while time.process_time() < end:
        pass


def test_all_ways_take_turns_and_the_ratio_is_that_of_each_turn():
    calls = []

    def way(name, milliseconds):
        return lambda: calls.append(name) or busy(milliseconds)

    comparison = Comparison("spin", way("a", 4), {"slow": way("b", 12), "gone": None}, "ms per spin", number=2)
    slow, gone = measured(comparison, seconds=0.1)
    assert set(slow) == set(gone) == COLUMNS
    assert set(zip(calls[::2], calls[1::2], strict=True)) == {("b", "a")}
    assert len(calls) >= 2 * (1 + 0.1 / 0.016)  # a round to warm up, and then 0.1 s of rounds of 16 ms
    assert slow["ours"] == pytest.approx(2, rel=0.2)
    assert slow["theirs"] == pytest.approx(6, rel=0.2)
    assert slow["ratio"] == pytest.approx(3, rel=0.2)
    assert slow["spread"][0] <= slow["ratio"] <= slow["spread"][1]
    assert (gone["against"], gone["ratio"], gone["theirs"], gone["spread"]) == ("gone", None, "not installed", None)
    assert line(gone).startswith("| spin | gone |  | ")


def test_rounds_are_five_at_least():
    calls = []
    measured(Comparison("nothing", lambda: calls.append(1), {}, "ms"), seconds=0)
    assert len(calls) == 1 + 5


def test_the_command_prints_a_table_and_writes_rows(tmp_path: Path, capsys, monkeypatch):
    monkeypatch.setattr(localize, "IMAGES", 8)
    file = tmp_path / "rows.json"
    assert benchmark.main(["localize", "--seconds", "0", "--json", str(file)]) == 0
    rows = json.loads(file.read_text())
    assert [row["against"] for row in rows] == ["published loop", "channel sum only"] * 2
    assert all(set(row) == COLUMNS and 0 < row["spread"][0] <= row["ratio"] <= row["spread"][1] for row in rows)
    printed = capsys.readouterr().out.splitlines()
    assert printed[2:] == [line(row) for row in rows]


def test_what_is_not_installed_is_said(monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "skimage"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "skimage", None)
    assert clusters.peaks_and_watershed(torch.zeros(1, 4, 4)) is None


def test_an_unknown_path_is_refused(capsys):
    with pytest.raises(SystemExit, match="2"):
        benchmark.main(["fast"])
    assert "choose from" in capsys.readouterr().err


def test_the_published_loop_gives_our_boxes():
    features = torch.randn(8, 16, 7, 7, generator=torch.Generator().manual_seed(1)).relu()
    boxes, _ = SingleObject(localize.THRESHOLD)(features, (224, 224))
    torch.testing.assert_close(torch.stack(localize.published_loop(features, (224, 224))), boxes[:, 0, :4])


def test_peaks_and_watershed_give_our_boxes_of_blobs_that_stand_apart():
    pytest.importorskip("skimage")
    rows, columns = torch.arange(28.0)[:, None], torch.arange(28.0)
    blobs = [torch.exp(-((rows - y) ** 2 + (columns - x) ** 2) / 8) * top for y, x, top in ((6, 7, 1.0), (20, 19, 0.7))]
    heatmap = torch.stack(blobs).amax(dim=0)[None]
    ((first, second),) = clusters.peaks_and_watershed(heatmap)()
    boxes, counts, _ = clusters.MultiObject().objects(heatmap)
    assert counts.tolist() == [2]
    for (top, left, bottom, right), box in zip((first, second), boxes[0, :2], strict=True):
        assert [left, top, right, bottom] == (box[:4] * 28).round().int().tolist()


def test_mmdets_loop_draws_our_gaussians(monkeypatch):
    monkeypatch.setattr(gaussians, "IMAGES", 2)
    generator = torch.Generator().manual_seed(0)
    centers = torch.rand(2, 5, 2, generator=generator) * 128
    sizes = 2 + torch.rand(2, 5, 2, generator=generator) * 20
    labels = torch.randint(3, (2, 5), generator=generator)
    drawn = gaussians.one_by_one(centers, sizes, labels, 3)()
    torch.testing.assert_close(gaussians.at_once(centers, sizes, labels, 3), drawn, atol=1e-6, rtol=0)


@pytest.mark.timing  # spconv takes long to import
def test_fixed_buffers_give_our_pillars_where_they_hold_all_points():
    pytest.importorskip("spconv")
    torch.manual_seed(0)
    module = DynamicPillars(Grid(low=(0, -2, -3), high=(4, 2, 1), cell=0.5), 4, 8).eval()
    sweep = torch.rand(200, 4) * torch.tensor([4.0, 4, 4, 1]) - torch.tensor([0.0, 2, 3, 0])
    found = pillars.fixed_buffers(module, sweep)()
    torch.testing.assert_close(found, pillars.without_gradients(module, sweep), atol=1e-5, rtol=1e-4)
