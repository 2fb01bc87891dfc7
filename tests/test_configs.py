"""Every config loads, and holds what its paper or the released code published."""

from pathlib import Path

import pytest
import torch
from jobs import ROOT
from mmengine.optim import build_optim_wrapper
from mmengine.registry import HOOKS, MODELS

from ccrop.runner import load_config, read_config

CONFIGS = sorted(set((ROOT / "configs").glob("*.py")) - set((ROOT / "configs").glob("detector_*.py")))  # backbones
METHODS = {
    "simsiam": "SimSiam",
    "simclr": "SimCLR",
    "moco-v1": "MoCo",
    "moco-v2": "MoCo",
    "moco-v3": "MoCoV3",
    "byol": "BYOL",
    "swav": "SwAV",
}


def test_all_of_them_are_there():
    sets = ("cifar10", "cifar100", "coco", "coco_r18", "demo", "folder")
    expected = {f"simsiam_{crop}_{data}" for crop in ("rcrop", "ccrop", "simccrop") for data in sets}
    expected |= {f"{method}_ccrop-region_{data}" for method in ("simsiam", "simclr") for data in ("coco", "demo")}
    expected |= {"simsiam_ccrop-single_coco", "simsiam_ccrop_coco_imagenet-r50", "simsiam_ccrop_coco_imagenet-lite0"}
    expected |= {f"{method}_simccrop_cifar10" for method in METHODS}
    sets = ("cifar10", "cifar100", "coco", "imagenet", "imagenet200")
    expected |= {f"{method}_{crop}_{data}" for method in METHODS for crop in ("rcrop", "ccrop") for data in sets}
    assert {config.stem for config in CONFIGS} >= expected


@pytest.mark.parametrize("file", CONFIGS, ids=lambda file: file.stem)
def test_it_builds(file: Path, tmp_path: Path):
    narrow = {"model.backbone.base_channels": 8, "model.backbone.stem_channels": 8}
    config = load_config(file, tmp_path, {} if file.stem.endswith("lite0") else narrow)
    model = MODELS.build(config.model)
    method, crop, _ = file.stem.split("_", 2)
    assert type(model).__name__ == METHODS[method]
    assert method != "simsiam" or model.predictor[0].in_features == config.model.channels
    optimizer = build_optim_wrapper(model, config.optim_wrapper).optimizer
    learning = {id(parameter) for parameter in model.parameters() if parameter.requires_grad}
    assert {id(parameter) for group in optimizer.param_groups for parameter in group["params"]} == learning
    for hook in config.default_hooks.values():
        assert hook is None or HOOKS.build(hook)
    kind, localizer = {
        "rcrop": ("RandomCrop", None),
        "ccrop": ("ContrastiveCrop", "SingleObject"),
        "ccrop-region": ("ScenePair", "MultiObject"),
        "ccrop-single": ("ContrastiveCrop", "SingleObject"),
        "simccrop": ("ContrastiveCrop", "FixedBox"),
    }["ccrop-region" if "_ccrop_coco" in file.stem and not file.stem.endswith("r18") else crop]
    assert config.train_dataloader.dataset.pipeline[0].crop.type.__name__ == kind
    localization = config.default_hooks.get("localization")
    assert (localization and localization.localizer.type.__name__) == localizer
    assert config.train_dataloader.dataset.data_root == str(tmp_path)
    assert config.data_root == str(tmp_path)


@pytest.mark.parametrize("file", sorted((ROOT / "configs/ablations").glob("*.py")), ids=lambda file: file.stem)
def test_an_ablation_differs_from_simsiam_in_one_part(file: Path, tmp_path: Path):
    config = load_config(file, tmp_path)
    whole = load_config(ROOT / "configs/simsiam_rcrop_cifar10.py", tmp_path)
    parts = dict(
        no_stop_gradient="stop_gradient", no_predictor="predictor", fixed_predictor="predictor_training", no_bn="bn"
    )
    assert config.model.pop("without") == parts[file.stem]
    assert config.model.pop("type").__name__ == "SimSiamAblation"
    whole.model.pop("type")
    for name in ("model", "optim_wrapper", "param_scheduler", "train_cfg", "train_dataloader"):
        assert str(config[name]) == str(whole[name]), name


REGIONS = sorted(
    [
        *(ROOT / "configs").glob("*ccrop*_coco.py"),
        *(ROOT / "configs").glob("*region_demo.py"),
        *(ROOT / "configs/comparison").glob("*.py"),
    ]
)


@pytest.mark.parametrize("file", REGIONS, ids=lambda file: f"{file.parent.stem} {file.stem}")
def test_the_heads_fit_what_is_pooled_and_all_boxes_fit_into_a_sample(file: Path, tmp_path: Path):
    config = load_config(file, tmp_path)
    model = MODELS.build(config.model).eval()
    images = torch.rand(2, 3, 96, 96)
    with torch.no_grad():
        if model.regions is None:
            vectors = model.pooled(images)
        else:
            windows = torch.tensor([[[0.0, 0.0, 0.5, 0.5]]]).expand(2, 1, 4)
            vectors = model.regions.pool(model.extract_feat(images), windows)
            localization = HOOKS.build(config.default_hooks.localization)
            most = getattr(localization, "localizer", localization).max_boxes
            assert config.train_dataloader.dataset.pipeline[-1].max_boxes == most
        assert model.projector(vectors).shape[0] == 2


@pytest.mark.parametrize(("kind", "source"), [("r50", "torchvision:resnet50"), ("lite0", "timm:tf_efficientnet_lite0")])
def test_continued_pretraining_is_slower_and_looks_for_objects_from_the_start(kind: str, source: str, tmp_path: Path):
    config = load_config(ROOT / f"configs/simsiam_ccrop_coco_imagenet-{kind}.py", tmp_path)
    whole = load_config(ROOT / "configs/simsiam_ccrop_coco.py", tmp_path)
    assert config.init == source
    assert config.optim_wrapper.optimizer.lr == whole.optim_wrapper.optimizer.lr / 5
    schedule = HOOKS.build(config.default_hooks.localization).schedule(config.train_cfg.max_epochs)
    assert list(schedule) == [0, 25, 50, 75]
    model = MODELS.build(config.model)
    strides = model.backbone.strides
    assert [strides[level] for level in model.regions.levels] == [8, 16, 32]
    assert strides[model.distillation.level] == 16
    assert model.distillation.weight == 1
    assert "demo" not in config  # ImageNet weights do not fit the demo's network


@pytest.mark.parametrize("classes", [10, 100])
def test_cifar_is_as_released(classes: int, tmp_path: Path):
    config = load_config(ROOT / f"configs/simsiam_ccrop_cifar{classes}.py", tmp_path)
    batch = config.train_dataloader.batch_size
    assert batch == 512
    assert config.train_cfg.max_epochs == 500
    assert config.optim_wrapper.optimizer.lr * batch / config.auto_scale_lr.base_batch_size == 0.5
    assert config.optim_wrapper.optimizer.weight_decay == 1e-4
    assert config.optim_wrapper.paramwise_cfg.fix_predictor_lr
    assert (config.model.channels, config.model.bottleneck, config.model.num_layers) == (512, 128, 3)
    assert config.model.data_preprocessor.blur_prob == 0
    assert config.param_scheduler[0].eta_min_ratio == 0.1
    crop = config.train_dataloader.dataset.pipeline[0].crop
    assert crop.alpha == 0.1
    localization = HOOKS.build(config.default_hooks.localization)
    assert list(localization.schedule(500)) == [100, 200, 300, 400]
    assert localization.localizer.threshold == 0.1


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("data", ["imagenet", "imagenet200"])
def test_imagenet_is_as_released(method: str, data: str, tmp_path: Path):
    config = load_config(ROOT / f"configs/{method}_ccrop_{data}.py", tmp_path)
    assert config.train_cfg.max_epochs == 100
    localization = HOOKS.build(config.default_hooks.localization)
    assert list(localization.schedule(100)) == [20, 40, 60, 80]
    assert localization.localizer.threshold == 0.1
    step = config.train_dataloader.dataset.pipeline[0]
    assert step.crop.alpha == 0.6
    assert step.size == ([224] * 2 + [96] * 6 if method == "swav" else 224)
    assert config.default_data_root == f"data/{data}"


PUBLISHED = {  # method, learning rate for 256 images, and values of the model
    "simclr": ("Lars", 0.3, dict(temperature=0.1, out_channels=128)),
    "moco-v1": ("SGD", 0.03, dict(temperature=0.07, momentum=0.999, queue_size=65536, num_layers=1)),
    "moco-v2": ("SGD", 0.03, dict(temperature=0.2, momentum=0.999, queue_size=65536, num_layers=2)),
    "moco-v3": ("Lars", 0.6, dict(temperature=1.0, momentum=0.99, channels=4096, out_channels=256)),
    "byol": ("Lars", 0.45, dict(momentum=0.99, channels=4096, out_channels=256)),
    "swav": ("Lars", 0.6, dict(temperature=0.1, epsilon=0.05, num_prototypes=3000, queue_size=3840)),
    "simsiam": ("SGD", 0.05, dict(channels=2048, bottleneck=512, num_layers=3)),
}


@pytest.mark.parametrize("method", PUBLISHED)
def test_methods_have_their_papers_values(method: str, tmp_path: Path):
    optimizer, lr, values = PUBLISHED[method]
    config = load_config(ROOT / f"configs/{method}_rcrop_imagenet.py", tmp_path)
    assert config.optim_wrapper.optimizer.type.__name__ == optimizer
    assert config.optim_wrapper.optimizer.lr == lr
    assert {name: config.model[name] for name in values} == values
    assert config.optim_wrapper.paramwise_cfg.get("decay_vectors", True) == (
        method not in ("simclr", "byol", "moco-v3")
    )


def test_lars_warms_up_for_ten_epochs_and_falls_to_zero(tmp_path: Path):
    config = load_config(ROOT / "configs/simclr_rcrop_imagenet.py", tmp_path)
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    schedulers = []
    for settings in config.param_scheduler:
        kind, begin, end = settings.type, settings.get("begin", 0), settings.get("end", 100)
        others = {name: settings[name] for name in ("start_factor", "eta_min") if name in settings}
        schedulers.append(kind.build_iter_from_epoch(optimizer, begin=begin, end=end, epoch_length=5, **others))
    rates = []
    for _ in range(500):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        for scheduler in schedulers:
            scheduler.step()
    assert rates[0] == pytest.approx(1e-3)
    assert rates[49:51] == pytest.approx([1, 1])
    assert rates[:50] == sorted(rates[:50])
    assert rates[50:] == sorted(rates[50:], reverse=True)
    assert rates[275] == pytest.approx(0.5)
    assert rates[-1] < 1e-3


@pytest.mark.parametrize("version", ["moco-v1", "moco-v2"])
def test_moco_shuffles_or_synchronises_bn(version: str, tmp_path: Path):
    regions = ROOT / f"configs/{version}_ccrop_coco.py"
    assert load_config(regions, tmp_path).sync_bn == "torch"
    for file in set(CONFIGS) - {regions}:
        if file.stem.startswith(f"{version}_"):
            assert load_config(file, tmp_path).sync_bn is None, file.stem


def test_options_replace_nested_values(tmp_path: Path):
    config = load_config(ROOT / "configs/simsiam_ccrop_coco.py", tmp_path, {"default_hooks.knn.interval": 7})
    assert config.default_hooks.knn.interval == 7


def test_a_missing_config_is_named():
    with pytest.raises(FileNotFoundError, match="nothing"):
        load_config("nothing.py")


def test_white_reaches_every_set_of_images(tmp_path: Path):
    config = load_config(ROOT / "configs/simsiam_ccrop_coco.py", tmp_path, {"white": 4095})
    knn = config.default_hooks.knn
    assert [each.white for each in (config.train_dataloader.dataset, knn.bank, knn.queries)] == [4095] * 3


def test_an_option_may_name_what_only_the_runner_knows():
    config = read_config(ROOT / "configs/simsiam_ccrop_coco.py", {"load_from": "a.pth", "train_cfg.max_epochs": 3})
    assert (config.load_from, config.train_cfg.max_epochs) == ("a.pth", 3)
