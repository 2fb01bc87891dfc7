from pathlib import Path

import pytest

from ccrop.config import load_config
from ccrop.config_names import config_file

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("configs/simsiam_ccrop_coco.py", "configs/simsiam_ccrop_coco.py"),
        ("simsiam_ccrop_coco.py", "configs/simsiam_ccrop_coco.py"),
        ("simsiam_ccrop_coco", "configs/simsiam_ccrop_coco.py"),
        ("tiles_r18", "projects/detection_transfer/configs/tiles_r18.py"),
        ("projects/lidar_bev/configs/simsiam_ccrop_bev_folder.py",) * 2,
    ],
)
def test_own_configs_have_names(name: str, file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    assert Path(config_file(name)).samefile(ROOT / file)


def test_a_file_comes_before_a_name_and_a_name_of_nothing_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    Path("tiles_r18.py").touch()
    assert config_file("tiles_r18.py") == "tiles_r18.py"
    assert config_file("configs/nothing.py") == "configs/nothing.py"
    assert config_file("untrained") == "untrained"


def test_a_config_is_loaded_by_name_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "set/train").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    config = load_config("simsiam_ccrop_coco", "set")
    assert config.experiment == "simsiam_ccrop_coco"
    assert config.train_dataloader.dataset.data_root == "set"
