"""mmcv without its compiled operators.

mmcv's pure-Python install has no `mmcv._ext`, and `mmcv.ops` loads that module when it is imported, asking it
for every operator by name. mmdet imports `mmcv.ops` even where it only builds a ResNet, so without the module
nothing in mmdet can be imported. mmcv has no wheels for current torch, so it is replaced by the stand-in below:

- NMS, soft NMS, RoIAlign and the sigmoid focal loss have twins over torchvision in `ccrop.compat.mmcv_operators`.
- Every other operator exists, because mmcv asserts `hasattr` at import, and raises when it is called.
"""

import functools
import importlib.util
import sys
import warnings
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from ccrop.compat import mmcv_operators


def install_mmcv_ext() -> None:
    """Make `mmcv.ops`, and with it mmdet, importable; call it before the first import of either.

    Registers the stand-in as `mmcv._ext`, unless a compiled one is installed, which is then left to be
    imported. Imports `mmcv` itself but none of its operators. Calling it again changes nothing.

    Also drops what mmdet would print on import about optional packages (see `_drop_notices`).

    Raises:
        ModuleNotFoundError: mmcv is not installed.
    """
    _drop_notices()
    if "mmcv._ext" not in sys.modules and importlib.util.find_spec("mmcv._ext") is None:
        sys.modules["mmcv._ext"] = _StandIn("mmcv._ext")


class _StandIn(ModuleType):
    """Has an operator for every name without a leading underscore, and no loader, as MMEngine's look for one asks."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.__spec__ = ModuleSpec(name, loader=None)

    def __getattr__(self, name: str) -> Callable:
        if name.startswith("_"):
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        return mmcv_operators.TWINS.get(name) or functools.partial(mmcv_operators.missing, name)


@functools.cache
def _drop_notices() -> None:
    """Keep `mmdet.datasets` from printing "Could not import OneDL. Skipping OneDL datasets.", and `mmdet.evaluation`
    from warning that `faster_coco_eval` is not installed.

    The line is about optional data sets and has level DEBUG, but MMEngine's `print_log` prints whatever
    comes without a logger. mmdet takes `print_log` from `mmengine.logging`, so it is replaced there.
    """
    import mmengine.logging

    print_log = mmengine.logging.print_log

    @functools.wraps(print_log)
    def without_notice(msg: object, *args: Any, **kwargs: Any) -> None:
        if not str(msg).startswith("Could not import OneDL"):
            print_log(msg, *args, **kwargs)

    mmengine.logging.print_log = without_notice
    warnings.filterwarnings("ignore", "faster_coco_eval is not installed", UserWarning)
