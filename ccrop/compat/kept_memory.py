"""Memory that a step frees stays with the process.

glibc returns large freed blocks to the system, and the next step gets them back page by page, each of them zeroed. On a
CPU, that can take more time than an operation on them.
"""

import ctypes
import os

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # of mallopt(3), in bytes
LARGEST = 2**25  # that the second one takes


def keep_memory() -> None:
    """Let blocks of up to 32 MiB come from a heap that does not shrink.

    Variables ``MALLOC_...`` of the environment win. Without glibc, such as on macOS, nothing happens.
    """
    if any(name.startswith("MALLOC_") for name in os.environ):
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return
    mallopt(MMAP_THRESHOLD, LARGEST)
    mallopt(TRIM_THRESHOLD, 2**31 - 1)
