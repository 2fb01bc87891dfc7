"""Vectors of images and boxes, as .npz and as .parquet."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ccrop.pretrained import load_pretrained
from ccrop.tools import embed


@pytest.fixture
def photos(tmp_path: Path, demo_root: Path) -> Path:
    """Three images, of which one cannot be read, in a nested folder."""
    (tmp_path / "photos/deep").mkdir(parents=True)
    for place, name in zip(("b.jpg", "deep/a.jpg"), sorted((demo_root / "val2017").iterdir()), strict=False):
        (tmp_path / "photos" / place).symlink_to(name)
    (tmp_path / "photos/broken.jpg").write_bytes(b"no image")
    return tmp_path / "photos"


@torch.no_grad()
def test_an_image_has_the_average_of_the_coarsest_map(
    pretrained: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    out = tmp_path / "out.npz"
    assert embed.main([str(pretrained), str(photos), str(out), "--image-size", "64", "96"]) == 0
    printed = capsys.readouterr().out
    assert printed.endswith(f"{out}: 2 vectors of 64 values, of images\n")
    assert "1 of 3 images were left out, the first is" in printed
    assert "broken.jpg: not an image of a supported format" in printed
    found = np.load(out)
    assert sorted(found) == ["files", "vectors"]
    assert found["files"].tolist() == ["b.jpg", "deep/a.jpg"]
    _, model = load_pretrained(pretrained)
    for file, vector in zip(found["files"], found["vectors"], strict=True):
        image = np.array(Image.open(photos / file).resize((96, 64), Image.Resampling.BILINEAR))
        normalized = (image - np.array([123.675, 116.28, 103.53])) / np.array([58.395, 57.12, 57.375])
        maps = model.backbone(torch.from_numpy(normalized).float().permute(2, 0, 1)[None])
        np.testing.assert_allclose(vector, maps[-1].mean(dim=(0, 2, 3)).numpy(), rtol=1e-4, atol=1e-5)
    assert embed.main([str(pretrained), str(photos / "gone"), str(tmp_path / "other.npz")]) == 2
    assert "gone is not a folder" in capsys.readouterr().err


def test_annotated_boxes_have_their_names(pretrained: Path, demo_root: Path, tmp_path: Path):
    parquet = pytest.importorskip("pyarrow.parquet")
    arguments = [str(pretrained), str(demo_root), "--split", "val", "--boxes", "annotated"]
    assert embed.main([*arguments[:2], str(tmp_path / "a.npz"), *arguments[2:]]) == 0
    assert embed.main([*arguments[:2], str(tmp_path / "a.parquet"), *arguments[2:]]) == 0
    found, table = np.load(tmp_path / "a.npz"), parquet.read_table(tmp_path / "a.parquet")
    content = json.loads((demo_root / "annotations/instances_val2017.json").read_text())
    files = {image["id"]: f"val2017/{image['file_name']}" for image in content["images"]}
    names = {category["id"]: category["name"] for category in content["categories"]}
    expected = {
        (files[each["image_id"]], names[each["category_id"]], *np.round(each["bbox"], 1).tolist())
        for each in content["annotations"]
        if not each["iscrowd"]
    }
    sides = found["boxes"][:, 2:] - found["boxes"][:, :2]
    rows = zip(found["files"], found["labels"], found["boxes"][:, :2], sides, strict=True)
    assert {(file, label, *np.round([*low, *side], 1).tolist()) for file, label, low, side in rows} == expected
    assert found["vectors"].shape == (len(expected), 4 * 16)  # stride 8 of a network of base width 8
    assert table.column_names == ["vectors", "files", "boxes", "labels"]
    np.testing.assert_array_equal(np.array(table["vectors"].to_pylist(), dtype=np.float32), found["vectors"])
    assert table["files"].to_pylist() == found["files"].tolist()


def test_clusters_have_scores(pretrained: Path, photos: Path, tmp_path: Path):
    assert embed.main([str(pretrained), str(photos), str(tmp_path / "out.npz"), "--boxes", "clusters"]) == 0
    found = np.load(tmp_path / "out.npz")
    assert sorted(found) == ["boxes", "files", "scores", "vectors"]
    assert set(found["files"]) == {"b.jpg", "deep/a.jpg"}
    assert len(found["scores"]) == len(found["vectors"]) == len(found["boxes"]) >= 2
    low, high = found["boxes"][:, :2], found["boxes"][:, 2:]
    assert (low >= 0).all()
    assert (low < high).all()
    assert (high <= [320, 240]).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("out.npz", "--boxes", "annotated"), "pass the split with --split"),
        (("out.npz", "--boxes", "clusters", "--image-size", "9", "9"), "--image-size applies to whole images only"),
        (("out.npz", "--stride", "8"), "--stride needs --boxes"),
        (("photos",), "photos exists: choose another file"),
    ],
)
def test_options_that_contradict_each_other_are_refused(
    photos: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: tuple[str, ...],
    message: str,
):
    monkeypatch.chdir(photos.parent)
    with pytest.raises(SystemExit):
        embed.main(["epoch_1.pth", "photos", *options])
    assert message in capsys.readouterr().err


def test_what_cannot_be_written_or_pooled_is_refused(
    pretrained: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert embed.main([str(pretrained), str(photos), str(tmp_path / "out.csv")]) == 2
    assert "out.csv must end in .npz or .parquet" in capsys.readouterr().err
    out = str(tmp_path / "out.npz")
    assert embed.main([str(pretrained), str(photos), out, "--boxes", "clusters", "--stride", "5"]) == 2
    assert "the backbone has maps of stride 4, 8, 16, 32, not 5" in capsys.readouterr().err
