"""The wheel: what is in it and what it asks for, and its command in an environment outside the checkout."""

import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest
from jobs import ROOT, TINY, Once

from ccrop import __version__
from ccrop.compat.checkpoint import load_checkpoint

PYTHON = sys.executable
# both in one process: without the packages of [lidar], and with no module of a general name
PRETRAIN_AND_FINETUNE = """
import sys
import ccrop.__main__ as ccrop

pretraining, detector = (arguments.split() for arguments in sys.argv[1:])
assert ccrop.main(pretraining) == 0
assert ccrop.main(detector) == 0
loaded = {name.partition(".")[0] for name in sys.modules}
print(ccrop.__file__, sorted(loaded & {"open3d", "spconv", "projects", "tools", "configs", "mmdet"}))
"""


@pytest.fixture(scope="session")
def wheel(once: Once) -> Path:
    """The wheel, built without a trace in the checkout."""

    def build(folder: Path) -> None:
        (folder / "base").mkdir()
        settings = f"[build]\nbuild_base = {folder}/build\n[egg_info]\negg_base = {folder}/base\n"
        (folder / "setup.cfg").write_text(settings)
        pip("wheel", ROOT, "--no-build-isolation", "-w", folder, DIST_EXTRA_CONFIG=str(folder / "setup.cfg"))

    return next(once("wheel", build).glob("*.whl"))


def pip(*arguments: object, **variables: str) -> None:
    command = [PYTHON, "-m", "pip", *map(str, arguments), "--no-deps", "--no-index", "-q"]
    subprocess.run(command, check=True, env=os.environ | variables)


@pytest.fixture(scope="session")
def installed(wheel: Path, once: Once) -> Path:
    """An environment with the wheel, all that this one has but ccrop, and neither Open3D nor spconv."""

    def install(folder: Path) -> None:
        subprocess.run([PYTHON, "-m", "venv", "--without-pip", folder], check=True)
        (packages,) = folder.glob("lib/python*/site-packages")
        (packages / "dependencies.pth").write_text(sysconfig.get_paths()["purelib"])
        for absent in ("open3d", "spconv"):
            (packages / f"{absent}.py").write_text(f"raise ModuleNotFoundError('no {absent}')")
        pip("--python", folder / "bin/python", "install", wheel)

    return once("installed", install)


def called(command: list[object], folder: Path) -> subprocess.CompletedProcess[str]:
    own = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(list(map(str, command)), cwd=folder, env=own, capture_output=True, text=True, timeout=300)


def test_the_wheel_has_one_package_with_all_configs(wheel: Path):
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {name.partition("/")[0] for name in names} == {"ccrop", f"ccrop-{__version__}.dist-info"}
    configs = [*ROOT.glob("configs/**/*.py"), *ROOT.glob("projects/*/configs/**/*.py"), *ROOT.glob("tools/*.py")]
    assert {f"ccrop/{file.relative_to(ROOT)}" for file in configs} <= names
    assert not [name for name in names if name.startswith(("ccrop/projects/studies", "ccrop/tests"))]


def test_sweeps_need_an_extra(wheel: Path):
    metadata = zipfile.ZipFile(wheel).read(f"ccrop-{__version__}.dist-info/METADATA").decode()
    needed = [line.removeprefix("Requires-Dist: ") for line in metadata.splitlines() if line.startswith("Requires-D")]
    always = [line for line in needed if "extra ==" not in line]
    assert any(line.startswith("torch>=") for line in always)
    assert not [line for line in always if line.startswith(("open3d", "spconv"))]
    for_sweeps = [line.partition(";")[0] for line in needed if 'extra == "lidar"' in line]
    assert {name.partition("==")[0].partition("-")[0] for name in for_sweeps} == {"open3d", "spconv"}


def test_the_command_is_there(installed: Path, tmp_path: Path):
    done = called([installed / "bin/ccrop", "--version"], tmp_path)
    assert (done.returncode, done.stdout) == (0, f"ccrop {__version__}\n"), done.stderr


def test_images_are_learnt_from_outside_the_checkout_and_without_the_packages_of_sweeps(
    installed: Path, demo_root: Path, tmp_path: Path
):
    small = " ".join((*TINY, "train_cfg.max_epochs=1", "train_dataloader.dataset.subset=16"))
    data = f"--data-root {demo_root} --work-dir"
    pretraining = f"train configs/simsiam_rcrop_demo.py {data} pretrained {small}"
    detector = f"finetune tiles_r18 --init pretrained/epoch_1.pth --iterations 2 --labels 10% {data} tuned"
    detector += " --cfg-options model.backbone.base_channels=8 model.backbone.stem_channels=8"
    done = called([installed / "bin/python", "-c", PRETRAIN_AND_FINETUNE, pretraining, detector], tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    file, loaded = done.stdout.splitlines()[-1].split(" ", 1)
    assert Path(file).is_relative_to(installed)
    assert loaded == "['mmdet']"
    assert load_checkpoint(tmp_path / "tuned/iter_2.pth")["state_dict"]
    sweeps = called([installed / "bin/ccrop", "make-demo-data", "--lidar", "sweeps"], tmp_path)
    assert sweeps.returncode == 2
    assert sweeps.stderr.count("\n") == 1
    assert "pip install 'ccrop[lidar]'" in sweeps.stderr
