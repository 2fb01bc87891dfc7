"""The config in a checkpoint: it comes back as it was, and what it names is of ccrop or its libraries."""

import pickle
from pathlib import Path

import mmengine
import pytest
import torch
from mmengine.config import Config
from mmengine.runner import CheckpointLoader
from torch.optim import SGD

from ccrop.checkpoint.recorded_config import as_data, recorded_config, recorded_settings
from ccrop.compat.safe_checkpoint import UntrustedCheckpoint
from ccrop.config import load_config
from ccrop.datasets import MissingData
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
        (dict(model=dict(type="antigravity")), "model.type"),  # a module, which a registry would import
        (dict(model=dict(type="mmengine.logging.MMLogger", log_file="x")), "model.type"),  # writes the file
        (dict(model=dict(type="mmengine.dataset.BaseDataset", ann_file="x.pkl")), "model.type"),
        (dict(model=dict(type="mmdet.apis.DetInferencer", model="x.py")), "model.type"),
        (dict(model=dict(type="ccrop.datasets.demo.make_demo_set", root="x")), "model.type"),
        (dict(model=dict(type="mmengine.dataset.default_collate")), "model.type"),
        (dict(default_scope="antigravity"), "default_scope"),
        (dict(model=dict(_scope_="antigravity")), "model._scope_"),
        (dict(custom_imports=dict(allow_failed_imports=True)), "custom_imports"),
        (dict(custom_imports="this"), "custom_imports"),
    ],
)
def test_what_could_run_other_code_is_refused(tmp_path: Path, config: dict, setting: str):
    with pytest.raises(UntrustedCheckpoint, match=rf"epoch_1\.pth was not used: its config's {setting} is .* --config"):
        recorded_config(saved(tmp_path, config))


def test_what_configs_name_is_taken(tmp_path: Path):
    config = dict(
        model=dict(type="SimSiam", backbone=dict(type="ccrop.backbones.ResNet", depth=18)),
        demo_set=dict(type="ccrop.datasets.demo.make_demo_set", root="x"),
        train_dataloader=dict(collate_fn=dict(type="mmengine.dataset.default_collate")),
        optim_wrapper=dict(type="mmengine.optim.OptimWrapper", optimizer=dict(type="torch.optim.SGD")),
        default_scope="mmdet",
    )
    assert recorded_config(saved(tmp_path, config)).to_dict() == config


def test_neither_pickles_nor_other_hosts_are_read_afterwards(tmp_path: Path):
    recorded_config(saved(tmp_path, {}))
    (tmp_path / "x.pkl").write_bytes(pickle.dumps(dict(a=1)))
    with pytest.raises(TypeError, match="pkl"):
        mmengine.load(tmp_path / "x.pkl")
    with pytest.raises(UntrustedCheckpoint, match="download it, and pass the file"):
        CheckpointLoader.load_checkpoint("http://127.0.0.1:9/x.pth")


def test_the_demo_that_a_checkpoint_names_is_not_run(tmp_path: Path):
    (tmp_path / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    dataset = dict(type="ccrop.datasets.ImageFolder", data_root=None)
    config = dict(augment="device", demo="evil.py", experiment="x", train_dataloader=dict(dataset=dataset))
    with pytest.raises(MissingData):
        load_config(saved(tmp_path, config))
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("config", [None, "print(1)", ["a"]])
def test_a_checkpoint_without_a_config_says_what_to_name(tmp_path: Path, config: object):
    with pytest.raises(
        ValueError, match=r"epoch_1\.pth holds no config \(.*: pass the config of its run with --config$"
    ):
        recorded_config(saved(tmp_path, config))


def test_a_file_of_one_list_holds_no_config(tmp_path: Path):
    torch.save([torch.zeros(2)], tmp_path / "list.pth")
    with pytest.raises(ValueError, match=r"list\.pth holds no config \(.*: pass the config of its run with --config$"):
        recorded_settings(tmp_path / "list.pth")
