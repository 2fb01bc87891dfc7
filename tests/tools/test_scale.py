"""What an image costs is counted in bytes that can be worked out."""

import re

import pytest

from ccrop.datasets import checkpointed_boxes
from ccrop.tools import scale


def test_paths_are_counted(capsys):
    assert scale.main(["paths", "--images", "1200"]) == 0
    printed = capsys.readouterr().out
    # a pickle of dict(path="000001/000001199.jpg"): 11 + 8 bytes around the text of 20, and 8 for where it ends
    kept = int(re.search(r"(\d+) bytes per image are kept in each rank", printed)[1])
    assert 20 + 8 < kept < 20 + 8 + 30
    assert "fingerprint" in printed


def test_boxes_are_stored_saved_and_restored(capsys, monkeypatch):
    monkeypatch.setattr(checkpointed_boxes, "INSIDE", 0)
    assert scale.main(["boxes", "--images", "5000", "--boxes", "4"]) == 0
    printed = capsys.readouterr().out
    assert f"{5000 * (4 * 10 + 2) / 1e6:.0f} MB shared by the ranks of a node" in printed
    assert "4 boxes per image" in printed
    assert "next to the checkpoint" in printed


def test_few_crops_move_by_a_pixel(capsys):
    assert scale.main(["crops", "--images", "200"]) == 0
    moved = re.findall(r"([\d.]+)% of the crops move, by (\d+) px at most", capsys.readouterr().out)
    assert len(moved) == 3
    assert float(moved[0][0]) < 3
    assert all(int(pixels) <= 1 for _, pixels in moved)


def test_impossible_numbers_are_refused(capsys):
    with pytest.raises(SystemExit, match="2"):
        scale.main(["boxes", "--images", "0"])
    assert "--images and --boxes must be positive, got 0 and 32" in capsys.readouterr().err
