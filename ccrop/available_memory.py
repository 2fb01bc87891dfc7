"""How much memory a process may still take: of the machine, and of the control groups that hold it."""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

UNLIMITED = float("inf")
# limit, usage, and what of the usage the kernel gives back when it is needed: cached files
VERSION_2 = ("memory.max", "memory.current", "inactive_file")
VERSION_1 = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")


def available_memory(proc: Path = Path("/proc")) -> float:
    """Bytes; no limit where the system does not report it. A container or a Slurm job has less than its machine."""
    return min(_of_machine(proc), *map(_of_group, _groups(proc)), UNLIMITED)


def _of_machine(proc: Path) -> float:
    lines = _text(proc / "meminfo").splitlines()
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")), UNLIMITED)


def _of_group(folder: Path) -> float:
    for limit, usage, cached in (VERSION_2, VERSION_1):
        most, used = _text(folder / limit).strip(), _text(folder / usage).strip()
        if most.isdecimal() and used.isdecimal():  # not "max"
            statistics = dict(line.split() for line in _text(folder / "memory.stat").splitlines())
            return max(0, int(most) - int(used) + int(statistics.get(cached, 0)))
    return UNLIMITED


def _groups(proc: Path) -> Iterator[Path]:
    """Folders of the memory groups of this process, from the innermost to the root: each limits those inside it."""
    own = {}  # by version: its group's path
    for line in _text(proc / "self/cgroup").splitlines():
        number, controllers, path = line.split(":", 2)
        if number == "0":
            own[2] = path
        elif "memory" in controllers.split(","):
            own[1] = path
    for line in _text(proc / "self/mountinfo").splitlines():
        place, _, system = line.partition(" - ")
        kind, _, options = system.split(" ", 2)
        version = 2 if kind == "cgroup2" else 1 if kind == "cgroup" and "memory" in options.split(",") else None
        if version in own:
            root, mounted = place.split()[3:5]
            group, top = PurePosixPath(own[version]), Path(mounted)
            inner = top / group.relative_to(root) if group.is_relative_to(root) else top
            yield from (each for each in (inner, *inner.parents) if each.is_relative_to(top))


def _text(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:
        return ""
