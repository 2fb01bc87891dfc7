"""What a run is built from, and what it leaves in its work_dir."""

from pathlib import Path

import pytest
from jobs import ROOT
from mmengine.config import Config
from mmengine.model import MMDistributedDataParallel
from mmengine.registry import MODEL_WRAPPERS, OPTIM_WRAPPER_CONSTRUCTORS, OPTIM_WRAPPERS, TRANSFORMS

from ccrop.optim import AutocastOptimWrapper, PredictorGroups
from ccrop.runner import build_runner, config_beside, load_config, one_a_channel
from ccrop.views import ReferenceAugmentation


def test_the_config_that_a_run_leaves_is_whole_whatever_the_program_changed(demo_root: Path, tmp_path: Path):
    config = load_config(ROOT / "configs/simsiam_ccrop_demo.py", demo_root, {"augment": "cpu"})
    config.model_wrapper_cfg = dict(type=MMDistributedDataParallel, device_ids=None)  # as on several CPUs
    runner = build_runner(config, tmp_path, amp="bf16")
    left = Config.fromfile(config_beside(tmp_path / "epoch_1.pth"))
    assert left.to_dict() == runner.cfg.to_dict()
    assert OPTIM_WRAPPERS.get(left.optim_wrapper.type) is AutocastOptimWrapper
    assert OPTIM_WRAPPER_CONSTRUCTORS.get(left.optim_wrapper.constructor) is PredictorGroups
    assert MODEL_WRAPPERS.get(left.model_wrapper_cfg.type) is MMDistributedDataParallel
    assert TRANSFORMS.get(left.train_dataloader.dataset.pipeline[0].augment.type) is ReferenceAugmentation


@pytest.mark.parametrize("channels", [1, 5])
def test_channels_go_to_all_that_depends_on_them(tmp_path: Path, channels: int):
    config = load_config(ROOT / "configs/simsiam_ccrop-region_demo.py", tmp_path, {"channels": channels})
    assert config.model.backbone.in_channels == channels
    assert config.model.data_preprocessor.mean == pytest.approx([(0.485 + 0.456 + 0.406) / 3] * channels)
    assert config.model.data_preprocessor.std == pytest.approx([(0.229 + 0.224 + 0.225) / 3] * channels)
    knn = config.default_hooks.knn
    assert all(dataset.channels == channels for dataset in (config.train_dataloader.dataset, knn.bank, knn.queries))
    assert "channels" not in config.default_hooks.roi_knn  # it asks the model
    config.dump(tmp_path / "dumped.py")
    again = load_config(tmp_path / "dumped.py", tmp_path)
    assert again.model.data_preprocessor.mean == config.model.data_preprocessor.mean


def test_rgb_configs_stay_as_they_are(tmp_path: Path):
    config = load_config(ROOT / "configs/simsiam_ccrop-region_demo.py", tmp_path)
    assert "channels" not in config.train_dataloader.dataset
    assert "in_channels" not in config.model.backbone


def test_torchvisions_operations_refuse_other_channels_than_rgb_and_grey(tmp_path: Path):
    file = ROOT / "configs/simsiam_rcrop_demo.py"
    load_config(file, tmp_path, {"channels": 1, "augment": "cpu"})
    with pytest.raises(ValueError, match="takes images of 1 or 3 channels, not of 5: set augment='device'"):
        load_config(file, tmp_path, {"channels": 5, "augment": "cpu"})


def test_values_are_one_a_channel():
    assert one_a_channel([1, 2, 6], 3) == (1, 2, 6)
    assert one_a_channel([1, 2, 6], 1) == (3,)
    assert one_a_channel([4], 2) == (4, 4)
