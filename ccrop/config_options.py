"""Command-line options over a config: each must set something that is read, to a value of the right type.

MMEngine merges an option into the config whatever its name, and many sections of a config are read only by name, so
that a misspelled name in them is ignored.
"""

import difflib
import inspect
import math
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from pkgutil import resolve_name
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from mmengine.config import Config
from mmengine.config.config import DELETE_KEY
from mmengine.registry import (
    DATA_SAMPLERS,
    DATASETS,
    HOOKS,
    LOOPS,
    METRICS,
    MODELS,
    OPTIM_WRAPPERS,
    OPTIMIZERS,
    PARAM_SCHEDULERS,
    TRANSFORMS,
    Registry,
)
from mmengine.runner import Runner
from torch import Tensor
from torch.utils.data import DataLoader

REGISTRIES: tuple[Registry, ...] = (
    *(DATA_SAMPLERS, DATASETS, HOOKS, LOOPS, METRICS, MODELS),
    *(OPTIM_WRAPPERS, OPTIMIZERS, PARAM_SCHEDULERS, TRANSFORMS),
)
LOADER = {*inspect.signature(DataLoader).parameters, "num_batch_per_epoch", "resident"}
# what MMEngine reads of sections that have no type
READ = dict(
    auto_scale_lr={"enable", "base_batch_size"},
    env_cfg={"cudnn_benchmark", "mp_cfg", "dist_cfg", "resource_limit"},
    randomness=set(inspect.signature(Runner.set_randomness).parameters) - {"self"},
    train_dataloader=LOADER,
    val_dataloader=LOADER,
    test_dataloader=LOADER,
)
BESIDE = dict(optim_wrapper={"constructor", "paramwise_cfg"})  # and what it takes out of a section with a type
# what its default optimizer constructor reads of ``optim_wrapper.paramwise_cfg``, and of each of the custom_keys
MULTIPLIERS = {f"{part}_decay_mult" for part in ("bias", "norm", "dwconv", "flat")}
PARAMWISE = {"custom_keys", "bias_lr_mult", "dcn_offset_lr_mult", "bypass_duplicate", *MULTIPLIERS}
CUSTOM = {"lr_mult", "decay_mult"}  # it hands other names to the optimizer
LIMITS = ("max_norm", "clip_value")  # of gradients; a negative one reverses them
AT_LEAST_0 = ("lr", "weight_decay")  # of an optimizer; torch refuses other numbers without the setting's name
BELOW_1 = ("momentum", "betas")  # likewise, from 0
# sections that every run has; None in place of others leaves them out
NEEDED = {
    *("model", "model.backbone", "train_dataloader", "train_cfg", "optim_wrapper", "param_scheduler", "default_hooks"),
    *("test_dataloader", "test_evaluator"),
}
SIMILAR = 0.8  # difflib's ratio above which one name is taken for a misspelling of the other


class UnknownOption(ValueError):
    """A command-line option that nothing reads, or whose value has the wrong type."""


@contextmanager
def options_explained(options: Mapping[str, Any] | None) -> Iterator[None]:
    """A context for building from a config: a setting that a class does not take is reported as the option that set it.

    Args:
        options: dotted keys and values of the command line.

    Raises:
        UnknownOption: the last name of an option is not an argument of the class that it reaches, or a type that an
            option names does not exist; or a library refuses the text, or the number, that an option sets.
    """
    try:
        yield
    except TypeError as error:
        for option in options or {}:
            if f"unexpected keyword argument '{option.split('.')[-1]}'" in str(error):
                raise UnknownOption(f"unknown option {option}: {error}") from error
        for option, value in (options or {}).items():
            if str(error).startswith(f"{option.split('.')[-1]} must be "):
                raise UnknownOption(f"the option {option} cannot be {value!r}: {error}") from error
            if option.endswith(".type"):
                _explain_type(option, str(value), error)
        raise
    except KeyError as error:
        for option, value in (options or {}).items():
            if str(error.args[0]).startswith(f"{value} is not in the "):
                raise UnknownOption(f"the option {option} names an unknown type, {value}") from error
        raise
    except (AssertionError, RuntimeError) as error:
        for option, value in (options or {}).items():
            if _is_about(error, option, value):
                raise UnknownOption(f"the option {option} cannot be {value!r}: {error}") from error
        raise


def _is_about(error: Exception, option: str, value: Any) -> bool:
    """Whether a library that does not name an option refuses its value: a text, or a number that is not positive."""
    if isinstance(value, str):
        return isinstance(error, AssertionError) and re.search(rf"\b{re.escape(value)}\b", str(error)) is not None
    if not isinstance(value, int | float) or isinstance(value, bool) or value > 0:
        return False
    said = [option.split(".")[-1], *([str(value)] if value < 0 else [])]  # a 0 may be that of anything
    return any(re.search(rf"(?<![a-zA-Z\d.]){re.escape(each)}(?![\w.])", str(error)) for each in said)


def check_options(path: str | Path, config: Config, options: Mapping[str, Any]) -> None:
    """Refuse options that nothing would read, and values of a different type from those they replace.

    Args:
        path: of the config, for messages.
        config: its settings, before the options are applied.
        options: dotted keys and values.

    Raises:
        UnknownOption: names the option, what is wrong with it, and what the config has instead.
    """
    for option, value in options.items():
        node: Any = config._cfg_dict
        names = option.split(".")
        if places := _copies(node, names[0]):
            raise UnknownOption(
                f"the option {option} would have no effect: {path} has copied {names[0]} to {', '.join(places)}; "
                "set it there"
            )
        for place, name in enumerate(names):
            reached = ".".join(names[:place]) or str(path)
            kind = _class_of(options.get(f"{reached}.type", node.get("type"))) if isinstance(node, dict) else None
            if isinstance(node, list):
                if not name.isdecimal() or int(name) >= len(node):
                    raise UnknownOption(
                        f"the option {option}: {reached} is a list of length {len(node)}, indexed from 0, and has "
                        f"no {name}"
                    )
                node = node[int(name)]
            elif isinstance(node, dict):
                if name not in node:
                    _check_new(option, reached, name, node, kind, options)
                    if place == len(names) - 1:
                        _check_value(option, value, _annotation(kind, name), None)
                    break
                if place == len(names) - 1:
                    _check_value(option, value, _annotation(kind, name), node[name])
                node = node[name]
            elif node is None:
                break
            else:
                raise UnknownOption(f"the option {option}: {reached} is {node!r}, which has no {name}")


def _copies(settings: dict[str, Any], name: str) -> list[str]:
    """Where a config file has put one of its variables, which is a section or a list, such as ``train_pipeline``."""
    value = settings.get(name)
    if not value or not isinstance(value, dict | list | tuple):
        return []
    return [
        place
        for section, content in settings.items()
        if section in inspect.signature(Runner).parameters
        for place, each in _within(content, section)
        if type(each) is type(value) and each == value
    ]


def _within(node: Any, place: str) -> Iterator[tuple[str, Any]]:
    """Everything in nested settings, with its dotted name."""
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list | tuple) else ()
    for name, each in items:
        yield f"{place}.{name}", each
        yield from _within(each, f"{place}.{name}")


def check_sections(path: str | Path, config: Config) -> None:
    """Refuse names in sections that MMEngine does not read and silently ignores, and numbers that reverse gradients.

    Raises:
        ValueError: names the section and the name.
    """
    for section, read in READ.items():
        for name in config.get(section) or {}:
            if name not in read:
                raise ValueError(f"{path}: nothing reads {section}.{name}; {_advice(name, read)}")
    base = (config.get("auto_scale_lr") or {}).get("base_batch_size")
    if base is not None and not base > 0:
        raise ValueError(f"{path}: auto_scale_lr.base_batch_size must be positive, got {base}")
    _check_optimizer(path, config.get("optim_wrapper") or {})


def _check_optimizer(path: str | Path, wrapper: Mapping[str, Any]) -> None:
    """Those of ``optim_wrapper``, which MMEngine reads by name."""
    section = "optim_wrapper.paramwise_cfg"
    paramwise = wrapper.get("paramwise_cfg") or {}
    if wrapper.get("constructor") in (None, "DefaultOptimWrapperConstructor"):
        custom = paramwise.get("custom_keys") or {}
        wrong = [(name, PARAMWISE) for name in paramwise if name not in PARAMWISE]
        wrong += [
            (f"custom_keys.{key}.{name}", CUSTOM)
            for key, settings in custom.items()
            for name in settings
            if name not in CUSTOM and difflib.get_close_matches(name, CUSTOM, n=1, cutoff=SIMILAR)
        ]
        for name, read in wrong:
            raise ValueError(f"{path}: nothing reads {section}.{name}; {_advice(name.split('.')[-1], read)}")
    optimizer = wrapper.get("optimizer")
    if optimizer and "lr" not in optimizer:
        raise ValueError(f"{path}: the learning rate is missing: set optim_wrapper.optimizer.lr")
    _check_rates(path, optimizer or {})
    for name, limit in (wrapper.get("clip_grad") or {}).items():
        if name in LIMITS and limit is not None and not limit > 0:
            raise ValueError(f"{path}: optim_wrapper.clip_grad.{name} must be positive, got {limit}")


def _check_rates(path: str | Path, optimizer: Mapping[str, Any]) -> None:
    """The numbers of an optimizer that libraries have under the same names; its betas are two or more."""
    for names, limit, expected in ((AT_LEAST_0, math.inf, "of at least 0"), (BELOW_1, 1, "from 0 to less than 1")):
        for name in names:
            value: Any = optimizer.get(name)
            numbers: Any = value if name == "betas" else [value]
            several = isinstance(numbers, list | tuple) and len(numbers) > (name == "betas")
            if value is not None and not (several and all(_is_number(each) and 0 <= each < limit for each in numbers)):
                kind = "numbers" if name == "betas" else "a number"
                raise ValueError(f"{path}: optim_wrapper.optimizer.{name} must be {kind} {expected}, got {value!r}")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _explain_type(option: str, value: str, error: TypeError) -> None:
    """Raise an error that names the option if its type caused the error: unknown, or without settings of another."""
    section, name = option.removesuffix(".type"), value.split(".")[-1]
    if str(error) == "None is not a callable object" and "." in value:
        raise UnknownOption(f"the option {option} names an unknown type, {value}") from error
    if f"{name}.__init__() got an unexpected keyword argument" in str(error):
        raise UnknownOption(
            f"the option {option}: {error}, which is set for the type before it: add {section}._delete_=True and all "
            f"settings that {name} needs"
        ) from error


def _check_new(
    option: str, reached: str, name: str, node: dict[str, Any], kind: type | None, options: Mapping[str, Any]
) -> None:
    """Refuse a name that a section does not have, unless what is built from the section takes it."""
    parent = reached.split(".")[-1]
    if parent == "custom_keys" or name in BESIDE.get(parent, ()):  # custom_keys are parts of parameters' names
        return
    if name == DELETE_KEY:
        return
    if parent == "default_hooks" and f"{reached}.{name}.type" in options:
        return
    if kind is not None:
        names, is_open = _arguments(kind)
        similar = difflib.get_close_matches(name, names, n=1, cutoff=SIMILAR)
        if name in names or (is_open and not similar):
            return
        raise UnknownOption(f"unknown option {option}: {kind.__name__} takes no {name}; {_advice(name, names)}")
    if "type" in node or name in READ.get(parent, ()):
        return
    if "." not in option and name in inspect.signature(Runner).parameters:
        return
    raise UnknownOption(f"unknown option {option}: {reached} has no {name}; {_advice(name, node)}")


def _advice(name: str, known: Collection[str]) -> str:
    close = difflib.get_close_matches(name, [str(each) for each in known], n=1)
    return f"did you mean {close[0]}?" if close else f"there are {', '.join(sorted(set(map(str, known))))}"


def _class_of(kind: Any) -> type | None:
    """The class that a section's ``type`` names, as far as it can be found."""
    if isinstance(kind, str) and "." in kind:
        try:
            kind = resolve_name(kind)
        except (ImportError, AttributeError, ValueError):
            return None
    elif isinstance(kind, str):
        kind = next(filter(None, (registry.get(kind) for registry in REGISTRIES)), None)
    return kind if isinstance(kind, type) else None


def _arguments(kind: type) -> tuple[list[str], bool]:
    """The names that a class can be built with, and whether it also hands on names that are not known here."""
    names: list[str] = ["type"]
    for each in kind.__mro__:
        own = vars(each).get("__init__")
        if own is None or each is object:
            continue
        parameters = inspect.signature(own).parameters.values()
        names += [
            p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY) and p.name != "self"
        ]
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            return names, False
    return names, True


def _annotation(kind: type | None, name: str) -> Any:
    """The annotation of an argument of a class; None if there is none."""
    for each in kind.__mro__ if kind else ():
        own = vars(each).get("__init__")
        if own is not None and name in inspect.signature(own).parameters:
            try:
                return get_type_hints(own).get(name)
            except (NameError, TypeError):  # of what is imported only for type checkers
                return None
    return None


def _check_value(option: str, value: Any, annotation: Any, before: Any) -> None:
    """Refuse a value whose type contradicts the annotation, or else the previous value."""
    if value is None:
        if option in NEEDED and before is not None:
            raise UnknownOption(f"the option {option} cannot be None: every run needs it")
        return
    if isinstance(value, float) and math.isnan(value):
        raise UnknownOption(f"the option {option} is not a number (nan)")
    if isinstance(before, dict):
        if not isinstance(value, dict):
            raise UnknownOption(
                f"the option {option} is a group of settings: set one of its members, {', '.join(before)}"
            )
        return
    if annotation is not None:
        fits, expected = _fits(value, annotation), getattr(annotation, "__name__", str(annotation))
    elif isinstance(before, bool):
        fits, expected = isinstance(value, bool), "True or False"
    elif isinstance(before, int | float):
        fits, expected = isinstance(value, int | float) and not isinstance(value, bool), "a number"
    else:
        return
    if not fits:
        comma = " (write decimals with a point)" if isinstance(value, list | tuple) else ""
        instead = "" if before is None else f" such as {before!r}"
        raise UnknownOption(f"the option {option} takes {_in_words(expected)}{instead}, not {value!r}{comma}")


def _in_words(expected: str) -> str:
    words = dict(int="a whole number", float="a number", bool="True or False")
    return words.get(expected, re.sub(r"\b(\w+\.)+", "", expected))


def _fits(value: Any, annotation: Any) -> bool:
    """Whether a command-line value matches an annotation; True if that cannot be told."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin in (Union, UnionType):
        return any(_fits(value, each) for each in inner)
    if origin is Literal:
        return value in inner
    kind = origin or annotation
    if kind is bool:
        return isinstance(value, bool)
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if kind in (NoneType, Tensor):  # neither can be written on a command line
        return False
    if kind in (list, tuple) or (isinstance(kind, type) and issubclass(kind, Sequence) and kind is not str):
        return isinstance(value, list | tuple)
    return not isinstance(value, list | tuple) if kind is str else True
