"""Settings of all tests of the library."""

import pytest
import torch


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """On busy cores, threads that share small tensors wait for each other far longer than they work."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
