"""A loader's persistent workers, once they are no longer needed.

With pinned memory, torch 2.11 and earlier wait five seconds for each of them when the program ends
(pytorch/pytorch#81794); 2.14 does not.
"""

from torch.utils.data import DataLoader


def stop_workers(loader: DataLoader) -> None:
    """Stop the processes of a loader that nobody iterates over; the next iteration starts new ones."""
    loader._iterator = None  # its last reference
