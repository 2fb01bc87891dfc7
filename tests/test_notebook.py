"""The notebook of docs/ runs from its first cell to its last, on a smaller demo set."""

import json
import re
import shlex
from pathlib import Path

import pytest
from jobs import ROOT, fresh_mmengine
from PIL import Image

from ccrop.__main__ import main

SMALL = "TRAIN, VAL, EPOCHS, ITERATIONS = 16, 8, 1, 1"
COMMAND = re.compile(r"^!ccrop (.*)$", re.MULTILINE)


def run_command(line: str) -> None:
    """What a line with ``!ccrop`` runs, in this process."""
    with fresh_mmengine():
        assert main(shlex.split(line)) == 0, line


def test_the_tour(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    shown: list[Image.Image] = []
    monkeypatch.setattr(pytest.importorskip("IPython.display"), "display", shown.append)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["ccrop"])
    cells = json.loads((ROOT / "docs/tour.ipynb").read_text())["cells"]
    names: dict[str, object] = dict(run_command=run_command)
    for cell in (cell for cell in cells if cell["cell_type"] == "code"):
        assert cell["outputs"] == []
        source = SMALL if "parameters" in cell["metadata"].get("tags", ()) else "".join(cell["source"])
        exec(COMMAND.sub(lambda found: f"run_command(f{found[1]!r})", source), names)
    image, gallery, neighbors, _ = shown
    assert image.size == (320, 240)
    assert gallery.width > 640
    assert neighbors.size == (400, 500)
    assert len(neighbors.getcolors(400 * 500)) > 1000  # it shows objects
    assert {path.name for path in (tmp_path / "tour").iterdir()} >= {
        *("demo", "pretraining", "detector", "predictions", "objects.npz", "backbone.pth")
    }
