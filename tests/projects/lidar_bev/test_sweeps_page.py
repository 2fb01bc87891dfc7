"""The page of sweeps in 3D: its content, and what a browser makes of it."""

import base64
import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageColor

from ccrop.projects.lidar_bev.evaluation.center_ap import Detections
from ccrop.projects.lidar_bev.pictures import COLORS
from ccrop.projects.lidar_bev.sweeps_page import page

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
POINTS = np.array([[10.0, 2, -1, 0.5], [-3.014, 0, 0.5, 0], [500, 0, 0, 0]], np.float32)
FOUND = Detections(
    np.array([[12.0, 0, 0, 4, 2, 1.5, 0.3], [25, 9, 0, 1, 1, 2, 0]], np.float32),
    np.array([0.9, 0.4], np.float32),
    np.array([0, 1]),
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    with page(tmp_path / "sweeps.html", "Streets & <b>parks</b>", ("Car", "Person"), 0.25) as add:
        add("<1>.bin", POINTS, FOUND)
        add(
            "2.bin", POINTS[:1], FOUND._replace(boxes=FOUND.boxes[:0], scores=FOUND.scores[:0], labels=FOUND.labels[:0])
        )
    return tmp_path / "sweeps.html"


def test_it_holds_points_and_boxes(file: Path):
    text = file.read_text()
    first, second = re.findall(r'data-name="([^"]+)">(.*)</script>', text)
    assert (first[0], second[0]) == ("&lt;1&gt;.bin", "2.bin")
    content = json.loads(first[1])
    centimeters = np.frombuffer(base64.b64decode(content["points"]), "<i2").reshape(-1, 3)
    assert centimeters.tolist() == [[1000, 200, -100], [-301, 0, 50]]  # the third is too far
    assert content["boxes"] == [[12, 0, 0, 4, 2, 1.5, 0.3, 0.9, 0], [25, 9, 0, 1, 1, 2, 0, 0.4, 1]]
    assert json.loads(second[1])["boxes"] == []
    assert "<title>Streets &amp; &lt;b&gt;parks" in text
    assert not re.search(r"(src|href)=|https?:|__[A-Z]+__", text)  # nothing from elsewhere, nothing left to fill in


def browse(*arguments: str, file: Path, anchor: str) -> str:
    options = ("--headless", "--no-sandbox", "--disable-gpu", "--window-size=800,600", "--virtual-time-budget=2000")
    command = [BROWSER, *options, f"--user-data-dir={file.parent / 'profile'}", *arguments, f"{file.as_uri()}#{anchor}"]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout


@pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed")
def test_a_browser_shows_it(file: Path, tmp_path: Path):
    shown = re.search(r'<output id="shown">([^<]*)', browse("--dump-dom", file=file, anchor="score=0.5"))
    assert shown[1] == "1 of 2 boxes, 2 points"
    picture = tmp_path / "shot.png"
    browse(f"--screenshot={picture}", file=file, anchor="view=above")
    pixels = np.asarray(Image.open(picture).convert("RGB")).astype(int)[120:-40]  # below the controls
    rows, columns = [], []
    for color in COLORS[:2]:
        there = abs(pixels - ImageColor.getrgb(color)).max(axis=-1) < 30
        assert there.sum() > 10
        row, column = np.nonzero(there)
        rows.append(row.mean())
        columns.append(column.mean())
    assert rows[1] < rows[0]  # farther ahead is higher up
    assert columns[1] < columns[0]  # left is left
