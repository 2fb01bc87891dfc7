"""Documents: every relative link resolves, and the examples of docs/ run as they stand."""

import csv
import json
import re
import runpy
import shlex
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from jobs import ROOT
from mmengine.config import Config

from ccrop.compat.safe_checkpoint import load_checkpoint
from ccrop.config_parts import compose
from ccrop.datasets import MissingData
from ccrop.projects.lidar_bev.datasets import OTHER
from ccrop.tools import finetune, predict, train

FILE_OF_CODE = re.compile(
    r"\*\*`(?P<name>[\w./-]+)`\*\*\n\n```python\n(?P<code>.*?)```\n(\n(?P<commands>(    [^\n]+\n)+))?", re.S
)
LINK = re.compile(r"\]\(([^()\s]+)\)")
CONFIG = re.compile(r"(?<![\w/-])(?:projects/\w+/)?configs/(?!METHOD_)[\w./-]+\.py")
SMALL = (
    "train_cfg.max_epochs=2",
    "train_dataloader.batch_size=8",
    "train_dataloader.num_workers=0",
    "train_dataloader.dataset.subset=16",
    "train_dataloader.dataset.pipeline.0.size=32",
    "model.channels=32",
    "model.bottleneck=8",
)
SMALL_LOCALIZATION = (
    "default_hooks.localization.image_size=(96,96)",
    "default_hooks.localization.num_workers=0",
    "default_hooks.gallery.num_images=1",
)
SWEEPS = "archived_sweeps.py"
SMALL_GRID = {"low": "(-12,-12,-3)", "high": "(12,12,1.8)", "cell": "0.375"}
SMALL_RESNET = ("model.backbone.depth=18", "model.backbone.base_channels=8", "model.backbone.stem_channels=8")


def documents() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [ROOT / name for name in listed.stdout.splitlines()]


def anchors(document: Path) -> set[str]:
    """GitHub's anchors of a document's headings: lower case, no punctuation, spaces as hyphens."""
    text = re.sub(r"```.*?```", "", document.read_text(), flags=re.S)
    headings = re.findall(r"^#+ (.*)$", text, re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken_links(document: Path) -> list[str]:
    """The relative links of a document whose file, or whose heading in it, does not exist."""
    text = re.sub(r"```.*?```|`[^`\n]*`", "", document.read_text(), flags=re.S)
    broken = []
    for link in LINK.findall(text):
        target, _, anchor = link.partition("#")
        file = (document.parent / target) if target else document
        if re.match(r"\w+:", link):
            continue
        if not file.exists() or (anchor and anchor not in anchors(file)):
            broken.append(link)
    return broken


@pytest.mark.parametrize("document", documents(), ids=lambda document: str(document.relative_to(ROOT)))
def test_links_resolve(document: Path):
    assert broken_links(document) == []


def test_a_broken_link_is_found(tmp_path: Path):
    document = tmp_path / "a.md"
    document.write_text(
        "# One, `two`\n[x](#one-two) [x](a.md#one-two) [x](#two) [x](b.md) [x](https://b.md) `[x](c.md)`"
    )
    assert broken_links(document) == ["#two", "b.md"]


@pytest.mark.parametrize(
    "document",
    [each for each in documents() if "studies" not in each.parts and each.name != "CHANGELOG.md"],  # those tell history
    ids=lambda document: str(document.relative_to(ROOT)),
)
def test_configs_that_a_document_names_exist_or_compose(document: Path):
    for name in set(CONFIG.findall(document.read_text())):
        assert (ROOT / name).is_file() or compose(ROOT / name), name


def test_the_manuals_name_configs():
    named = {
        name for each in ("README.md", "docs/getting_started.md") for name in CONFIG.findall((ROOT / each).read_text())
    }
    assert {"configs/simsiam_ccrop_coco.py", "configs/simclr_region_coco.py", "configs/detector_paste_coco.py"} <= named


def examples(document: str) -> dict[str, re.Match]:
    """The files of code in a document of docs/, with the commands below each."""
    return {found["name"]: found for found in FILE_OF_CODE.finditer((ROOT / "docs" / document).read_text())}


def commands(document: str, name: str) -> list[tuple[str, list[str]]]:
    """The tools and the arguments of the commands below a file of code."""
    found = []
    for line in (examples(document)[name]["commands"] or "").splitlines():
        setting, python, tool, *arguments = shlex.split(line)
        assert (setting, python) == ("PYTHONPATH=.", "python")
        found.append((tool, arguments))
    return found


def write_examples(document: str, folder: Path) -> None:
    for file, each in examples(document).items():
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_text(each["code"])


@pytest.fixture
def workplace(tmp_path: Path, demo_root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with configs/, the demo set, its images as a folder, and a table of them; the current one."""
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    (tmp_path / "data").mkdir()
    (tmp_path / "data/demo").symlink_to(demo_root)
    (tmp_path / "photos").symlink_to(demo_root / "train2017")
    names = sorted(path.name for path in (demo_root / "train2017").iterdir())
    rows = [f"photos/{name},{'odd' if index % 2 else 'even'}" for index, name in enumerate(names)]
    (tmp_path / "photos.csv").write_text("\n".join(["path,class", *rows]))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    "name", [name for name, each in examples("extending.md").items() if each["commands"] and name != SWEEPS]
)
def test_an_extension_trains(name: str, workplace: Path):
    example = examples("extending.md")[name]
    write_examples("extending.md", workplace)
    ((tool, arguments),) = commands("extending.md", name)
    assert tool == "tools/train.py"
    network = () if "backbone.type" in example["commands"] else SMALL_RESNET
    localization = SMALL_LOCALIZATION if "_containing_" in example["commands"] else ()
    assert train.main([*arguments, *SMALL, *network, *localization]) == 0
    work_dir = workplace / arguments[arguments.index("--work-dir") + 1]
    assert load_checkpoint(work_dir / "epoch_2.pth")["state_dict"]
    own = re.search(r"from (\w+) import \w+\n\n", example["code"]) if "/" in name else None  # the part's own class
    module = own[1] if own else Path(name).stem
    assert f"{module}." in str(Config.fromfile(next(work_dir.glob("*.py")))._cfg_dict)


def loaded(name: str) -> dict[str, object]:
    """What the code of an example defines."""
    names: dict[str, object] = {}
    exec(examples("extending.md")[name]["code"], names)
    return names


def test_the_variance_loss_is_what_the_std_lacks():
    variance_loss = loaded("variance_simsiam.py")["variance_loss"]
    z = torch.tensor([[0.0, 0.3, 2.0], [0.0, -0.3, -2.0]])  # std 0, 0.3 sqrt(2) and 2 sqrt(2)
    lacks = [1 - 1e-4**0.5, 1 - (0.18 + 1e-4) ** 0.5, 0]
    assert variance_loss(z).item() == pytest.approx(sum(lacks) / 3, abs=1e-6)


def test_a_containing_crop_contains_the_box_or_lies_inside_it():
    crop = loaded("containing_crop.py")["ContainingCrop"](scale=(0.05, 1.0))
    rng = np.random.default_rng(0)
    for box in ((0.3, 0.4, 0.5, 0.6), (0.0, 0.0, 1.0, 1.0), (0.9, 0.0, 1.0, 0.1)):
        x0, y0, x1, y1 = np.array(box) * [200, 100, 200, 100]
        for left, top, right, bottom in crop(rng, (100, 200), np.array([[*box, 1.0]]), 200):
            assert 0 <= left < right <= 200
            assert 0 <= top < bottom <= 100
            for first, end, low, high in ((left, right, x0, x1), (top, bottom, y0, y1)):
                inner, outer = sorted([(low, high), (first, end)], key=lambda span: span[1] - span[0])
                assert outer[0] - 1 <= inner[0]  # rounded down to whole pixels
                assert inner[1] <= outer[1] + 1


def test_a_table_of_images_has_its_classes(workplace: Path):
    table = loaded("image_table.py")["ImageTable"]("photos.csv")
    assert table.classes == ("even", "odd")
    assert [table[index]["label"] for index in range(3)] == [0, 1, 0]
    Path("other.csv").write_text("file\na.jpg\n")
    with pytest.raises(MissingData, match=r"other\.csv has no column named path; it has file"):
        loaded("image_table.py")["ImageTable"]("other.csv")


@pytest.fixture
def drives(workplace: Path) -> Path:
    """Eight training and two val sweeps of three drives: a plane with a car and a person, whose labels each has."""
    boxes = np.array([[6, 2, -1, 4, 2, 1.5, 0.3], [-5, 3, -0.9, 0.6, 0.6, 1.8, 0]])
    rng = np.random.default_rng(0)
    for number in range(10):
        xyz = [np.column_stack([rng.uniform(-12, 12, (2000, 2)), np.full(2000, -1.85)])]
        for x, y, z, *sides, heading in boxes:
            along, across, up = (rng.uniform(-0.5, 0.5, (100, 3)) * sides).T
            cos, sin = np.cos(heading), np.sin(heading)
            xyz.append(np.column_stack([x + cos * along - sin * across, y + sin * along + cos * across, z + up]))
        points = np.concatenate(xyz)
        file = workplace / f"drives/{'val' if number > 7 else 'train'}/drive_{number // 4}/{number:04d}.npz"
        file.parent.mkdir(parents=True, exist_ok=True)
        points = np.column_stack([points, rng.random(len(points))])
        np.savez(file, points=points, boxes=boxes, classes=np.array(["car", "person"]))
    return workplace / "drives"


def test_a_lidar_data_set_pretrains_fine_tunes_and_predicts(drives: Path):
    write_examples("extending.md", drives.parent)
    (train_tool, pretraining), (finetune_tool, finetuning), (predict_tool, prediction) = commands(
        "extending.md", SWEEPS
    )
    assert (train_tool, finetune_tool, predict_tool) == ("tools/train.py", "tools/finetune.py", "tools/predict.py")
    places = ("model.backbone", "train_dataloader.dataset.pipeline.0", "default_hooks.localization.localizer")
    small = ["train_dataloader.num_workers=0", "train_dataloader.batch_size=4", "model.backbone.size=small"]
    grids = [f"{place}.grid.{name}={value}" for place in places for name, value in SMALL_GRID.items()]
    hooks = ["default_hooks.localization.num_workers=0", "default_hooks.localization.localizer.stride=1"]
    hooks += ["default_hooks.gallery.num_sweeps=1"]
    assert train.main([*pretraining, *small, *grids, *hooks, "model.channels=32", "train_cfg.max_epochs=2"]) == 0
    boxes = load_checkpoint("work_dirs/sweeps/epoch_2.pth")["boxes"]
    assert (boxes["counts"] == 2).float().mean() > 0.5  # the car and the person

    finetuning[finetuning.index("--init") + 1] = "work_dirs/sweeps/epoch_2.pth"
    grids = [option for option in grids if option.startswith("model.")]
    assert finetune.main([*finetuning, *small, *grids, "--iterations", "3"]) == 0
    figures = json.loads(Path("work_dirs/detector/metrics.json").read_text())
    assert {"AP_car", "AP_person"} <= set(figures)
    assert predict.main([*prediction, "--min-score", "0"]) == 0
    with Path("predictions/predictions.csv").open(newline="") as file:
        assert {row["file"] for row in csv.DictReader(file)} == {"val/drive_2/0008.npz", "val/drive_2/0009.npz"}


def test_a_lidar_data_set_labels_what_it_holds(drives: Path):
    sweeps = loaded(SWEEPS)["ArchivedSweeps"](drives, labeled=True, classes=("person",))
    assert sweeps.scenes() == ["drive_0"] * 4 + ["drive_1"] * 4
    sample = sweeps[0]
    assert sample["points"].shape == (2200, 4)
    assert sample["labels"].tolist() == [OTHER, 0]
    assert sample["num_points"].tolist() == [100, 100]
    np.testing.assert_allclose(sample["boxes"][0], [6, 2, -1, 4, 2, 1.5, 0.3], rtol=1e-6)
    file = drives / "train/drive_0/0000.npz"
    file.write_bytes(file.read_bytes()[:100])
    assert sweeps[0]["index"] == 1
    assert "0000.npz: damaged, or without points (" in sweeps.why_unreadable(0)
    with pytest.raises(MissingData, match=r"no sweep found; expected layout:\n.*/train/DRIVE/\*\.npz"):
        loaded(SWEEPS)["ArchivedSweeps"](drives, split="test")


def test_every_part_has_an_example():
    assert set(examples("extending.md")) == {
        "variance_simsiam.py",
        "my/methods/variance-simsiam.py",
        "containing_crop.py",
        "my/crops/containing.py",
        "image_table.py",
        SWEEPS,
        "plain_net.py",
    }


def test_the_example_of_the_python_api_runs(workplace: Path, capsys: pytest.CaptureFixture):
    (example,) = examples("python_api.md").values()
    code = workplace / example["name"]
    code.write_text(example["code"])
    assert len([line for line in example["code"].splitlines() if line.strip()]) <= 15
    runpy.run_path(str(code))
    found = re.search(r"(\S+\.jpg) tensor\(\[\[(.*?)\]", capsys.readouterr().out, re.S)
    x0, y0, x1, y1, score = map(float, found[2].split(","))
    assert 0 <= x0 < x1 <= 1
    assert 0 <= y0 < y1 <= 1
    assert 0 < score <= 1
    weights = load_checkpoint(workplace / "work_dirs/api/backbone.pth")
    assert {"backbone.conv1.weight", "backbone.layer4.1.conv2.weight"} <= set(weights["state_dict"])
