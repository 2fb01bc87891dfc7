"""The config that a run records in its checkpoints, as data, so that reading it executes nothing."""

import inspect
from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from types import FunctionType
from typing import Any

from mmengine.config import Config
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from mmengine.optim import DefaultOptimWrapperConstructor, OptimWrapper, _ParamScheduler
from mmengine.runner import BaseLoop, LogProcessor
from mmengine.utils import get_object_from_string, import_modules_from_strings
from mmengine.visualization import BaseVisBackend, Visualizer
from torch import nn
from torch.optim import Optimizer
from torch.utils.data import Sampler

from ccrop.compat.safe_checkpoint import UntrustedCheckpoint, install_safe_checkpoints, load_checkpoint

KEY = "config"  # of a checkpoint
BUILT = ("type", "constructor")  # settings that name a class to build
MODULES = ("finetuning", "pretraining")  # settings that name an import
FUNCTIONS = ("collate_fn", "demo_set")  # sections that a function is built from
SCOPES = {"default_scope": ("mmengine", "mmdet"), "_scope_": ("mmengine", "mmdet", "mmcv")}
KINDS = (  # of classes of other libraries that run configs consist of
    nn.Module,
    Optimizer,
    OptimWrapper,
    DefaultOptimWrapperConstructor,
    _ParamScheduler,
    Hook,
    BaseLoop,
    BaseMetric,
    LogProcessor,
    Sampler,
    Visualizer,
    BaseVisBackend,
)
TRUSTED = (
    "ccrop.",
    "mmcv.",
    "mmdet.",
    "mmengine.",
    "timm.optim.",
    "torch.nn.",
    "torch.optim.",
    "torch.utils.data.",
    "torchvision.transforms.",
)


def as_data(config: Config) -> dict[str, Any]:
    """A config as plain values, with classes and functions by their full names.

    Raises:
        TypeError: it holds something else; the message names the setting.
    """
    return {key: _plain(value, key) for key, value in config.to_dict().items()}


def _plain(value: Any, name: str) -> Any:
    if isinstance(value, dict):
        return {key: _plain(each, f"{name}.{key}") for key, each in value.items()}
    if isinstance(value, list | tuple):
        kind = list if isinstance(value, list) else tuple
        return kind(_plain(each, f"{name}.{index}") for index, each in enumerate(value))
    if isinstance(value, type | FunctionType):
        return f"{value.__module__}.{value.__qualname__}"
    if isinstance(value, Path):
        return str(value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"a config holds plain values, classes and functions; {name} is {value!r}")


def recorded_settings(checkpoint: str | Path) -> Config:
    """The config of the run that wrote a checkpoint, to read values from: it may name code that nobody has approved.

    Raises:
        FileNotFoundError, UntrustedCheckpoint: see :func:`ccrop.compat.safe_checkpoint.load_checkpoint`.
        ValueError: the checkpoint has no config.
    """
    content = load_checkpoint(checkpoint)
    if not isinstance(content, dict) or not isinstance(content.get(KEY), dict):
        raise ValueError(
            f"checkpoint {checkpoint} holds no config (ccrop records it since 0.2, other programs do not): pass "
            "the config of its run with --config"
        )
    return Config(content[KEY], cfg_text=f"recorded in {checkpoint}", filename=str(checkpoint))


def recorded_config(checkpoint: str | Path) -> Config:
    """The config of the run that wrote a checkpoint, to build from.

    Raises:
        UntrustedCheckpoint: it names code from outside ccrop and the libraries that it builds on.
        FileNotFoundError, UntrustedCheckpoint, ValueError: see :func:`recorded_settings`.
    """
    config = recorded_settings(checkpoint)
    for setting, name, trusted in _named(config._cfg_dict):
        if not (isinstance(name, str) and trusted(name)):
            raise UntrustedCheckpoint(
                f"checkpoint {checkpoint} was not used: its config's {setting} is {name}, which could run "
                "code from outside ccrop and its libraries. If you trust it, pass the config of "
                "its run with --config, which is then executed"
            )
    if not isinstance(config.get("model", {}), dict):
        raise UntrustedCheckpoint(f"checkpoint {checkpoint} was not used: its config's model is not a section")
    install_safe_checkpoints()
    if config.get("custom_imports"):
        import_modules_from_strings(config.custom_imports["imports"])
    return config


def _named(node: Any, setting: str = "") -> Iterator[tuple[str, Any, Callable[[str], bool]]]:
    """The Python names in a config: the setting, the name, and the check whether it is trusted."""
    if isinstance(node, dict):
        for key, value in node.items():
            inner = f"{setting}.{key}".lstrip(".")
            if key in BUILT and isinstance(value, str):
                yield inner, value, partial(_trusted_object, setting=setting)
            elif key in MODULES:
                yield inner, value, trusted_module
            elif key in SCOPES:
                yield inner, value, SCOPES[key].__contains__
            elif key == "custom_imports" and value:
                names = value.get("imports") if isinstance(value, dict) else value
                yield from ((inner, name, trusted_module) for name in (names if isinstance(names, list) else [names]))
            else:
                yield from _named(value, inner)
    elif isinstance(node, list | tuple):
        for index, value in enumerate(node):
            yield from _named(value, f"{setting}.{index}")


def trusted_module(name: str) -> bool:
    """Whether a module is of ccrop or of a library that its configs consist of."""
    return name.startswith(TRUSTED)


def _trusted_object(name: str, setting: str) -> bool:
    """Whether a name is a registry's own, a class of ccrop, or one of another trusted library that configs build.

    A function may only batch samples (``...collate_fn``) or make a demo set (``...demo_set``).
    """
    if "." not in name:
        return find_spec(name) is None  # else MMEngine imports the module of that name
    if not trusted_module(name):
        return False
    found = get_object_from_string(name)
    module = f"{getattr(found, '__module__', None)}."
    if not trusted_module(module):  # a name of another library that it imports
        return False
    if inspect.isfunction(found):
        return setting.endswith(FUNCTIONS)
    return inspect.isclass(found) and (module.startswith("ccrop.") or issubclass(found, KINDS))
