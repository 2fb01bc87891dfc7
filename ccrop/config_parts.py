"""Configs by name: METHOD_CROP_DATA.py, or METHOD_CROP_DATA_VARIANT.py, composed of one file each.

A part is a config of its own sections, in ``methods/``, ``crops/``, ``data/`` or ``variants/`` of a folder of configs;
its file's name has no underscore. Sections are merged in this order, so that a later part wins. Four names in a part
are not settings but define how it combines with the others:

``tags``
    Names for it in the conditions of other parts, besides its file's name.
``requires``
    Names or tags of the only parts that it can be combined with.
``adjustments``
    Dotted settings, as on the command line, that are applied to the merged sections: those of ``"always"``, and then of
    every condition that holds, such as ``"cifar"``, ``"region or small"``, ``"single and large"``.
``variant``
    Of data: a variant that comes with it.
"""

import ast
import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config

CONFIGS = Path(__file__).parent / "configs"
RUNTIME = CONFIGS / "_base_/runtime.py"
KINDS = {"methods": "method", "crops": "crop", "data": "data", "variants": "variant"}
ALWAYS = "always"
# names of configs in ccrop 0.1
FORMER = {
    "ccrop": "it is now single (one object per image) or region (many);",
    "ccrop-single": "it is now single;",
    "ccrop-region": "it is now region;",
}


class UnknownConfig(FileNotFoundError):
    """There is no such config, and none can be composed."""


def parts(kind: str, folder: Path = CONFIGS) -> dict[str, Path]:
    """The files of a kind, a key of ``KINDS``, by name: those of a folder of configs, and ccrop's own."""
    return {file.stem: file for each in (CONFIGS, folder) for file in sorted(each.joinpath(kind).glob("*.py"))}


def flagships(folder: Path = CONFIGS) -> dict[str, Path]:
    """The complete configs of a folder by name."""
    return {file.stem: file for file in sorted(folder.glob("*.py"))}


def summary(file: Path) -> str:
    """The first line of a config's docstring."""
    return (ast.get_docstring(ast.parse(file.read_text())) or "").partition("\n")[0]


def listing() -> str:
    """All methods, crops, data, variants and complete configs, a line each."""
    kinds = {kind.capitalize(): parts(kind) for kind in KINDS} | {"Complete configs": flagships()}
    width = max(len(name) for files in kinds.values() for name in files)
    lines = ["configs/METHOD_CROP_DATA.py or configs/METHOD_CROP_DATA_VARIANT.py, composed of any of these parts:"]
    for title, files in kinds.items():
        lines += ["", title, *(f"  {name:<{width}}  {summary(file)}" for name, file in files.items())]
    return "\n".join(lines)


def compose(path: str | Path) -> Config:
    """The config of a file that need not exist, of the parts that its name consists of.

    Args:
        path: its folder may have parts, too, which take precedence over ccrop's own.

    Raises:
        UnknownConfig: the name does not consist of existing parts.
        ValueError: a part is used without one that it requires.
    """
    path = Path(path)
    files = _files(path)
    loaded = [_sections(file) for file in files.values()]
    names = set(files).union(*(each.get("tags", ()) for each in loaded))
    for name, part in zip(files, loaded, strict=True):
        missing = [other for other in part.get("requires", ()) if other not in names]
        if missing:
            raise ValueError(f"{path}: {name} works only with {' and '.join(missing)}; see tools/train.py --list")

    text = f"composed of {', '.join(files)}"
    config = Config(_sections(RUNTIME), cfg_text=text, filename=str(path.with_suffix(".py")))
    adjustments = [part.pop("adjustments", {}) for part in loaded]
    for part in loaded:
        for name in ("tags", "requires", "variant"):
            part.pop(name, None)
        config.merge_from_dict(part)
    for each in adjustments:
        config.merge_from_dict(nested(each.pop(ALWAYS, {})))
    for each in adjustments:
        for condition, settings in each.items():
            if holds(condition, names):
                config.merge_from_dict(nested(settings))
    demo = config.pop("demo", None)
    if demo is not None and len(loaded) == 3:
        method, crop, _ = files
        config.demo = f"{method}_{crop}_{demo}.py"
    return config


def holds(condition: str, names: Iterable[str]) -> bool:
    """Whether a condition such as ``"a and b or c"`` holds for these names."""
    return any(all(name in names for name in each.split(" and ")) for each in condition.split(" or "))


def nested(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Dotted settings as dicts in dicts."""
    whole: dict[str, Any] = {}
    for dotted, value in settings.items():
        *outer, last = dotted.split(".")
        place = whole
        for name in outer:
            place = place.setdefault(name, {})
        place[last] = value
    return whole


def _files(path: Path) -> dict[str, Path]:
    """The parts of a config's name, in the order in which they are merged."""
    names = path.stem.split("_")
    if path.suffix not in ("", ".py") or len(names) not in (3, 4):
        raise UnknownConfig(
            f"config {path} does not exist, and its name is neither METHOD_CROP_DATA.py nor "
            "METHOD_CROP_DATA_VARIANT.py: "
            + (_meant(path.stem, flagships() | flagships(path.parent)) or "tools/train.py --list shows all")
        )
    files = {name: _part(path, kind, name, parts(kind, path.parent)) for kind, name in zip(KINDS, names, strict=False)}
    method, crop, data = list(files)[:3]
    own = _sections(files[data]).get("variant")
    if own is None:
        return files
    return {method: files[method], crop: files[crop], own: parts("variants", path.parent)[own], **files}


def _part(path: Path, kind: str, name: str, known: Mapping[str, Path]) -> Path:
    if name in known:
        return known[name]
    advice = FORMER.get(name) or _meant(name, known) or _meant(path.stem, flagships() | flagships(path.parent))
    raise UnknownConfig(
        f"config {path} does not exist, and there is no {KINDS[kind]} {name!r} to compose it of: "
        f"{f'{advice} ' if advice else ''}{kind} are {', '.join(known)}"
    )


def _meant(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, known)
    return f"did you mean {' or '.join(close)}?" if close else ""


def _sections(file: Path) -> dict[str, Any]:
    """A config as plain dicts; what it imports stays a name, so that a dump of the whole names it."""
    return Config.fromfile(file)._to_lazy_dict()
