"""YAML configs."""

from pathlib import Path

import pytest

from ccrop.compat.safe_yaml import read_config_file
from ccrop.config import read_config


@pytest.mark.parametrize("suffix", ["yaml", "yml"])
def test_tags_of_python_objects_are_refused_and_nothing_runs(tmp_path: Path, suffix: str):
    made = tmp_path / "made"
    file = tmp_path / f"config.{suffix}"
    file.write_text(f"model: !!python/object/apply:os.mkdir [{made}]\n")
    with pytest.raises(ValueError, match="tags of Python objects are refused") as raised:
        read_config(file)
    assert str(raised.value).startswith(f"{file}: ")
    assert "\n" not in str(raised.value)
    assert not made.exists()


def test_a_base_in_yaml_is_read_in_the_same_way(tmp_path: Path):
    made = tmp_path / "made"
    (tmp_path / "base.yaml").write_text(f"model: !!python/object/apply:os.mkdir [{made}]\n")
    (tmp_path / "config.py").write_text("_base_ = ['base.yaml']\n")
    with pytest.raises(ValueError, match="tags of Python objects are refused"):
        read_config_file(tmp_path / "config.py")
    assert not made.exists()


def test_plain_values_are_read(tmp_path: Path):
    (tmp_path / "config.yaml").write_text("model: {depth: 18, name: [a, 2.5]}\n")
    assert read_config_file(tmp_path / "config.yaml").model == dict(depth=18, name=["a", 2.5])


def test_a_config_that_is_not_valid_python_is_named(tmp_path: Path):
    file = tmp_path / "config.py"
    file.write_text("a = 1\nb = = 2\n")
    with pytest.raises(ValueError, match="not valid Python, in it or in its base: invalid syntax, line 2") as raised:
        read_config_file(file)
    assert str(raised.value).startswith(f"{file}: ")


def test_a_file_of_another_kind_is_no_config(tmp_path: Path):
    file = tmp_path / "epoch_2.pth"
    file.write_bytes(b"")
    with pytest.raises(ValueError, match=r"epoch_2\.pth is not a config, which ends in \.py, \.yaml,"):
        read_config_file(file)
