"""Every config composes and builds, and holds what its paper published."""

import copy
from collections.abc import Iterator
from functools import cache
from itertools import product
from pathlib import Path

import pytest
import torch
from jobs import ROOT
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import HOOKS, MODELS, PARAM_SCHEDULERS

from ccrop import config_parts
from ccrop.config import load_config, read_config
from ccrop.schedule import fit_schedule

CONFIGS = ROOT / "configs"
METHODS = {
    "simsiam": "SimSiam",
    "simclr": "SimCLR",
    "moco-v1": "MoCo",
    "moco-v2": "MoCo",
    "moco-v3": "MoCoV3",
    "byol": "BYOL",
    "swav": "SwAV",
}
CROPS = {  # what draws the views, and what finds their boxes
    "rcrop": ("RandomCrop", None),
    "single": ("ContrastiveCrop", "SingleObject"),
    "simccrop": ("ContrastiveCrop", "FixedBox"),
    "objects": ("MultiObjectCrop", "MultiObject"),
    "region": ("ScenePair", "MultiObject"),
}
DATA = ("cifar10", "cifar100", "coco", "demo", "folder", "imagenet", "imagenet200")
VARIANTS = (
    "simsiam_{}_coco_r18",
    "simclr_{}_folder_r18",
    "simsiam_{}_coco_imagenet-r50",
    "simsiam_{}_coco_imagenet-lite0",
    "simsiam_{}_cifar10_ablation",
)
ALL = [
    *map("_".join, product(METHODS, CROPS, DATA)),
    *(name.format(crop) for name, crop in product(VARIANTS, CROPS)),
    "simsiam_single_cifar10_paper",
    "simsiam_single_cifar100_paper",
]
BUILT = [  # every method on every kind of view, and every crop on every data
    *map("_".join, product(METHODS, ("rcrop", "region"), ("coco", "demo"))),
    *(f"{method}_single_{data}" for method, data in product(METHODS, ("cifar10", "imagenet"))),
    *(f"simsiam_{crop}_{data}" for crop, data in product(CROPS, DATA)),
    *(name.format(crop) for name, crop in product(VARIANTS, CROPS)),
    "simsiam_ccrop_coco",
]


@pytest.fixture(autouse=True, scope="module")
def parsed_once() -> Iterator[None]:
    """Hundreds of configs are composed of two dozen files."""
    with pytest.MonkeyPatch.context() as patch:
        sections = cache(config_parts._sections)
        patch.setattr(config_parts, "_sections", lambda file: copy.deepcopy(sections(file)))
        yield


def test_all_parts_are_there():
    assert [set(config_parts.parts(kind)) for kind in ("methods", "crops", "data")] == [
        set(METHODS),
        set(CROPS),
        set(DATA),
    ]
    assert set(config_parts.parts("variants")) == {name.split("_")[-1] for name in ALL if name.count("_") == 3}


def test_there_are_at_most_70_config_files():
    files = [*ROOT.glob("configs/**/*.py"), *ROOT.glob("projects/*/configs/**/*.py")]
    assert len(files) <= 70


@pytest.mark.parametrize("name", dict.fromkeys(BUILT))
def test_it_builds(name: str, tmp_path: Path):
    narrow = {"model.backbone.base_channels": 8, "model.backbone.stem_channels": 8}
    config = load_config(CONFIGS / f"{name}.py", tmp_path, {} if name.endswith("lite0") else narrow)
    model = MODELS.build(config.model)
    method, crop, _ = name.split("_", 2)
    assert type(model).__name__ == ("SimSiamAblation" if name.endswith("ablation") else METHODS[method])
    assert (
        not hasattr(model, "predictor")
        or method != "simsiam"
        or (model.predictor[0].in_features == config.model.channels)
    )
    optimizer = build_optim_wrapper(model, config.optim_wrapper).optimizer
    learning = {id(parameter) for parameter in model.parameters() if parameter.requires_grad}
    assert {id(parameter) for group in optimizer.param_groups for parameter in group["params"]} == learning
    for hook in config.default_hooks.values():
        assert hook is None or HOOKS.build(hook)
    kind, localizer = CROPS["region" if crop == "ccrop" else crop]
    assert config.train_dataloader.dataset.pipeline[0].crop.type.__name__ == kind
    localization = config.default_hooks.get("localization")
    assert (localization and localization.localizer.type.__name__) == localizer
    assert config.train_dataloader.dataset.data_root == str(tmp_path)
    assert config.data_root == str(tmp_path)


def rates(config: Config, epochs: int, steps: int = 5) -> list[float]:
    """Learning rates of all steps of a run, as a fraction of the config's."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    schedulers = []
    for settings in fit_schedule(config.param_scheduler, epochs):
        kind, by_iteration = settings.pop("type"), settings.pop("convert_to_iter_based", False)
        build = PARAM_SCHEDULERS.get(kind) if isinstance(kind, str) else kind
        if by_iteration:
            schedulers.append((build.build_iter_from_epoch(optimizer, epoch_length=steps, **settings), 1))
        else:
            schedulers.append((build(optimizer, **settings), steps))
    found = []
    for step in range(1, epochs * steps + 1):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        for scheduler, every in schedulers:
            if step % every == 0:
                scheduler.step()
    return found


@pytest.mark.parametrize("method", METHODS)
def test_every_combination_of_a_method_composes_and_decays_in_runs_of_any_length(method: str):
    names = [name for name in ALL if name.startswith(f"{method}_")]
    assert len(names) >= len(CROPS) * len(DATA)
    for name in names:
        config = read_config(CONFIGS / f"{name}.py")
        assert "adjustments" not in config
        for epochs in (1, 2, 10):
            found = rates(config, epochs)
            assert all(rate > 0 for rate in found), name
            assert epochs == 1 or found[-1] < 0.6 * max(found), name
            assert epochs < 10 or max(found) == pytest.approx(1), name


def test_all_methods_have_the_same_views_on_the_same_data():
    """A comparison of methods varies the method alone; SwAV's small views are part of it."""
    for crop, data in product(CROPS, DATA):
        configs = [read_config(CONFIGS / f"{method}_{crop}_{data}.py") for method in METHODS if method != "swav"]
        for name in ("train_dataloader", "train_cfg"):
            assert all(config[name] == configs[0][name] for config in configs), (crop, data)


def test_a_complete_config_is_what_its_parts_give():
    complete = read_config(CONFIGS / "simsiam_ccrop_coco.py")
    assert complete.to_dict() == read_config(CONFIGS / "simsiam_region_coco.py").to_dict()
    complete = read_config(CONFIGS / "simsiam_single_cifar10.py").to_dict()
    assert complete == config_parts.compose(CONFIGS / "simsiam_single_cifar10.py").to_dict()
    assert "region" in config_parts.summary(CONFIGS / "simsiam_ccrop_coco.py")


def test_simclr_has_one_recipe_on_windows(tmp_path: Path):
    config = load_config(CONFIGS / "simclr_region_coco.py", tmp_path)
    simsiam = load_config(CONFIGS / "simsiam_ccrop_coco.py", tmp_path)
    assert config.model.temperature == 0.2
    assert config.optim_wrapper.optimizer == simsiam.optim_wrapper.optimizer
    assert str(config.param_scheduler) == str(simsiam.param_scheduler)


@pytest.mark.parametrize("data", ["coco_r18", "folder_r18"])
def test_some_hundred_images_get_the_recipe_of_many_objects_at_a_rate_for_few_steps(data: str, tmp_path: Path):
    config = load_config(CONFIGS / f"simsiam_region_{data}.py", tmp_path)
    assert config.model.backbone.depth == 18
    assert config.optim_wrapper.optimizer.lr == 3.2
    assert config.train_dataloader.batch_size == 16
    step = config.train_dataloader.dataset.pipeline[0]
    assert step.size == step.crop.side == 160
    assert ("roi_knn" in config.default_hooks) == (data == "coco_r18")


def test_an_ablation_differs_from_simsiam_in_one_part(tmp_path: Path):
    for part in ("stop_gradient", "predictor", "predictor_training", "bn"):
        options = {"model.without": part}
        config = load_config(CONFIGS / "simsiam_rcrop_cifar10_ablation.py", tmp_path, options)
        whole = load_config(CONFIGS / "simsiam_rcrop_cifar10.py", tmp_path)
        MODELS.build(config.model)
        assert config.model.pop("without") == part
        assert config.model.pop("type").__name__ == "SimSiamAblation"
        whole.model.pop("type")
        for name in ("model", "optim_wrapper", "param_scheduler", "train_cfg", "train_dataloader"):
            assert str(config[name]) == str(whole[name]), name


REGIONS = [
    CONFIGS / "simsiam_ccrop_coco.py",
    CONFIGS / "simsiam_region_cifar10.py",
    *(CONFIGS / f"{method}_region_{data}.py" for method, data in product(METHODS, ("demo", "folder_r18"))),
    *sorted((CONFIGS / "comparison").glob("*.py")),
]


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
    config = load_config(CONFIGS / f"simsiam_region_coco_imagenet-{kind}.py", tmp_path)
    whole = load_config(CONFIGS / "simsiam_ccrop_coco.py", tmp_path)
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


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("data", ["imagenet", "imagenet200"])
def test_all_methods_have_the_released_boxes_on_imagenet(method: str, data: str, tmp_path: Path):
    config = load_config(CONFIGS / f"{method}_single_{data}.py", tmp_path)
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
    config = load_config(CONFIGS / f"{method}_rcrop_imagenet.py", tmp_path)
    assert config.optim_wrapper.optimizer.type.__name__ == optimizer
    assert config.optim_wrapper.optimizer.lr == lr
    assert {name: config.model[name] for name in values} == values
    assert config.optim_wrapper.paramwise_cfg.get("decay_vectors", True) == (
        method not in ("simclr", "byol", "moco-v3")
    )


@pytest.mark.parametrize(("data", "epochs", "warmup"), [("imagenet", 100, 10), ("coco", 200, 10), ("imagenet", 20, 2)])
def test_lars_warms_up_and_falls_to_zero(data: str, epochs: int, warmup: int):
    found = rates(read_config(CONFIGS / f"simclr_rcrop_{data}.py"), epochs)
    top = 5 * warmup
    assert found[0] == pytest.approx(1e-3)
    assert found[top - 1 : top + 1] == pytest.approx([1, 1])
    assert found[:top] == sorted(found[:top])
    assert found[top:] == sorted(found[top:], reverse=True)
    assert found[(top + 5 * epochs) // 2] == pytest.approx(0.5)
    assert found[-1] < 1e-2


def test_moco_v1_decays_after_60_and_80_percent_of_any_run():
    config = read_config(CONFIGS / "moco-v1_rcrop_coco.py")
    for epochs in (5, 10, 200):
        for epoch, rate in enumerate(rates(config, epochs, 1)):
            assert rate == pytest.approx(1 if epoch < 0.6 * epochs else 0.1 if epoch < 0.8 * epochs else 0.01)


@pytest.mark.parametrize("version", ["moco-v1", "moco-v2"])
def test_moco_shuffles_or_synchronises_bn(version: str):
    for crop, data in product(CROPS, DATA):
        config = read_config(CONFIGS / f"{version}_{crop}_{data}.py")
        assert config.sync_bn == ("torch" if crop == "region" else None), (crop, data)


def test_options_replace_nested_values(tmp_path: Path):
    config = load_config(CONFIGS / "simsiam_ccrop_coco.py", tmp_path, {"default_hooks.knn.interval": 7})
    assert config.default_hooks.knn.interval == 7


def test_a_missing_config_is_named():
    with pytest.raises(FileNotFoundError, match="nothing"):
        load_config("nothing.py")


def test_a_composed_config_can_be_read_again_where_it_is_dumped(tmp_path: Path):
    config = read_config(CONFIGS / "byol_region_coco_r18.py")
    config.dump(tmp_path / "dumped.py")
    assert read_config(tmp_path / "dumped.py").to_dict() == config.to_dict()


def test_white_reaches_every_set_of_images(tmp_path: Path):
    config = load_config(ROOT / "configs/simsiam_ccrop_coco.py", tmp_path, {"white": 4095})
    knn = config.default_hooks.knn
    assert [each.white for each in (config.train_dataloader.dataset, knn.bank, knn.queries)] == [4095] * 3


def test_an_option_may_name_what_only_the_runner_knows():
    config = read_config(CONFIGS / "simsiam_ccrop_coco.py", {"load_from": "a.pth", "train_cfg.max_epochs": 3})
    assert (config.load_from, config.train_cfg.max_epochs) == ("a.pth", 3)
