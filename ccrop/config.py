"""Reading a config: its file or parts, the command line's options, and the data it trains on."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.registry import DATASETS

from ccrop.backbones.replacement import replace_backbone
from ccrop.checkpoint import Normalization
from ccrop.checkpoint.recorded_config import recorded_config
from ccrop.compat.safe_yaml import read_config_file
from ccrop.config_names import config_file
from ccrop.config_options import check_options, check_sections
from ccrop.config_parts import compose
from ccrop.datasets import ImageDataset, MissingData
from ccrop.datasets.demo import make_demo_set
from ccrop.datasets.reading import WHITE
from ccrop.models.preprocessor import IMAGENET_MEAN, IMAGENET_STD

DEMO_SET = dict(type=make_demo_set, root="data/demo")  # of configs that name no demo_set
AUGMENT = ("device", "cpu")
# registered if a config does not name them, see mmengine.runner.Runner.register_default_hooks
MMENGINE_HOOKS = ("runtime_info", "timer", "sampler_seed", "logger", "param_scheduler", "checkpoint")
CHECKPOINT = ".pth"


def read_config(
    path: str | Path, options: Mapping[str, Any] | None = None, change: Callable[[Config], None] | None = None
) -> Config:
    """A config file, and the command line's options over it.

    Args:
        path: a config file or its name, see :func:`.config_file`, the name of one that is composed, see
            :func:`ccrop.config_parts.compose`, or a checkpoint, see
            :func:`ccrop.checkpoint.recorded_config.recorded_config`.
        options: dotted keys and values.
        change: applied to the file's settings before the options are.

    Raises:
        UnknownConfig, ValueError: there is no such file, and none can be composed.
        UnknownOption: see :func:`ccrop.config_options.check_options`.
        UntrustedCheckpoint: see :func:`ccrop.checkpoint.recorded_config.recorded_config`.
    """
    path = Path(config_file(str(path)))
    if path.suffix == CHECKPOINT:
        config = recorded_config(path)
    else:
        config = read_config_file(path) if path.is_file() else compose(path)
    if change is not None:
        change(config)
    check_options(path, config, options or {})
    config.merge_from_dict(options or {})
    check_sections(path, config)
    _drop_disabled_hooks(config)
    return config


def _drop_disabled_hooks(config: Config) -> None:
    """Leave out the default hooks that are None, which MMEngine accepts only for the hooks that it registers itself."""
    hooks = config.get("default_hooks") or {}
    for name in [name for name, hook in hooks.items() if hook is None and name not in MMENGINE_HOOKS]:
        hooks.pop(name)


def load_config(
    path: str | Path,
    data_root: str | Path | None = None,
    options: Mapping[str, Any] | None = None,
    backbone: str | None = None,
) -> Config:
    """Read a config and determine the data it trains on.

    The root is ``data_root``, or the config's own, or the config's ``default_data_root`` if that exists.
    Otherwise, the config that it names as ``demo`` replaces it, on the demo set. Every ``data_root`` in the
    config that is None, or that of the config, becomes the root.

    Args:
        path: see :func:`read_config`.
        data_root: the root given on the command line.
        options: dotted keys and values over those of the config.
        backbone: replaces the config's, see :func:`ccrop.backbones.replacement.replace_backbone`.

    Raises:
        MissingData: the given root does not exist, or none is given and there is no demo.
        UnknownConfig, UnknownOption: see :func:`read_config`.
        ValueError: there is no such backbone, the config is not a pretraining config, or its model does not take
            images; or see :func:`settle_channels`.
    """
    path = Path(config_file(str(path)))
    change = None if backbone is None else partial(replace_backbone, name=backbone)
    config = read_config(path, options, change)
    if "augment" not in config:
        raise ValueError(f"{path} is not a pretraining config: tools/finetune.py takes detectors' configs")
    if config.augment not in AUGMENT:
        raise ValueError(f"augment must be one of {', '.join(AUGMENT)}, got {config.augment!r}")
    named = data_root or config.get("data_root")
    default = config.get("default_data_root")
    if named is not None:
        root, demo = Path(named), False
        if not root.exists():
            raise MissingData(f"the data root {root} does not exist; expected layout:\n{_layout(config, root)}")
    elif default is not None and Path(default).exists():
        root, demo = Path(default), False
    elif "demo" in config and path.suffix != CHECKPOINT:  # whose demo could be any file
        config = read_config(path.parent / config.demo, options, change)
        root, demo = Path(config.get("demo_set", DEMO_SET)["root"]), True
    else:
        where = f"{default} does not exist" if default else "this config has no default location"
        raise MissingData(
            f"no data root is given and {where}: pass one with --data-root; expected layout:\n"
            + _layout(config, default or "ROOT")
        )
    unsettled = (None, config.get("data_root"))
    for settings in dicts_of(config):
        if "data_root" in settings and settings["data_root"] in unsettled:
            settings["data_root"] = str(root)
    settle_channels(config)
    name = config.experiment if path.suffix == CHECKPOINT else path.stem
    config.experiment = name.removesuffix("_demo") + "_demo" if demo else name
    config.on_demo_set = demo
    config.headline = f"{name} on {root}"
    if demo:
        why = "no data root is given" + (f" and {default} does not exist" if default else "")
        config.headline = (
            f"DEMO RUN of {name}: {why}, so this trains with a short schedule on the demo set in {root}. "
            "Pretrain on your own data with --data-root"
        )
    return config


def settle_channels(config: Config) -> None:
    """Propagate the ``channels`` of a config's images, if not RGB, and ``white`` to everything that depends on them.

    Data sets of images, the preprocessor's mean and std, see :func:`one_a_channel`, and the backbone's ``in_channels``.

    Raises:
        ValueError: torchvision's operations (``augment='cpu'``) are requested, which only take RGB and gray images.
    """
    channels, white = config.get("channels", 3), config.get("white", WHITE)
    if white != WHITE:
        for settings in _image_sets(config):
            settings["white"] = white
    if channels == 3:
        return
    if channels != 1 and config.augment == "cpu":
        raise ValueError(f"augment='cpu' takes images of 1 or 3 channels, not of {channels}: set augment='device'")
    config.model.backbone.in_channels = channels
    preprocessor = config.model.data_preprocessor
    for name, default in (("mean", IMAGENET_MEAN), ("std", IMAGENET_STD)):
        preprocessor[name] = one_a_channel(preprocessor.get(name, default), channels)
    for settings in _image_sets(config):
        settings["channels"] = channels


def _image_sets(config: Config) -> Iterator[dict[str, Any]]:
    """The settings of all data sets of images."""
    for settings in dicts_of(config):
        kind = settings.get("type") if "data_root" in settings else None
        kind = DATASETS.get(kind) if isinstance(kind, str) else kind
        if isinstance(kind, type) and issubclass(kind, ImageDataset):
            yield settings


def one_a_channel(values: Sequence[float], channels: int) -> tuple[float, ...]:
    """The values if there is one per channel, otherwise their mean for every channel."""
    return tuple(values) if len(values) == channels else (sum(values) / len(values),) * channels


def per_channel(normalization: Normalization, channels: int) -> Normalization:
    """A normalization for images of this many channels, see :func:`one_a_channel`."""
    return Normalization(*(one_a_channel(values, channels) for values in normalization))


def dicts_of(node: Any) -> Iterator[dict[str, Any]]:
    """All dictionaries of a config, including those nested in lists."""
    if isinstance(node, Config):
        node = node._cfg_dict
    if isinstance(node, dict):
        yield node
    children = node.values() if isinstance(node, dict) else node if isinstance(node, list | tuple) else ()
    for child in children:
        yield from dicts_of(child)


def _layout(config: Config, root: str | Path) -> str:
    kind = config.train_dataloader.dataset.type
    return (DATASETS.get(kind) if isinstance(kind, str) else kind).layout.format(root=root)
