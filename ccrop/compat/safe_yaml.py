"""YAML files that MMEngine reads without running what they hold.

MMEngine reads YAML, configs among it, by PyYAML's loader for trusted files, which builds any Python object that a tag
names. :func:`read_config_file` puts the safe loader in its place.
"""

from pathlib import Path
from typing import IO, Any

import yaml
from mmengine.config import Config
from mmengine.fileio import register_handler
from mmengine.fileio.handlers import YamlHandler

from ccrop.resume_advice import is_interrupt

CONFIGS = (".py", ".yaml", ".yml", ".json")  # that MMEngine reads


class SafeYamlHandler(YamlHandler):
    """MMEngine's handler, with PyYAML's safe loader."""

    def load_from_fileobj(self, file: IO[str], **kwargs: Any) -> Any:
        """The content of a file.

        Raises:
            ValueError: it has a tag of a Python object, or is not valid YAML.
        """
        try:
            return super().load_from_fileobj(file, Loader=yaml.SafeLoader)
        except yaml.YAMLError as error:
            reason = " ".join(str(error).split())
            raise ValueError(f"not YAML of plain values only; tags of Python objects are refused ({reason})") from error


def read_config_file(path: str | Path) -> Config:
    """A config file as it is. One in Python is run; one in YAML is not.

    Raises:
        ValueError: it is none of :data:`CONFIGS`, is not valid Python, or is YAML that is not valid or has a tag of a
            Python object.
    """
    if Path(path).suffix not in CONFIGS:
        raise ValueError(f"{path} is not a config, which ends in {', '.join(CONFIGS)}: pass one, or the name of one")
    register_handler(["yaml", "yml"])(SafeYamlHandler)
    try:
        return Config.fromfile(path)
    except SyntaxError as error:
        if is_interrupt(error):
            raise
        raise ValueError(f"{path}: not valid Python, in it or in its base: {error.msg}, line {error.lineno}") from error
    except ValueError as error:
        if isinstance(error.__cause__, yaml.YAMLError):
            raise ValueError(f"{path}: {error}") from error
        raise
