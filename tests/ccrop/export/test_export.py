import importlib.util
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from ccrop.checkpoint.resnet import ResNetArchitecture
from ccrop.export import export_backbone

TOOL = Path(__file__).parents[3] / "tools" / "export.py"


@pytest.fixture
def checkpoint(tmp_path):
    state_dict = {
        f"backbone.{name}": torch.rand(shape) for name, shape in ResNetArchitecture(50, width=8).shapes().items()
    }
    path = tmp_path / "last.pth"
    torch.save({"state_dict": state_dict | {"projector.0.weight": torch.zeros(2)}}, path)
    return path


@pytest.fixture
def main():
    spec = importlib.util.spec_from_file_location("export_tool", TOOL)
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    return tool.main


def test_returns_what_it_exported(checkpoint, tmp_path):
    out = tmp_path / "out.pth"
    assert export_backbone(checkpoint, "mmdet", out) == "ResNet-50"
    exported = torch.load(out, weights_only=True)["state_dict"]
    source = torch.load(checkpoint, weights_only=True)["state_dict"]
    assert source.keys() - exported.keys() == {"projector.0.weight"}
    assert all(torch.equal(exported[name], source[name]) for name in exported)


def test_detectron2_file_is_a_plain_pickle(checkpoint, tmp_path):
    export_backbone(checkpoint, "detectron2", tmp_path / "out.pkl")
    content = pickle.loads((tmp_path / "out.pkl").read_bytes())
    assert content["model"]["res3.0.shortcut.norm.running_var"].shape == (64,)


def test_detectron2_needs_the_ending(checkpoint, tmp_path):
    with pytest.raises(ValueError, match=r"\.pkl"):
        export_backbone(checkpoint, "detectron2", tmp_path / "out.pth")


@pytest.mark.parametrize(("framework", "ending"), [("mmdet", "safetensors"), ("mmdet", "pkl"), ("timm", "pkl")])
def test_a_file_that_its_framework_would_take_for_another_kind_is_refused(checkpoint, tmp_path, framework, ending):
    with pytest.raises(ValueError, match=rf"give .*out\.{ending} another suffix, such as \.pth"):
        export_backbone(checkpoint, framework, tmp_path / f"out.{ending}")
    assert not (tmp_path / f"out.{ending}").exists()


def test_unknown_framework(checkpoint, tmp_path):
    with pytest.raises(ValueError, match="caffe"):
        export_backbone(checkpoint, "caffe", tmp_path / "out.pth")


def test_existing_file_is_replaced_only_by_force(checkpoint, tmp_path):
    out = tmp_path / "out.pth"
    out.write_text("precious")
    with pytest.raises(FileExistsError, match="--force"):
        export_backbone(checkpoint, "mmdet", out)
    assert out.read_text() == "precious"
    export_backbone(checkpoint, "mmdet", out, force=True)
    assert "state_dict" in torch.load(out, weights_only=True)


def test_the_checkpoint_itself_is_never_replaced(checkpoint):
    before = checkpoint.read_bytes()
    with pytest.raises(ValueError, match="checkpoint itself"):
        export_backbone(checkpoint, "mmdet", checkpoint, force=True)
    assert checkpoint.read_bytes() == before


def test_failed_write_leaves_nothing_behind(checkpoint, tmp_path, monkeypatch):
    def fill_the_disk(content, file):
        file.write(b"half")
        raise OSError("No space left on device")

    out = tmp_path / "out.pth"
    out.write_text("precious")
    monkeypatch.setattr(torch, "save", fill_the_disk)
    with pytest.raises(OSError, match="No space left"):
        export_backbone(checkpoint, "mmdet", out, force=True)
    assert {path.name for path in tmp_path.iterdir()} == {"last.pth", "out.pth"}
    assert out.read_text() == "precious"


def test_command_line(main, checkpoint, tmp_path, capsys):
    out = tmp_path / "out.pkl"
    assert main([str(checkpoint), "--to", "detectron2", str(out)]) == 0
    assert out.exists()
    assert capsys.readouterr().out == f"{out}: ResNet-50 for detectron2\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["last.pth", "--to", "torchvision", "out.pth"], "width 8"),
        (["last.pth", "--to", "mmdet", "."], "is a directory"),
        (["last.pth", "--to", "mmdet", "nowhere/out.pth"], "nowhere is not a directory"),
        (["gone.pth", "--to", "mmdet", "out.pth"], "gone.pth"),
        (["damaged.pth", "--to", "mmdet", "out.pth"], "damaged.pth"),
    ],
)
def test_mistakes_end_in_one_line(main, checkpoint, tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "damaged.pth").write_bytes(checkpoint.read_bytes()[:1000])
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out.pth").exists()


def test_process_exits_with_2_and_no_traceback(checkpoint, tmp_path):
    command = [sys.executable, TOOL, checkpoint, "--to", "timm", tmp_path / "out.pth"]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 2
    assert run.stderr.startswith("export.py: timm cannot hold this backbone of width 8")
    assert run.stderr.count("\n") == 1


@pytest.mark.parametrize(("framework", "name"), [("onnx", "out.onnx"), ("torchvision", "out.pth")])
@pytest.mark.parametrize("tensor", ["pillars.linear.weight", "voxels.conv.weight"])
def test_an_encoder_of_sweeps_is_named(tmp_path, framework, name, tensor):
    torch.save(dict(state_dict={f"backbone.{tensor}": torch.zeros(2, 2)}), tmp_path / "iter_1.pth")
    with pytest.raises(
        ValueError, match=r"iter_1\.pth holds an encoder of sweeps, not of images: projects/lidar_bev/co"
    ):
        export_backbone(tmp_path / "iter_1.pth", framework, tmp_path / name)
    assert not (tmp_path / name).exists()


@pytest.mark.parametrize(("framework", "name"), [("mmdet", "out.pth"), ("huggingface", "out")])
def test_a_resnet_without_its_last_stage_is_named_with_what_holds_it(tmp_path, framework, name):
    stem = {"backbone.conv1.weight": torch.zeros(8, 3, 7, 7)}
    torch.save(dict(state_dict=stem), tmp_path / "iter_1.pth")
    message = rf"iter_1\.pth: {framework} cannot hold its backbone: .*; --to onnx takes any network"
    with pytest.raises(ValueError, match=message):
        export_backbone(tmp_path / "iter_1.pth", framework, tmp_path / name)
