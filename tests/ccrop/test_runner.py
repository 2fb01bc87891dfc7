"""What a run starts from and what it leaves in its work_dir."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from jobs import ROOT
from mmengine.config import Config
from mmengine.model import MMDistributedDataParallel
from mmengine.registry import MODEL_WRAPPERS, OPTIM_WRAPPER_CONSTRUCTORS, OPTIM_WRAPPERS, TRANSFORMS
from mmengine.runner import Runner
from PIL import Image
from torch import Tensor, nn

from ccrop.backbones import TimmBackbone
from ccrop.checkpoint import Normalization
from ccrop.config import load_config, one_a_channel
from ccrop.mixed_precision import AutocastOptimWrapper
from ccrop.models import SimCLR, ViewPreprocessor
from ccrop.models.preprocessor import IMAGENET_STD
from ccrop.optim import PredictorGroups
from ccrop.pretrained import load_pretrained
from ccrop.runner import BriefRunner, PretrainRunner, build_runner, expect
from ccrop.views import ReferenceAugmentation


def test_the_config_that_a_run_leaves_is_whole_whatever_the_program_changed(demo_root: Path, tmp_path: Path):
    config = load_config(ROOT / "configs/simsiam_single_demo.py", demo_root, {"augment": "cpu"})
    config.model_wrapper_cfg = dict(type=MMDistributedDataParallel, device_ids=None)  # as on several CPUs
    runner = build_runner(config, tmp_path, amp="bf16")
    left = Config.fromfile(next(tmp_path.glob("*.py")))
    assert left.to_dict() == runner.cfg.to_dict()
    assert OPTIM_WRAPPERS.get(left.optim_wrapper.type) is AutocastOptimWrapper
    assert OPTIM_WRAPPER_CONSTRUCTORS.get(left.optim_wrapper.constructor) is PredictorGroups
    assert MODEL_WRAPPERS.get(left.model_wrapper_cfg.type) is MMDistributedDataParallel
    assert TRANSFORMS.get(left.train_dataloader.dataset.pipeline[0].augment.type) is ReferenceAugmentation


SMALL = {  # sizes that pretrain an epoch on the CPU in a second
    "model.backbone.base_channels": 8,
    "model.backbone.stem_channels": 8,
    "model.channels": 32,
    "model.bottleneck": 8,
    "train_dataloader.dataset.pipeline.0.size": 32,
    "train_dataloader.dataset.subset": 32,
    "train_dataloader.batch_size": 16,
    "train_dataloader.num_workers": 0,
    "default_hooks.localization.image_size": (32, 32),
    "default_hooks.localization.num_workers": 0,
    "optim_wrapper.optimizer.lr": 0.0,  # only BN's statistics change
}
GRAY = Normalization((0.5,) * 3, (0.25,) * 3)


def pretrained(root: Path, work_dir: Path, epochs: int = 1, **arguments: Any) -> tuple[dict[str, Any], str]:
    """The last checkpoint of a short run and its log."""
    own = {"train_cfg.max_epochs": epochs, "experiment_name": f"{root}{work_dir}{arguments}".replace("/", "_")}
    config = load_config(ROOT / "configs/simsiam_single_demo.py", root, SMALL | own)
    for hook in ("knn", "gallery"):
        config.default_hooks.pop(hook)
    build_runner(config, work_dir, **arguments).train()
    log = max(work_dir.glob("*/*.log"), key=lambda file: file.stat().st_mtime_ns).read_text()
    return torch.load(work_dir / f"epoch_{epochs}.pth", weights_only=False), log


def same(one: dict[str, Tensor], other: dict[str, Tensor], part: str) -> bool:
    """Whether all weights of a part are the same, BN's statistics aside."""
    names = [name for name in one if name.startswith(part) and "running" not in name and "tracked" not in name]
    return bool(names) and all(torch.equal(one[name], other[name]) for name in names)


@pytest.fixture(scope="module")
def other_images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("other")
    (root / "train2017").mkdir()
    rng = np.random.default_rng(0)
    for number in range(32):
        Image.fromarray(rng.integers(0, 256, (48, 64, 3), dtype=np.uint8)).save(root / f"train2017/{number}.jpg")
    return root


def test_a_run_goes_on_from_anothers_weights_on_other_images(demo_root: Path, other_images: Path, tmp_path: Path):
    first, log = pretrained(demo_root, tmp_path / "first", seed=1)
    assert "backbone from" not in log
    assert first["normalization"]["std"] == list(IMAGENET_STD)
    second, log = pretrained(other_images, tmp_path / "second", seed=2, init=str(tmp_path / "first/epoch_1.pth"))
    for part in ("backbone.", "projector.", "predictor."):
        assert same(first["state_dict"], second["state_dict"], part)
    assert "its boxes belong to the data of that run and are not used" in log
    assert len(second["boxes"]["counts"]) == 32
    assert second["boxes"]["fingerprint"] != first["boxes"]["fingerprint"]
    random, _ = pretrained(other_images, tmp_path / "random", seed=2, init="random")
    assert not same(first["state_dict"], random["state_dict"], "backbone.")


def test_images_are_normalized_as_weights_expect_also_when_the_run_is_resumed(demo_root: Path, tmp_path: Path):
    first, _ = pretrained(demo_root, tmp_path / "first")
    first["normalization"] = {name: list(values) for name, values in GRAY._asdict().items()}
    torch.save(first, tmp_path / "gray.pth")
    second, log = pretrained(demo_root, tmp_path / "second", init=str(tmp_path / "gray.pth"))
    assert "Images are normalized by mean 0.500, 0.500, 0.500 and std 0.250, 0.250, 0.250, as they expect" in log
    assert second["normalization"] == first["normalization"]
    third, log = pretrained(demo_root, tmp_path / "third", epochs=2, resume=str(tmp_path / "second/epoch_1.pth"))
    assert "backbone from" not in log
    assert third["normalization"] == first["normalization"]
    config, model = load_pretrained(tmp_path / "third/epoch_2.pth")
    assert tuple(config.model.data_preprocessor.mean) == GRAY.mean
    assert model.data_preprocessor.std.flatten().tolist() == list(GRAY.std)


@pytest.mark.parametrize(("channels", "mean"), [(3, (0.2, 0.4, 0.9)), (1, (0.5,)), (4, (0.5,) * 4)])
def test_images_of_other_channels_are_normalized_by_the_mean_over_the_weights(
    channels: int, mean: tuple[float, ...], demo_root: Path
):
    config = load_config(ROOT / "configs/simsiam_single_demo.py", demo_root, {"channels": channels})
    expected = Normalization((0.2, 0.4, 0.9), (0.25,) * 3)
    assert expect(config, expected) == (pytest.approx(mean), (0.25,) * channels)
    assert expect(config, None) == (pytest.approx(mean), (0.25,) * channels)


@pytest.mark.parametrize("load_from", [True, False])
def test_weights_that_do_not_fit_stop_the_run(load_from: bool, demo_root: Path, tmp_path: Path):
    torch.save(torchvision.models.squeezenet1_1().state_dict(), tmp_path / "other.pth")
    options = {"load_from": str(tmp_path / "other.pth")} if load_from else {}
    config = load_config(ROOT / "configs/simsiam_rcrop_demo.py", demo_root, options)
    runner = build_runner(config, tmp_path / "work", init=None if load_from else str(tmp_path / "other.pth"))
    with pytest.raises(ValueError, match=r"other\.pth does not fit the backbone, and nothing was loaded"):
        runner.train()
    assert not list((tmp_path / "work").glob("*.pth"))


def test_a_checkpoint_of_a_run_that_diverged_is_neither_resumed_nor_evaluated(demo_root: Path, tmp_path: Path):
    config = load_config(ROOT / "configs/simsiam_rcrop_demo.py", demo_root)
    runner = build_runner(config, tmp_path / "work")
    state = runner.model.state_dict()
    state["backbone.conv1.weight"][0] = torch.inf
    torch.save(dict(state_dict=state), tmp_path / "epoch_1.pth")
    message = r"epoch_1\.pth: 1 of \d+ weights are NaN or infinite, the first is backbone\.conv1\.weight: "
    with pytest.raises(ValueError, match=message):
        build_runner(config, tmp_path / "work", resume=str(tmp_path / "epoch_1.pth"))
    with pytest.raises(ValueError, match=message):
        load_pretrained(tmp_path / "epoch_1.pth", ROOT / "configs/simsiam_rcrop_demo.py", demo_root)


def test_a_run_may_start_from_weights_in_the_work_dir_that_it_moves_aside(demo_root: Path, tmp_path: Path):
    first, _ = pretrained(demo_root, tmp_path / "work")
    second, _ = pretrained(demo_root, tmp_path / "work", seed=3, init=str(tmp_path / "work/epoch_1.pth"))
    assert (tmp_path / "work.1/epoch_1.pth").exists()
    assert same(first["state_dict"], second["state_dict"], "backbone.")


@pytest.mark.parametrize("channels", [1, 5])
def test_channels_go_to_all_that_depends_on_them(tmp_path: Path, channels: int):
    config = load_config(ROOT / "configs/simsiam_region_demo.py", tmp_path, {"channels": channels})
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
    config = load_config(ROOT / "configs/simsiam_region_demo.py", tmp_path)
    assert "channels" not in config.train_dataloader.dataset
    assert "in_channels" not in config.model.backbone


def test_torchvisions_operations_refuse_other_channels_than_rgb_and_gray(tmp_path: Path):
    file = ROOT / "configs/simsiam_rcrop_demo.py"
    load_config(file, tmp_path, {"channels": 1, "augment": "cpu"})
    with pytest.raises(ValueError, match="takes images of 1 or 3 channels, not of 5: set augment='device'"):
        load_config(file, tmp_path, {"channels": 5, "augment": "cpu"})


def test_values_are_one_a_channel():
    assert one_a_channel([1, 2, 6], 3) == (1, 2, 6)
    assert one_a_channel([1, 2, 6], 1) == (3,)
    assert one_a_channel([4], 2) == (4, 4)


@pytest.mark.parametrize(
    ("name", "unused"),
    [("test_efficientnet", True), ("resnet18", False)],  # the first has a layer behind its last map
)
def test_ddp_is_told_of_weights_without_a_gradient_and_gets_synchronized_bn(
    monkeypatch: pytest.MonkeyPatch, name: str, unused: bool
):
    def wrap_model(self: Runner, wrapper: dict, model: nn.Module):
        return wrapper, model, self.cfg.sync_bn

    monkeypatch.setattr(Runner, "wrap_model", wrap_model)
    runner = object.__new__(PretrainRunner)
    runner._distributed, runner.cfg = True, Config(dict(sync_bn="torch"))
    model = SimCLR(dict(type=TimmBackbone, name=name), 8, 4, data_preprocessor=dict(type=ViewPreprocessor))
    wrapper, wrapped, sync_bn = runner.wrap_model(dict(type=MMDistributedDataParallel), model)
    assert wrapper["find_unused_parameters"] == runner.cfg.find_unused_parameters == unused
    norms = [module for module in wrapped.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    assert norms
    assert all(isinstance(norm, nn.SyncBatchNorm) for norm in norms)
    assert sync_bn is None, "MMEngine would convert them again"
    assert runner.cfg.sync_bn == "torch", "as the config that the run leaves"


def test_names_of_files_are_escaped_in_the_log(tmp_path: Path):
    runner = BriefRunner.__new__(BriefRunner)
    runner._log_dir, runner._timestamp, runner._experiment_name = str(tmp_path), "now", "escaped"
    runner.cfg = Config(dict(headline="on caf\udce9\x1b[31m", notes=["first\nsecond"]))
    logger = runner.build_logger()
    logger.warning("skipped %s", "\x1b[2Ja.jpg")
    lines = (tmp_path / "now.log").read_text().splitlines()
    assert [line.split(" - ")[-1] for line in lines] == [
        *(r"on caf\udce9\x1b[31m", "first", "second", r"skipped \x1b[2Ja.jpg")
    ]


@pytest.mark.parametrize(
    ("hooks", "warned"), [(dict(checkpoint=None), True), (dict(checkpoint=dict(type="X")), False), ({}, False)]
)
def test_a_run_that_keeps_no_weights_says_so(hooks: dict[str, Any], warned: bool, tmp_path: Path):
    runner = BriefRunner.__new__(BriefRunner)  # only to log
    runner._log_dir, runner._timestamp, runner._experiment_name = str(tmp_path), "now", f"weights_{warned}_{len(hooks)}"
    runner.cfg = Config(dict(headline="a run", default_hooks=hooks))
    runner.build_logger()
    log = (tmp_path / "now.log").read_text()
    assert ("No weights are kept, as default_hooks.checkpoint is None" in log) == warned
