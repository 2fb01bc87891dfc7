"""The real command on a few simulated sweeps, and every config."""

import re
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from jobs import ROOT, call, environment, tool
from mmengine.registry import HOOKS, MODELS

from ccrop.compat.safe_checkpoint import load_checkpoint
from ccrop.config import load_config
from ccrop.projects.lidar_bev.grid import Grid
from ccrop.projects.lidar_bev.models import PillarEncoder

CONFIGS = ROOT / "projects/lidar_bev/configs"
SMALL = (
    "--cfg-options",
    "model.backbone.grid.cell=1.5",
    "train_dataloader.dataset.pipeline.0.grid.cell=1.5",
    "default_hooks.localization.localizer.grid.cell=0.5",
    "default_hooks.localization.num_workers=0",
    "default_hooks.gallery.num_sweeps=1",
    "model.channels=32",
    "model.bottleneck=8",
    "train_dataloader.batch_size=4",
    "train_dataloader.num_workers=1",
    "train_dataloader.dataset.subset=8",
    "train_cfg.max_epochs=3",
)


IMAGES = ("knn", "linear", "pairs", "boxes", "object-knn", "roi-knn")  # evaluations


def losses(output: str) -> dict[int, str]:
    return {int(epoch): loss for epoch, loss in re.findall(r"epoch (\d+)/\d+  loss (\S+)", output)}


def test_killed_and_resumed_it_ends_as_if_never_killed(simulated: Path, tmp_path: Path):
    arguments = (CONFIGS / "simsiam_ccrop_bev_demo.py", "--data-root", simulated)
    whole = call(tool("train.py", *arguments, "--work-dir", "whole", *SMALL), tmp_path)
    assert whole.returncode == 0, whole.stdout
    line = re.findall(r"epoch 3/3  .*", whole.stdout)[-1]
    for name in ("loss", "z-std", "rank", "boxes", "/sweep", "sweeps/s", "ETA"):
        assert name in line, name
    boxes = float(re.search(r"boxes ([\d.]+)/sweep", line)[1])
    assert 20 < boxes <= 64
    assert len(list((tmp_path / "whole/gallery").glob("*.png"))) == 3

    killed = tmp_path / "killed"
    process = subprocess.Popen(
        tool("train.py", *arguments, "--work-dir", killed, *SMALL),
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 120
    while not (killed / "epoch_1.pth").exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.005)
    time.sleep(0.05)  # into the second epoch
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (killed / "epoch_3.pth").exists()

    resumed = call(tool("train.py", *arguments, "--work-dir", killed, "--resume", *SMALL), tmp_path)
    assert resumed.returncode == 0, resumed.stdout
    first, second = (load_checkpoint(folder / "epoch_3.pth") for folder in (tmp_path / "whole", killed))
    for name, tensor in first["state_dict"].items():
        assert torch.equal(tensor, second["state_dict"][name]), name
    assert torch.equal(first["boxes"]["boxes"], second["boxes"]["boxes"])
    assert losses(resumed.stdout)
    assert losses(resumed.stdout).items() <= losses(whole.stdout).items()

    encoder = PillarEncoder(Grid((-48, -48, -3), (48, 48, 1.8), 1.5), size="small")
    weights = {n.removeprefix("backbone."): w for n, w in first["state_dict"].items() if n.startswith("backbone.")}
    encoder.load_state_dict(weights)

    checkpoint = "whole/epoch_3.pth"
    evaluated = call(tool("evaluate.py", "centers", checkpoint, "--split", "val", "--learned", "0", "1"), tmp_path)
    assert evaluated.returncode == 0, evaluated.stdout
    table = evaluated.stdout.split("\n\n")[1]
    recalls = dict(re.findall(r"\| (geometric.*?|100% learned) \| [\d.]+ \| [\d.]+ / ([\d.]+)", table))
    assert float(recalls["geometric"]) > 80  # the goal: within 2 m of objects with 20 points or more
    assert float(recalls["geometric, from another sweep"]) < 50
    assert set(recalls) == {"geometric", "geometric, from another sweep", "100% learned"}

    known = call(tool("evaluate.py", "window-knn", checkpoint, "--bank", "8", "--queries", "8"), tmp_path)
    assert known.returncode == 0, known.stdout
    assert "| window-kNN | mean over classes | Car |" in known.stdout

    for command, arguments, message in (
        *(
            (name, (), "whole/epoch_3.pth is of a run on sweeps: evaluate it by centers or window-knn")
            for name in IMAGES
        ),
        ("centers", ("--classes", "Lorry"), "no object is of the classes Lorry; the labels have Car ("),
        ("window-knn", ("--classes", "Lorry", "--bank", "8"), "no object is of the classes Lorry; the labels have"),
    ):
        refused = call(tool("evaluate.py", command, checkpoint, *arguments), tmp_path)
        assert refused.returncode == 2
        assert message in refused.stdout.splitlines()[-1]


def test_a_damaged_sweep_is_named_and_skipped(simulated: Path, tmp_path: Path):
    folder = tmp_path / "sweeps"
    folder.mkdir()
    for file in sorted((simulated / "training/velodyne").glob("*.bin"))[:9]:
        (folder / file.name).symlink_to(file)
    np.full((50, 4), np.nan, np.float32).tofile(folder / "broken.bin")
    options = [option.replace("subset=8", "subset=10") for option in SMALL]
    options += [
        "train_cfg.max_epochs=1",
        "model.backbone.size=small",
    ]
    options += ["default_hooks.unreadable.limit=0.2", "default_hooks.localization.localizer.stride=1"]
    for place in ("model.backbone", "train_dataloader.dataset.pipeline.0", "default_hooks.localization.localizer"):
        options += [f"{place}.grid.low=(-48,-48,-3)", f"{place}.grid.high=(48,48,1.8)"]
    done = call(tool("train.py", CONFIGS / "simsiam_ccrop_bev_folder.py", "--data-root", folder, *options), tmp_path)
    assert done.returncode == 0, done.stdout
    assert "skipped" in done.stdout
    assert "broken.bin: none of its points is finite" in done.stdout
    assert "unreadable 1" in done.stdout


@pytest.mark.parametrize(
    "file", sorted([*CONFIGS.glob("*_bev_*.py"), *(CONFIGS / "comparison").glob("*.py")]), ids=lambda file: file.stem
)
def test_every_config_builds_and_its_parts_fit(file: Path, tmp_path: Path):
    config = load_config(file, tmp_path)
    model = MODELS.build(config.model)
    assert model.projector[0].in_features == model.backbone.out_channels
    if model.regions is not None and model.regions.heatmap is not None:
        assert model.regions.heatmap.head[0].in_channels == model.backbone.out_channels
    for hook in config.default_hooks.values():
        assert hook is None or HOOKS.build(hook)
    step = config.train_dataloader.dataset.pipeline[-1]
    grid = Grid(**{name: value for name, value in step.grid.items() if name != "type"})
    assert model.backbone.grid == grid
    hook = config.default_hooks.get("localization")
    if hook:
        hook = HOOKS.build(hook)
        assert getattr(hook, "localizer", hook).grid == grid
        assert getattr(hook, "localizer", hook).max_boxes == step.max_boxes
    if model.regions is not None:
        assert model.regions.num_windows == 64
        assert 0.25 <= 1 - model.regions.num_objects / 64 <= 0.35


def test_the_arms_of_the_comparison_differ_in_one_part(tmp_path: Path):
    arms = {file.stem: load_config(file, tmp_path) for file in (CONFIGS / "comparison").glob("*.py")}
    assert set(arms) == {"annotated", "clusters", "clusters_heatmap", "random_windows", "scene"}
    whole = arms["clusters"]
    for config in arms.values():
        for name in ("optim_wrapper", "param_scheduler", "train_cfg", "auto_scale_lr"):
            assert str(config[name]) == str(whole[name])
        assert str(config.model.backbone) == str(whole.model.backbone)
    assert arms["scene"].model.regions is None
    heatmap = arms["clusters_heatmap"].model.regions.pop("heatmap")
    assert (heatmap.type.__name__, heatmap.weight) == ("CenterHeatmapLoss", 10.0)
    assert whole.model.regions.pop("heatmap") is None
    assert str(arms["clusters_heatmap"].model) == str(whole.model)
    assert str(arms["clusters_heatmap"].train_dataloader) == str(whole.train_dataloader)
    setting = dict(_delete_=True, type="ccrop.models.CenterHeatmapLoss", weight=10.0)
    options = {f"model.regions.heatmap.{name}": value for name, value in setting.items()}
    around_anything = load_config(CONFIGS / "comparison/random_windows.py", tmp_path, options)
    assert around_anything.model.regions.heatmap == heatmap | dict(type="ccrop.models.CenterHeatmapLoss")
    assert arms["random_windows"].train_dataloader.dataset.pipeline[0].type.__name__ == "RandomBoxes"
    assert arms["annotated"].default_hooks.localization.type.__name__ == "AnnotatedSweepsHook"


def test_without_data_there_is_a_demo_or_an_error_that_shows_the_layout(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = load_config(CONFIGS / "simsiam_ccrop_bev_kitti.py")
    assert config.on_demo_set
    assert config.train_dataloader.dataset.data_root == "data/demo_lidar"
    assert config.demo_set.root == "data/demo_lidar"
    failed = call(tool("train.py", CONFIGS / "simsiam_ccrop_bev_nuscenes.py"), tmp_path)
    assert failed.returncode == 2
    assert "LIDAR_TOP" in failed.stdout
