"""Options over configs: every one is read, and takes a value of its kind."""

import argparse
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import pytest
import torch
from jobs import ROOT
from mmengine.config import Config
from mmengine.registry import OPTIMIZERS
from mmengine.runner import Runner

from ccrop.cli import OptionsAction
from ccrop.compat.visualizer import LazyVisualizer
from ccrop.config import read_config
from ccrop.config_options import UnknownOption, check_options, check_sections, options_explained
from ccrop.localization import FixedBox

PRETRAINING = ROOT / "configs/simsiam_ccrop_coco.py"
DETECTOR = ROOT / "projects/detection_transfer/configs/faster-rcnn_r18_fpn_small.py"
TILES = ROOT / "projects/detection_transfer/configs/tiles_r18.py"
SWEEPS = ROOT / "projects/lidar_bev/configs/centerpoint_pillar_demo.py"


class Open:
    """Hands on what it does not know."""

    def __init__(self, interval: int = 1, **kwargs: object) -> None: ...


class Typed(Open):
    def __init__(
        self,
        size: int | Sequence[int] = 3,
        share: float = 0.5,
        number: int = 1,
        on: bool = True,
        kind: Literal["a", "b"] = "a",
        name: str | None = None,
        free=3,
        **kwargs: object,
    ) -> None:
        super().__init__(**kwargs)


@pytest.mark.parametrize(
    ("config", "option", "reason"),
    [
        (PRETRAINING, "optim_wraper.optimizer.lr", "simsiam_ccrop_coco.py has no optim_wraper; did you mean optim_wra"),
        (PRETRAINING, "zzz", "simsiam_ccrop_coco.py has no zzz; there are "),
        (PRETRAINING, "Model.channels", "did you mean model?"),
        (PRETRAINING, "optim_wrapper.paramwise_cfg.fix_predictor", "did you mean fix_predictor_lr?"),
        (PRETRAINING, "auto_scale_lr.base_batch", "did you mean base_batch_size?"),
        (PRETRAINING, "default_hooks.helth.threshold", "default_hooks has no helth; did you mean health?"),
        (PRETRAINING, "default_hooks.checkpoint.intervall", "takes no intervall; did you mean interval?"),
        (
            PRETRAINING,
            "train_dataloader.dataset.pipeline.7.size",
            "length 1, indexed from 0, and has no 7",
        ),
        (
            PRETRAINING,
            "train_dataloader.dataset.pipeline.x.size",
            "length 1, indexed from 0, and has no x",
        ),
        (PRETRAINING, "train_cfg.max_epoch", "EpochBasedTrainLoop takes no max_epoch; did you mean max_epochs?"),
        (PRETRAINING, "channels.number", "channels is 3, which has no number"),
        (PRETRAINING, "env_cfg.cudnn", "env_cfg has no cudnn; there are "),
        (DETECTOR, "model.test_cfg.rcnn.score_thrs", "did you mean score_thr?"),
        (DETECTOR, "optim_wrapper.clip_grad.max_nrm", "did you mean max_norm?"),
        (DETECTOR, "train_dataloader.batch", "did you mean batch_size?"),
        (TILES, "optim_wrapper.optimizer.momentun", "Muon takes no momentun; did you mean momentum?"),
        (SWEEPS, "model.neck", "CenterPoint takes no neck; there are backbone, "),
        (PRETRAINING, "model.zzz", "SimSiam takes no zzz; there are backbone, bottleneck, channels, "),
    ],
)
def test_what_nothing_reads_is_refused(config: Path, option: str, reason: str):
    with pytest.raises(UnknownOption) as raised:
        read_config(config, {option: 1})
    assert f"option {option}" in str(raised.value)
    assert reason in str(raised.value)


@pytest.mark.parametrize(
    ("config", "option", "place"),
    [
        (TILES, "train_pipeline.2.object_prob", "train_pipeline to train_dataloader.dataset.pipeline; set it there"),
        (SWEEPS, "grid.cell", "grid to model.backbone.grid; set it there"),
        (SWEEPS, "classes", "classes to model.classes, train_dataloader.dataset.classes; set it there"),
    ],
)
def test_a_variable_that_the_config_has_copied_is_refused(config: Path, option: str, place: str):
    with pytest.raises(UnknownOption, match=rf"{option} would have no effect: \S+ has copied {place}"):
        read_config(config, {option: 1})


@pytest.mark.parametrize(
    ("config", "option", "value", "kind"),
    [
        (PRETRAINING, "train_cfg.max_epochs", 1.5, "a whole number such as 200, not 1.5"),
        (PRETRAINING, "optim_wrapper.optimizer.lr", [0, 5], "such as 0.05, not [0, 5] (write decimals with a point)"),
        (PRETRAINING, "optim_wrapper.optimizer.lr", "fast", "such as 0.05, not 'fast'"),
        (PRETRAINING, "train_dataloader.batch_size", [3, 4], "a number such as 256, not [3, 4]"),
        (PRETRAINING, "train_dataloader.num_workers", "many", "a number such as 12, not 'many'"),
        (PRETRAINING, "channels", "three", "a number such as 3, not 'three'"),
        (PRETRAINING, "model.backbone.out_indices", 7, "Sequence[int] | None such as (0, 1, 2, 3), not 7"),
        (DETECTOR, "optim_wrapper.optimizer.lr", [0, 5], "(write decimals with a point)"),
        (DETECTOR, "model.test_cfg.rcnn.score_thr", "high", "a number such as 0.05, not 'high'"),
        (DETECTOR, "auto_scale_lr.enable", "yes", "True or False such as True, not 'yes'"),
    ],
)
def test_a_value_of_another_kind_is_refused(config: Path, option: str, value: object, kind: str):
    with pytest.raises(UnknownOption) as raised:
        read_config(config, {option: value})
    assert str(raised.value).startswith(f"the option {option} takes ")
    assert kind in str(raised.value)


def test_a_group_of_settings_is_not_replaced_by_a_value():
    with pytest.raises(UnknownOption, match="the option model is a group of settings: set one of its members, type, "):
        read_config(PRETRAINING, {"model": 3})


@pytest.mark.parametrize(
    ("name", "fitting", "others"),
    [
        ("size", [4, [4, 5]], [0.5, "4", True]),
        ("share", [1, 0.25], ["1", [1], False]),
        ("number", [4], [4.0, "4", [4], True]),
        ("on", [True, False], [2, "no", 0.5]),
        ("kind", ["a", "b"], ["c", 1]),
        ("name", ["x", 2017], [["x"]]),
        ("free", [1, 2.5], ["x", [1]]),  # no annotation: a number, as it was before
        ("interval", [2], [0.5]),  # of the base class
    ],
)
def test_annotations_say_what_a_setting_takes(name: str, fitting: list, others: list):
    config = Config(dict(part=dict(type=Typed, free=3)))
    for value in [*fitting, None]:
        check_options("c.py", config, {f"part.{name}": value})
    for value in others:
        with pytest.raises(UnknownOption, match=f"the option part.{name} takes "):
            check_options("c.py", config, {f"part.{name}": value})


def test_what_a_class_hands_on_is_let_through_unless_it_is_almost_a_name():
    config = Config(dict(part=dict(type=Open)))
    check_options("c.py", config, {"part.something_else": 1})
    with pytest.raises(UnknownOption, match="did you mean interval"):
        check_options("c.py", config, {"part.intervl": 1})


@pytest.mark.parametrize(
    "options",
    [
        {"load_from": "a.pth", "train_cfg.max_epochs": 3},
        {"default_hooks.mine.type": "EMAHook", "default_hooks.mine.momentum": 0.1},
        {"optim_wrapper.accumulative_counts": 2},
        {"train_dataloader.dataset.subset": 8, "train_dataloader.dataset.pipeline.0.size": 64},
        {"model.num_layers": 2, "model.temperature": 0.2, "model.type": "ccrop.models.SimCLR"},
        {"env_cfg.mp_cfg.mp_start_method": "spawn"},
    ],
)
def test_what_is_read_may_be_set(options: dict[str, object]):
    config = read_config(PRETRAINING, options)
    for option, value in options.items():
        node = config
        for name in option.split("."):
            node = node[int(name) if name.isdecimal() else name]
        assert node == value


def test_the_rate_of_a_part_of_a_detector_may_be_set():
    option = "optim_wrapper.paramwise_cfg.custom_keys.backbone.lr_mult"
    config = read_config(DETECTOR, {option: 0.1})
    assert config.optim_wrapper.paramwise_cfg.custom_keys.backbone.lr_mult == 0.1


@pytest.mark.parametrize(
    ("option", "value", "reason"),
    [
        ("optim_wrapper.paramwise_cfg.norm_decay_mul", 0.0, "nothing reads {}; did you mean norm_decay_mult?"),
        ("optim_wrapper.paramwise_cfg.custom_keys.backbone.lrmult", 0.1, "nothing reads {}; did you mean lr_mult?"),
        ("optim_wrapper.clip_grad.max_norm", -3, "{} must be positive, got -3"),
        ("optim_wrapper.clip_grad.max_norm", 0, "{} must be positive, got 0"),
        ("optim_wrapper.optimizer.lr", -1, "{} must be a number of at least 0, got -1"),
        ("optim_wrapper.optimizer.lr", float("inf"), "{} must be a number of at least 0, got inf"),
        ("optim_wrapper.optimizer.weight_decay", -1e-4, "{} must be a number of at least 0, got -0.0001"),
        ("optim_wrapper.optimizer.momentum", 1.5, "{} must be a number from 0 to less than 1, got 1.5"),
        ("optim_wrapper.optimizer.betas", (0.9, 1.0), "{} must be numbers from 0 to less than 1, got (0.9, 1.0)"),
        ("auto_scale_lr.base_batch_size", -256, "{} must be positive, got -256"),
        ("auto_scale_lr.base_batch_size", 0, "{} must be positive, got 0"),
    ],
)
def test_what_would_train_another_way_without_a_word_is_refused(option: str, value: float, reason: str):
    with pytest.raises(ValueError, match=re.escape(reason.format(option))):
        read_config(TILES, {option: value})


def test_a_part_of_the_parameters_may_have_any_setting_of_its_optimizer():
    settings = dict(lr_mult=0.1, decay_mult=0.0, betas=(0.9, 0.99))
    wrapper = dict(paramwise_cfg=dict(custom_keys=dict(neck=settings), norm_decay_mult=0.0), clip_grad=dict(max_norm=1))
    check_sections("c.py", Config(dict(optim_wrapper=wrapper)))


@pytest.mark.parametrize("section", ["model", "model.backbone", "optim_wrapper", "param_scheduler", "train_cfg"])
def test_what_every_run_needs_cannot_be_left_out(section: str):
    with pytest.raises(UnknownOption, match=f"the option {section} cannot be None"):
        read_config(TILES, {section: None})


def test_nan_is_no_value():
    with pytest.raises(UnknownOption, match=r"the option optim_wrapper.optimizer.lr is not a number \(nan\)"):
        read_config(TILES, {"optim_wrapper.optimizer.lr": float("nan")})


def test_a_section_is_replaced_as_a_whole():
    own = {"_delete_": True, "type": "AdamW", "lr": 1e-3}
    config = read_config(TILES, {f"optim_wrapper.optimizer.{name}": value for name, value in own.items()})
    assert config.optim_wrapper.optimizer == dict(type="AdamW", lr=1e-3)
    del own["lr"]
    with pytest.raises(ValueError, match=r"the learning rate is missing: set optim_wrapper.optimizer.lr"):
        read_config(TILES, {f"optim_wrapper.optimizer.{name}": value for name, value in own.items()})


def test_sections_of_a_config_file_are_checked_too():
    check_sections("c.py", Config(dict(auto_scale_lr=dict(enable=True, base_batch_size=8))))
    with pytest.raises(ValueError, match=r"c.py: nothing reads randomness.sed; did you mean seed\?"):
        check_sections("c.py", Config(dict(randomness=dict(sed=3))))


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (dict(lr="0.1"), "optim_wrapper.optimizer.lr must be a number of at least 0, got '0.1'"),
        (
            dict(lr=0.1, momentum=True),
            "optim_wrapper.optimizer.momentum must be a number from 0 to less than 1, got True",
        ),
        (dict(lr=0.1, betas=0.9), "optim_wrapper.optimizer.betas must be numbers from 0 to less than 1, got 0.9"),
        (dict(lr=0.1, betas=[0.9]), "optim_wrapper.optimizer.betas must be numbers from 0 to less than 1, got [0.9]"),
    ],
)
def test_numbers_of_an_optimizer_in_a_config_file_are_checked_too(wrong: dict[str, object], reason: str):
    with pytest.raises(ValueError, match=re.escape(f"c.py: {reason}")):
        check_sections("c.py", Config(dict(optim_wrapper=dict(optimizer=wrong))))
    right = dict(lr=0, weight_decay=0.0, momentum=0.0, betas=(0.0, 0.9, 0.999), eps=(None, 1e-3))
    check_sections("c.py", Config(dict(optim_wrapper=dict(optimizer=right))))


@pytest.mark.parametrize("options", [None, {}, {"model.bottlenec": 3, "default_hooks.knn.channels": 3}])
def test_an_error_of_no_option_stays_as_it_is(options: dict[str, int] | None):
    with pytest.raises(TypeError, match="'bottleneck'") as raised, options_explained(options):
        FixedBox(bottleneck=3)
    assert not isinstance(raised.value, UnknownOption)


def test_a_value_of_a_kind_that_a_library_does_not_take_is_that_of_the_option():
    reason = "vis_backends must be a list of dicts or a list of BaseBackend instances"
    with (
        pytest.raises(UnknownOption, match=rf"^the option visualizer\.vis_backends cannot be 'Local': {reason}"),
        options_explained({"visualizer.vis_backends": "Local"}),
    ):
        LazyVisualizer(vis_backends="Local", save_dir="work")


def test_a_type_that_does_not_exist_is_that_of_the_option():
    with (
        pytest.raises(UnknownOption, match=r"the option a\.type names an unknown type, NoSuch"),
        options_explained({"a.type": "NoSuch"}),
    ):
        raise KeyError("NoSuch is not in the mmengine::model registry. Please check")


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("timm.optim.Moun", "the option optimizer.type names an unknown type, timm.optim.Moun"),
        ("AdamW", "'momentum', which is set for the type before it: add optimizer._delete_=True and all settings that"),
    ],
)
def test_a_type_that_does_not_fit_its_settings_is_that_of_the_option(kind: str, reason: str):
    settings = dict(type=kind, params=[torch.nn.Parameter(torch.zeros(1))], momentum=0.9)
    with pytest.raises(UnknownOption, match=re.escape(reason)), options_explained({"optimizer.type": kind}):
        OPTIMIZERS.build(settings)


def test_a_text_that_a_library_refuses_is_that_of_the_option():
    options = {"a.type": "Muon", "optimizer.adjust_lr_fn": "bogus"}
    with (
        pytest.raises(UnknownOption, match=r"the option optimizer\.adjust_lr_fn cannot be 'bogus': Invalid scaling"),
        options_explained(options),
    ):
        raise AssertionError('Invalid scaling function "bogus"')
    with pytest.raises(AssertionError, match="bogusness"), options_explained(options):
        raise AssertionError("bogusness")


@pytest.mark.parametrize(("text", "expected"), [("a.b=1", {"a.b": 1}), ("a=x=y", {"a": "x=y"})])
def test_options_of_the_command_line(text: str, expected: dict[str, object]):
    parser = argparse.ArgumentParser()
    parser.add_argument("--cfg-options", nargs="+", action=OptionsAction)
    assert parser.parse_args(["--cfg-options", text]).cfg_options == expected


@pytest.mark.parametrize("text", ["train_cfg.max_epochs", "=3"])
def test_an_option_without_name_or_value_is_an_error_of_the_command_line(text: str, capsys: pytest.CaptureFixture):
    parser = argparse.ArgumentParser()
    parser.add_argument("--cfg-options", nargs="+", action=OptionsAction)
    with pytest.raises(SystemExit):
        parser.parse_args(["--cfg-options", text])
    assert f"argument --cfg-options: {text} is not of the form KEY=VALUE" in capsys.readouterr().err


def test_a_bracket_that_does_not_close_is_an_error_of_the_command_line(capsys: pytest.CaptureFixture):
    parser = argparse.ArgumentParser()
    parser.add_argument("--cfg-options", nargs="+", action=OptionsAction)
    with pytest.raises(SystemExit):
        parser.parse_args(["--cfg-options", "model.test_cfg.tile=[1,2"])
    assert "argument --cfg-options: Imbalanced brackets exist in [1,2" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["gallery", "localization"])
def test_none_disables_a_hook(name: str):
    expected = [hook for other, hook in read_config(PRETRAINING).default_hooks.items() if hook and other != name]
    registered: list[object] = []
    runner = Runner.__new__(Runner)  # only to register hooks
    runner.register_hook = registered.append
    runner.register_default_hooks(read_config(PRETRAINING, {f"default_hooks.{name}": None}).default_hooks)
    own = [hook for hook in registered if "ccrop" in str(hook["type"])]
    assert own == [hook for hook in expected if "ccrop" in str(hook["type"])]


@pytest.mark.parametrize(
    ("option", "value", "error"),
    [
        ("model.channels", -1, RuntimeError("Trying to create tensor with negative dimension -1: [-1, 64]")),
        ("pipeline.0.size", -3, RuntimeError("should be greater than 0, but got output (H: -3, W: -3)")),
        ("optim_wrapper.accumulative_counts", 0, AssertionError("_accumulative_counts at least greater than 1")),
        ("pipeline.0.kind", "zero", AssertionError("kind must be one of a, b, got zero")),
    ],
)
def test_a_value_that_a_library_refuses_is_reported_with_its_option(option: str, value: object, error: Exception):
    options = {"train_dataloader.num_workers": 0, "model.other": 3, option: value}
    refused = re.escape(f"the option {option} cannot be {value!r}: {error}")
    with pytest.raises(UnknownOption, match=refused), options_explained(options):
        raise error


@pytest.mark.parametrize("text", ["CUDA error on device 0", "expected -12 or 0.5, got -1.5"])
def test_an_error_that_is_not_about_an_option_remains(text: str):
    options = {"train_dataloader.num_workers": 0, "keep": -1, "model.channels": -2, "kind": "error"}
    with pytest.raises(RuntimeError, match=re.escape(text)), options_explained(options):
        raise RuntimeError(text)
