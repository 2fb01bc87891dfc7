"""Learning rates and schedules, whatever the detector."""

import pytest
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from torch import nn

from ccrop.hooks import DivergedError
from ccrop.transfer import Transfer, set_iterations, set_learning_rate
from ccrop.transfer.finetuning import unmatched_keys


def config() -> Config:
    optimizer = dict(type="SGD", lr=1.0, weight_decay=0.1)
    return Config(dict(optim_wrapper=dict(type="OptimWrapper", optimizer=optimizer)))


def test_the_backbone_gets_its_part_of_the_rate():
    own = config()
    set_learning_rate(own, 0.2, 0.25)
    model = nn.ModuleDict(dict(backbone=nn.Conv2d(1, 1, 1), neck=nn.BatchNorm2d(1), head=nn.Linear(2, 2)))
    groups = build_optim_wrapper(model, own.optim_wrapper).optimizer.param_groups
    rates = {id(parameter): group["lr"] for group in groups for parameter in group["params"]}
    assert len(rates) == len(list(model.parameters()))
    for name, parameter in model.named_parameters():
        assert rates[id(parameter)] == (0.05 if name.startswith("backbone.") else 0.2)
    assert all(group["weight_decay"] == 0.1 for group in groups)


def test_settings_of_parameters_that_do_not_exist_are_found():
    own = config()
    model = nn.ModuleDict(dict(backbone=nn.Conv2d(1, 1, 1), head=nn.Linear(2, 2)))
    assert unmatched_keys(own, model) == []
    custom = {name: dict(lr_mult=0.1) for name in ("backbone", "bakcbone", "head.bias", "neck")}
    own.optim_wrapper.paramwise_cfg = dict(custom_keys=custom)
    assert unmatched_keys(own, model) == ["bakcbone", "neck"]


def test_the_search_takes_the_best_on_held_out_examples(tmp_path):
    asked = []

    def finetune(config, init, work_dir, labels, seed, held_out, resume):
        rate = config.optim_wrapper.optimizer.lr
        part = config.optim_wrapper.get("paramwise_cfg", {}).get("custom_keys", {}).get("backbone", {"lr_mult": 1})
        asked.append((rate, part["lr_mult"], init, labels, seed, held_out, resume))
        # training diverges at the highest rate, and no object is rare
        return dict(AP=float("nan") if rate == 2 else rate - part["lr_mult"] / 10, rare=float("nan"), common=-rate)

    own = config()
    transfer = Transfer(None, finetune, None, goal="AP", metrics=("AP",), shown=("AP",))
    assert transfer.search_learning_rate(own, "x.pth", tmp_path, (0.5, 1, 2), (0.1, 1), 0.3, 7) == (1, 0.1)
    assert [each[:2] for each in asked] == [(0.5, 0.1), (0.5, 1), (1, 0.1), (1, 1), (2, 0.1), (2, 1)]
    assert {each[2:] for each in asked} == {("x.pth", 0.3, 7, 0.2, None)}
    assert own.optim_wrapper.optimizer.lr == 1
    other = Transfer(None, finetune, None, goal="rare", fallbacks=("rare", "common", "AP"), metrics=(), shown=())
    assert other.search_learning_rate(own, "x.pth", tmp_path, (0.5, 1), resume=True) == (0.5, 1)
    assert [each[-1] for each in asked[-2:]] == ["auto", "auto"]


def test_the_search_goes_on_after_a_rate_at_which_training_diverges(tmp_path):
    def finetune(config, *_):
        if config.optim_wrapper.optimizer.lr > 1:
            raise DivergedError("DIVERGED by iteration 3")
        return dict(AP=config.optim_wrapper.optimizer.lr)

    transfer = Transfer(None, finetune, None, goal="AP", metrics=("AP",), shown=("AP",))
    assert transfer.search_learning_rate(config(), "x.pth", tmp_path, (4, 0.5, 1, 2)) == (1, 1)
    with pytest.raises(DivergedError):
        transfer.search_learning_rate(config(), "x.pth", tmp_path, (2, 4))


@pytest.mark.parametrize("iterations", [10, 300, 1])
def test_the_schedule_is_stretched_with_the_iterations(iterations: int):
    schedule = [dict(begin=0, end=20), dict(begin=20, end=100), dict(begin=0, milestones=[60, 80])]
    own = Config(dict(train_cfg=dict(max_iters=100, val_interval=101), param_scheduler=schedule))
    set_iterations(own, iterations)
    assert own.train_cfg == dict(max_iters=iterations, val_interval=iterations + 1)
    warm, cosine, steps = own.param_scheduler
    assert warm.end == max(round(0.2 * iterations), 1)
    assert cosine.begin == round(0.2 * iterations)
    assert cosine.end == max(iterations, cosine.begin + 1)
    assert steps.milestones == [round(0.6 * iterations), round(0.8 * iterations)]


@pytest.mark.parametrize("iterations", [0, -3])
def test_a_schedule_without_iterations_is_refused(iterations: int):
    with pytest.raises(ValueError, match=rf"at least one iteration, got {iterations}"):
        set_iterations(config(), iterations)
