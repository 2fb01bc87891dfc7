"""The Dockerfile and the Slurm scripts stay in step with the package: versions, libraries, commands and options."""

import re
import shlex
import stat
import subprocess
from pathlib import Path

import pytest
from jobs import ROOT

from ccrop.config_names import config_file
from ccrop.config_parts import compose

SCRIPTS = sorted((ROOT / "docs/slurm").glob("*.sbatch"))
STUB = """#!/bin/sh
printf '%s\\n' "$OMP_NUM_THREADS" "$@"
"""
STUBS = dict(ccrop=STUB, torchrun=STUB, srun='#!/bin/sh\nexec "$@"\n', scontrol="#!/bin/sh\nprintf 'a1\\na2\\n'\n")
SLURM = dict(SLURM_GPUS_ON_NODE="8", SLURM_NNODES="2", SLURM_JOB_ID="77", SLURM_JOB_NODELIST="a[1-2]")


def test_the_image_has_the_versions_and_libraries_of_the_makefile():
    docker, make = (ROOT / "Dockerfile").read_text(), (ROOT / "Makefile").read_text()
    pins = re.search(r"^TORCH := (.*)$", make, re.MULTILINE)[1]
    assert pins.startswith("torch==")
    assert f"pip install --no-cache-dir {pins} " in docker
    packages = {pair.split(":")[1] for pair in re.search(r"^LIBRARIES := (.*)$", make, re.MULTILINE)[1].split()}
    installed = re.search(r"--no-install-recommends (.*) \\", docker)[1].split()
    assert set(installed) == {"libgl1", "libglib2.0-0", "libusb-1.0-0"} == packages
    extras = re.search(r"/opt/ccrop\[(.*)\]'", docker)[1].split(",")
    assert all(re.search(rf"^{extra} =$", (ROOT / "setup.cfg").read_text(), re.MULTILINE) for extra in extras)
    assert compose("simsiam_region_folder")  # of the example


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_a_script_calls_ccrop_with_options_that_it_has(script: Path, tmp_path: Path):
    for name, stub in STUBS.items():
        (tmp_path / name).write_text(stub)
        (tmp_path / name).chmod(stat.S_IRWXU)
    example = re.search(rf"sbatch docs/slurm/{script.name} (.*)", script.read_text())[1]
    arguments = shlex.split(example)
    done = subprocess.run(
        ["bash", script, *arguments],
        env=SLURM | dict(PATH=f"{tmp_path}:/usr/bin:/bin"),
        capture_output=True,
        text=True,
        check=True,
    )
    threads, *words = done.stdout.splitlines()
    assert threads == "1"
    if script.name == "pretrain.sbatch":
        assert words[:5] == ["--standalone", "--nproc_per_node=8", "-m", "ccrop", "train"]
        words = words[4:]
    if script.name == "pretrain_nodes.sbatch":
        assert words[:2] == ["--nnodes=2", "--nproc_per_node=8"]
        assert words[2:5] == ["--rdzv_id=77", "--rdzv_backend=c10d", "--rdzv_endpoint=a1:29500"]
        assert words[5:8] == ["-m", "ccrop", "train"]
        words = words[7:]
    command, config, *options = words
    assert config == arguments[0]
    assert Path(config_file(config)).is_file() or compose(config)
    known = (ROOT / f"tools/{command}.py").read_text()
    named = [option for option in options if option.startswith("--")]
    assert {"--data-root", "--work-dir", "--work-dirs"} & set(named)
    assert all(f'"{option}"' in known for option in named)
    assert set(arguments) <= {word.removeprefix("ours=") for word in words}
