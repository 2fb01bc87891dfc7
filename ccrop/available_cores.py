"""How many of the machine's cores this process may use."""

import os


def available_cores() -> int:
    """At least 1; a container, a Slurm job or ``taskset`` may allow fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def fitting_workers(workers: int) -> int:
    """As many processes as asked for, but no more than cores: torch warns of more, which are slower."""
    return min(workers, available_cores())
