"""Real sweeps, where they are at hand."""

from pathlib import Path

import pytest
from jobs import Once
from mmengine.logging import MMLogger

from ccrop.projects.lidar_bev.simulation import make_demo_sequences, make_demo_sweeps

LIDAR_DATA = Path(__file__).parents[4] / "shared" / "data" / "lidar"


@pytest.fixture(scope="session")
def lidar_data() -> Path:
    """The folder of real sweeps beside the project; tests that ask for it are skipped where it is absent."""
    if not LIDAR_DATA.is_dir():
        pytest.skip(f"{LIDAR_DATA} is absent")
    return LIDAR_DATA


@pytest.fixture(scope="session")
def simulated(once: Once) -> Path:
    """A simulated set of 80 training and 16 validation sweeps, made by two processes."""
    pytest.importorskip("open3d")
    return once("sweeps", lambda folder: make_demo_sweeps(folder, num_train=80, num_val=16, workers=2))


@pytest.fixture(scope="session")
def sequences(once: Once) -> Path:
    """Three training sequences and one for validation, simulated in nuScenes' layout."""
    pytest.importorskip("open3d")
    return once("sequences", lambda folder: make_demo_sequences(folder, num_train=3, num_val=1, workers=1))


@pytest.fixture
def warned(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The warnings that the log takes."""
    lines: list[str] = []
    monkeypatch.setattr(MMLogger.get_current_instance(), "warning", lines.append)
    return lines
