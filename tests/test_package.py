"""The wheel: what is in it and what it asks for, and its command in an environment outside the checkout."""

import os
import re
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest
from jobs import ROOT, TINY, Once

from ccrop import __version__
from ccrop.compat.safe_checkpoint import load_checkpoint

PYTHON = sys.executable
# several commands in one process, which has then no module of a general name
COMMANDS = """
import sys
import ccrop.__main__ as ccrop

codes = [ccrop.main(arguments.split()) for arguments in sys.argv[1:]]
loaded = {name.partition(".")[0] for name in sys.modules}
print(ccrop.__file__, codes, sorted(loaded & {"projects", "tools", "configs", "mmdet"}))
import projects.lidar_bev.grid  # its name in 0.1
assert sys.modules["projects.lidar_bev.grid"] is sys.modules["ccrop.projects.lidar_bev.grid"]
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
    subprocess.run(command, check=True, env=outside() | variables)


def outside() -> dict[str, str]:
    """The variables of a process that does not know of the checkout."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | {"OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="session")
def installed(wheel: Path, once: Once) -> Path:
    """An environment with the wheel, all that this one has but ccrop, and neither Open3D nor spconv.

    It has been moved, so its scripts are run by name.
    """

    def install(folder: Path) -> None:
        subprocess.run([PYTHON, "-m", "venv", "--without-pip", folder], check=True)
        pip("--python", folder / "bin/python", "install", wheel)  # before it sees another ccrop among the others
        (packages,) = folder.glob("lib/python*/site-packages")
        (packages / "dependencies.pth").write_text(sysconfig.get_paths()["purelib"])
        for absent in ("open3d", "spconv"):
            (packages / f"{absent}.py").write_text(f"raise ModuleNotFoundError('no {absent}')")

    return once("installed", install)


def called(command: list[object], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        list(map(str, command)), cwd=folder, env=outside(), capture_output=True, text=True, timeout=300
    )


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
    assert {name.partition("==")[0].partition("-")[0] for name in for_sweeps} == {"open3d", "pyarrow", "spconv"}


def test_pip_make_and_the_documents_take_the_same_pythons(wheel: Path):
    metadata = zipfile.ZipFile(wheel).read(f"ccrop-{__version__}.dist-info/METADATA").decode()
    (required,) = re.findall(r"^Requires-Python: (.*)$", metadata, re.MULTILINE)
    assert set(required.replace(" ", "").split(",")) == {">=3.10", "<3.14"}
    classified = re.findall(r"^Classifier: Programming Language :: Python :: (3\.\d+)$", metadata, re.MULTILINE)
    assert classified == ["3.10", "3.11", "3.12", "3.13"]
    for name in ("Makefile", "README.md", "CONTRIBUTING.md", "docs/getting_started.md"):
        assert "Python 3.10 to 3.13" in (ROOT / name).read_text(), name


def test_the_command_is_there(installed: Path, tmp_path: Path):
    done = called([installed / "bin/python", installed / "bin/ccrop", "--version"], tmp_path)
    assert (done.returncode, done.stdout) == (0, f"ccrop {__version__}\n"), done.stderr


def test_images_are_learned_outside_the_checkout_without_the_packages_of_sweeps(
    installed: Path, demo_root: Path, tmp_path: Path
):
    data = f"--data-root {demo_root} --work-dir"
    small = " ".join((*TINY, "train_cfg.max_epochs=1", "train_dataloader.dataset.subset=16"))
    narrow = "model.backbone.base_channels=8 model.backbone.stem_channels=8 train_dataloader.batch_size=4"
    commands = (
        f"train configs/simsiam_rcrop_demo.py {data} pretrained {small}",
        f"finetune tiles_r18 --init pretrained/epoch_1.pth --iterations 2 {data} tuned --cfg-options {narrow}",
        "make-demo-data --lidar sweeps --train 1 --val 1 --workers 1",
    )
    done = called([installed / "bin/python", "-c", COMMANDS, *commands], tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    file, found = done.stdout.splitlines()[-1].split(" ", 1)
    assert found == "[0, 0, 2] ['mmdet']", done.stdout + done.stderr
    assert Path(file).is_relative_to(installed)
    assert load_checkpoint(tmp_path / "tuned/iter_2.pth")["state_dict"]
    line = done.stderr.splitlines()[-1]
    assert line.startswith("ccrop make-demo-data: ")
    assert line.endswith("needs open3d, which cannot be imported: pip install 'ccrop[lidar]'")
