"""What a run leaves in its work_dir."""

from pathlib import Path

from jobs import ROOT
from mmengine.config import Config
from mmengine.model import MMDistributedDataParallel
from mmengine.registry import MODEL_WRAPPERS, OPTIM_WRAPPER_CONSTRUCTORS, OPTIM_WRAPPERS, TRANSFORMS

from ccrop.optim import AutocastOptimWrapper, PredictorGroups
from ccrop.runner import build_runner, config_beside, load_config
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
