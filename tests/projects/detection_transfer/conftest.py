"""mmdet needs its stand-in for compiled operators before it is imported."""

from pathlib import Path

import pytest
import torch
from jobs import ROOT
from mmengine.registry import MODELS, DefaultScope

from ccrop.compat.mmcv_ext import install_mmcv_ext

install_mmcv_ext()

from ccrop.checkpoint.recorded_config import as_data  # noqa: E402
from ccrop.projects.detection_transfer.data import keep_annotations  # noqa: E402
from ccrop.projects.detection_transfer.finetune import load_config  # noqa: E402


@pytest.fixture(scope="module")
def detector(demo_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A work_dir as a fine-tuning leaves it, of a narrow detector with random weights."""
    folder = tmp_path_factory.mktemp("detector")
    narrow = {"model.backbone.base_channels": 8, "model.neck.in_channels": [8, 16, 32], "model.test_cfg.score_thr": 0.0}
    config = load_config(ROOT / "projects/detection_transfer/configs/tiles_r18.py", demo_root, narrow)
    keep_annotations(config, folder)
    config.dump(folder / "tiles.py")
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope("mmdet"):
        model = MODELS.build(config.model)
    meta = dict(dataset_meta=dict(config.test_dataloader.dataset.metainfo))
    torch.save(dict(state_dict=model.state_dict(), meta=meta, config=as_data(config)), folder / "iter_1.pth")
    return folder
