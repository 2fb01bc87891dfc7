"""Page faults of a process that makes and drops large tensors again and again."""

import os
import platform
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other systems keep memory by other rules")
CODE = """
import resource
from ccrop.compat.kept_memory import keep_memory
keep_memory()
import torch
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def step():
    kept = [torch.ones(2**21) for _ in range(8)]  # 8 MiB each
for _ in range(5):
    step()
before = faults()
for _ in range(5):
    step()
print(faults() - before)
"""
PAGES = 5 * 8 * 2**23 // 4096


def page_faults(**environment: str) -> int:
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "THP_MEM_"))}
    done = subprocess.run(
        [sys.executable, "-c", CODE], capture_output=True, text=True, env=plain | environment, check=True
    )
    return int(done.stdout)


def test_a_step_gets_the_memory_of_the_one_before():
    assert page_faults() < PAGES / 1000


def test_settings_of_the_environment_win():
    assert page_faults(MALLOC_TRIM_THRESHOLD_="0", MALLOC_MMAP_THRESHOLD_="4194304") > PAGES / 2
