"""Memory that is left to a process, by made-up files of the kernel's."""

from pathlib import Path

import pytest

from ccrop.available_memory import available_memory

GIB = 2**30


def system(folder: Path, group: str, mount: str, available: int = 16 * GIB) -> tuple[Path, Path]:
    """``/proc`` and ``/sys/fs/cgroup`` of a process in a group, mounted as a line of mountinfo says."""
    proc, groups = folder / "proc", folder / "cgroup"
    (proc / "self").mkdir(parents=True)
    (proc / "meminfo").write_text(f"MemTotal: 99 kB\nMemFree: 9 kB\nMemAvailable: {available // 1024} kB\n")
    (proc / "self/cgroup").write_text(group + "\n")
    (proc / "self/mountinfo").write_text(f"22 1 8:1 / / rw - ext4 /dev/root rw\n32 22 0:29 {mount.format(groups)}\n")
    return proc, groups


def limited(folder: Path, limit: int | str, used: int, cached: int = 0, version: int = 2) -> None:
    names = ("memory.max", "memory.current") if version == 2 else ("memory.limit_in_bytes", "memory.usage_in_bytes")
    folder.mkdir(parents=True, exist_ok=True)
    for name, value in zip(names, (limit, used), strict=True):
        (folder / name).write_text(f"{value}\n")
    inactive = "inactive_file" if version == 2 else "total_inactive_file"
    (folder / "memory.stat").write_text(f"anon 12\n{inactive} {cached}\n")


VERSION_2 = "0::/", "/ {} rw,nosuid - cgroup2 cgroup rw,nsdelegate"


def test_without_groups_it_is_the_machines(tmp_path: Path):
    proc, _ = system(tmp_path, *VERSION_2)
    assert available_memory(proc) == 16 * GIB
    assert available_memory(tmp_path / "nowhere") == float("inf")


def test_a_group_of_version_2_limits_and_its_cached_files_are_free(tmp_path: Path):
    proc, groups = system(tmp_path, *VERSION_2)
    limited(groups, 4 * GIB, 3 * GIB)
    assert available_memory(proc) == GIB
    limited(groups, 4 * GIB, 3 * GIB, cached=GIB)
    assert available_memory(proc) == 2 * GIB
    limited(groups, 4 * GIB, 5 * GIB)
    assert available_memory(proc) == 0
    limited(groups, "max", 3 * GIB)
    assert available_memory(proc) == 16 * GIB


def test_the_tightest_of_nested_groups_counts(tmp_path: Path):
    proc, groups = system(tmp_path, "0::/slurm/job_7/step_0", VERSION_2[1])
    limited(groups / "slurm/job_7/step_0", "max", GIB)
    limited(groups / "slurm/job_7", 6 * GIB, GIB)
    limited(groups / "slurm", 64 * GIB, 40 * GIB)
    assert available_memory(proc) == 5 * GIB


@pytest.mark.parametrize("root", ["/", "/docker/abc"])  # of the mount: outside and inside of the container
def test_a_group_of_version_1(tmp_path: Path, root: str):
    proc, groups = system(
        tmp_path,
        "9:name=systemd:/\n4:cpu,memory:/docker/abc\n3:cpuset:/elsewhere",
        f"{root} {{}} rw,relatime - cgroup cgroup rw,memory",
    )
    limited(groups, 2**63 - 4096, 40 * GIB, version=1)  # no limit
    limited(groups / Path("/docker/abc").relative_to(root), 3 * GIB, GIB, cached=GIB // 2, version=1)
    assert available_memory(proc) == 2.5 * GIB
    assert available_memory(tmp_path / "proc") < 16 * GIB
