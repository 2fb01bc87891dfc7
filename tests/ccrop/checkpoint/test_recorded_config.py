"""The config in a checkpoint: it comes back as it was, and what it names is of ccrop or its libraries."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from torch.optim import SGD

from ccrop.checkpoint.recorded_config import as_data, recorded_config
from ccrop.compat.checkpoint import UntrustedCheckpoint
from ccrop.models import SimSiam


def saved(folder: Path, config: object) -> Path:
    torch.save(dict(state_dict={}, config=config), folder / "epoch_1.pth")
    return folder / "epoch_1.pth"


def test_values_come_back_and_classes_by_their_names(tmp_path: Path):
    config = Config(
        dict(model=dict(type=SimSiam, widths=(8, [16, None])), optim_wrapper=dict(optimizer=dict(type=SGD, lr=0.5)))
    )
    config.data_root = tmp_path
    back = recorded_config(saved(tmp_path, as_data(config)))
    assert back.model == dict(type="ccrop.models.simsiam.SimSiam", widths=(8, [16, None]))
    assert back.optim_wrapper.optimizer == dict(type="torch.optim.sgd.SGD", lr=0.5)
    assert back.data_root == str(tmp_path)


def test_what_is_no_plain_value_is_named():
    with pytest.raises(TypeError, match=r"model\.weights\.0 is tensor\(1\.\)"):
        as_data(Config(dict(model=dict(weights=[torch.tensor(1.0)]))))


@pytest.mark.parametrize(
    ("config", "setting"),
    [
        (dict(model=dict(type="os.system", command="touch TOUCHED")), "model.type"),
        (dict(hooks=[dict(a=dict(type="subprocess.Popen"))]), "hooks.0.a.type"),
        (dict(optim_wrapper=dict(constructor="builtins.exec")), "optim_wrapper.constructor"),
        (dict(finetuning="antigravity"), "finetuning"),
        (dict(pretraining="my.module"), "pretraining"),
        (dict(custom_imports=dict(imports=["mmdet.models", "antigravity"])), "custom_imports"),
        (dict(custom_imports=dict(imports="this")), "custom_imports"),
        (dict(model=dict(type="mmengine.utils.install_package", package="x")), "model.type"),  # a function
        (dict(model=dict(type="ccrop.files.remove_partial", folder=".")), "model.type"),
        (dict(model=dict(type="ccrop.files.Path", folder=".")), "model.type"),  # of another library
        (dict(model=dict(type="ccrop.no.such.Class")), "model.type"),
        (dict(model=dict(type="torch.hub.load", model="x")), "model.type"),
    ],
)
def test_what_could_run_other_code_is_refused(tmp_path: Path, config: dict, setting: str):
    with pytest.raises(UntrustedCheckpoint, match=rf"epoch_1\.pth was not used: its config's {setting} is .* --config"):
        recorded_config(saved(tmp_path, config))


@pytest.mark.parametrize("config", [None, "print(1)", ["a"]])
def test_a_checkpoint_without_a_config_says_what_to_name(tmp_path: Path, config: object):
    with pytest.raises(ValueError, match=r"epoch_1\.pth holds no config, .*: name the config of its run by --config$"):
        recorded_config(saved(tmp_path, config))
