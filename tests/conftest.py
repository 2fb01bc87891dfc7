"""Data that several tests read."""

from pathlib import Path

import pytest

from ccrop.datasets.demo import make_demo_set


@pytest.fixture(scope="session")
def demo_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A demo set of 64 training and 16 validation images."""
    root = tmp_path_factory.mktemp("demo") / "set"
    make_demo_set(root, num_train=64, num_val=16)
    return root
