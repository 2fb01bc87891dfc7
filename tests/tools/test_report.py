"""A page of a run: complete in one file, and readable at any width."""

import html
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from ccrop.checkpoint.newest import latest_checkpoint
from ccrop.compat.safe_checkpoint import load_checkpoint
from ccrop.report import write_after_run
from ccrop.tools import report

BROWSER = next(filter(shutil.which, ("chromium", "chromium-browser", "google-chrome")), None)
# what a page looks like from inside, at a desktop's width and a phone's
MEASURE = """<!doctype html><body><script>
const widths = [1240, 390], found = [];
for (const width of widths) {
  const frame = document.createElement("iframe");
  frame.style.width = width + "px"; frame.style.height = "800px"; frame.style.border = "0";
  frame.onload = () => {
    const page = frame.contentDocument;
    found.push({width, scroll: page.documentElement.scrollWidth,
      broken: [...page.images].filter(each => !each.naturalWidth).length, images: page.images.length,
      narrow: [...page.querySelectorAll("svg")].filter(each => each.getBoundingClientRect().width < 300).length,
      headings: [...page.querySelectorAll("h2")].map(each => each.textContent)});
    if (found.length == widths.length) document.body.innerHTML = "<pre>" + JSON.stringify(found) + "</pre>";
  };
  frame.srcdoc = CONTENT;
  document.body.append(frame);
}
</script></body>"""


@pytest.fixture(scope="module")
def page(pretrained: Path) -> str:
    """What a run left at its end."""
    return (pretrained.parent / "report.html").read_text()


def test_a_run_ends_with_a_page_that_needs_nothing_else(page: str):
    assert "tools/train.py" in page  # the command
    assert "simsiam_single_demo" in page
    assert not re.search(r'(src|href)="(?!data:)', page)
    assert "<script" not in page
    assert len(page) < 4e6


def test_a_run_of_code_from_elsewhere_has_a_page_that_runs_none_of_it(page: str, pretrained: Path, tmp_path: Path):
    folder = tmp_path / "run"
    shutil.copytree(pretrained.parent, folder)
    checkpoint = Path(latest_checkpoint(folder))
    content = torch.load(checkpoint, weights_only=False)
    content["config"]["train_dataloader"]["dataset"]["type"] = "antigravity.Images"
    torch.save(content, checkpoint)
    write_after_run(folder)
    own = (folder / "report.html").read_text()
    headings = re.findall(r"<h2>(.*?)</h2>", own)
    assert {"What was trained", "Health", "Objects", "Time"} <= set(headings)
    assert "names code from outside ccrop and its libraries, which no report runs" in own
    assert "antigravity.Images" in own  # in the whole config
    assert "antigravity" not in sys.modules


def test_it_shows_health_pictures_clusters_neighbors_and_a_map(page: str):
    headings = re.findall(r"<h2>(.*?)</h2>", page)
    assert {"What was trained", "Clusters", "Nearest neighbors", "Map of the embedding", "Time"} <= set(headings)
    neighbors = page[page.index("<h2>Nearest") : page.index("<h2>Map")]
    assert neighbors.count('class="query"') == 8
    assert neighbors.count("<img") == 8 * 6
    assert "annotated objects" in neighbors
    assert re.search(r"<th>Images</th><td>64</td>", page)


@pytest.mark.skipif(BROWSER is None, reason="needs Chromium")
def test_a_browser_shows_all_of_it_at_a_desktops_and_a_phones_width(page: str, tmp_path: Path):
    content = json.dumps(page).replace("</", "<\\/")
    (tmp_path / "measure.html").write_text(MEASURE.replace("CONTENT", content))
    command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=20000", "--dump-dom"]
    done = subprocess.run(
        [*command, f"--user-data-dir={tmp_path}/profile", (tmp_path / "measure.html").as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    found = json.loads(html.unescape(re.search(r"<pre>(.*)</pre>", done.stdout, re.S)[1]))
    assert sorted(each["width"] for each in found) == [390, 1240]
    for each in found:
        assert each["scroll"] <= each["width"]  # nothing makes the page scroll sideways
        assert each["broken"] == 0
        assert each["images"] > 48
        assert each["narrow"] == 0
        assert "Map of the embedding" in each["headings"]


def test_several_runs_are_drawn_over_each_other(pretrained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    runs = [str(tmp_path / name) for name in ("one", "other")]
    for run in runs:
        shutil.copytree(pretrained.parent, run, ignore=shutil.ignore_patterns("*.pth"))
    out = tmp_path / "pages/both.html"
    assert report.main([*runs, "--out", str(out)]) == 0
    assert capsys.readouterr().out.strip() == str(out)
    text = out.read_text()
    assert "<h2>Side by side</h2>" in text
    assert text.count("<h1>") == 3


def test_runs_of_one_epoch_have_no_curves_to_lay_over_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for name in ("one", "other"):
        (tmp_path / name / "1/vis_data").mkdir(parents=True)
        (tmp_path / name / "1/vis_data/events.out.tfevents.0").touch()
    monkeypatch.setattr("ccrop.report.report.tensorboard_scalars", lambda *_: {"loss": {1: 0.5}})
    assert report.main([str(tmp_path / name) for name in ("one", "other")]) == 0
    text = (tmp_path / "one/report.html").read_text()
    assert text.count("<h1>") == 3
    assert "Side by side" not in text


def test_a_run_whose_images_are_gone_still_has_its_curves(pretrained: Path, tmp_path: Path):
    run = tmp_path / "run"
    shutil.copytree(pretrained.parent, run)
    file = latest_checkpoint(run)
    content = load_checkpoint(file)
    content["config"]["train_dataloader"]["dataset"]["data_root"] = "/gone"
    torch.save(content, file)
    assert report.main([str(run)]) == 0
    text = (run / "report.html").read_text()
    assert "The images cannot be read: /gone" in text
    assert "<h2>Time</h2>" in text


def test_a_comparison_of_detectors_has_intervals_over_its_tested_images(tmp_path: Path):
    table = "data,labels,arm,seed,AP_S_counted\ndrones,0.1,random,0,0.1\ndrones,0.1,own,0,0.4\n"
    (tmp_path / "transfer.csv").write_text(table)
    for arm, values in (("random", [0.1, 0.1, 0.1]), ("own", [0.4, 0.2, 0.6])):
        folder = tmp_path / f"runs/drones/0.1/{arm}_0"
        folder.mkdir(parents=True)
        same = dict(images=[1, 2], objects=[[1, 0]], min_objects=50)
        np.savez(folder / "detections.npz", **same, AP_S_counted=np.array(values), AP50_S_counted=np.array(values))
    assert report.main([str(tmp_path / "transfer.csv"), "--runs", str(tmp_path / "runs")]) == 0
    assert ">+30.0 [+11.0, +49.0]<" in (tmp_path / "transfer.html").read_text()


@pytest.mark.parametrize(
    ("name", "message"), [("absent", "absent does not exist: pass a run's folder"), (".", "holds no log of a run")]
)
def test_what_is_no_run_is_named(tmp_path: Path, monkeypatch, capsys, name: str, message: str):
    monkeypatch.chdir(tmp_path)
    assert report.main([name]) == 2
    assert message in capsys.readouterr().err


def test_a_report_that_fails_does_not_end_a_finished_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    write_after_run(tmp_path)
    assert "No report of this run, whose weights and log are complete: FileNotFoundError" in capsys.readouterr().out


def test_a_folder_as_the_page_is_refused_before_the_page_is_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit, match="2"):
        report.main([str(tmp_path / "run"), "--out", str(tmp_path)])
    assert capsys.readouterr().err.endswith(f"error: --out {tmp_path} is a folder: name a file in it\n")
