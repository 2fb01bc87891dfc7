"""Real sweeps, where they are at hand."""

from pathlib import Path

import pytest

LIDAR_DATA = Path(__file__).parents[4] / "shared" / "data" / "lidar"


@pytest.fixture(scope="session")
def lidar_data() -> Path:
    """The folder of real sweeps beside the project; tests that ask for it are skipped where it is absent."""
    if not LIDAR_DATA.is_dir():
        pytest.skip(f"{LIDAR_DATA} is absent")
    return LIDAR_DATA
