"""Learning rates of the backbone and of the rest."""

from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from torch import nn

from projects.detection_transfer.finetune import set_learning_rate


def test_the_backbone_gets_its_part_of_the_rate():
    config = Config(dict(optim_wrapper=dict(type="OptimWrapper", optimizer=dict(type="SGD", lr=1.0, weight_decay=0.1))))
    set_learning_rate(config, 0.2, 0.25)
    model = nn.ModuleDict(dict(backbone=nn.Conv2d(1, 1, 1), neck=nn.BatchNorm2d(1), head=nn.Linear(2, 2)))
    groups = build_optim_wrapper(model, config.optim_wrapper).optimizer.param_groups
    rates = {id(parameter): group["lr"] for group in groups for parameter in group["params"]}
    assert len(rates) == len(list(model.parameters()))
    for name, parameter in model.named_parameters():
        assert rates[id(parameter)] == (0.05 if name.startswith("backbone.") else 0.2)
    assert all(group["weight_decay"] == 0.1 for group in groups)
