"""mmdet's ResNet on its own: ``mmdet.models`` also imports all of mmdet's detectors and matplotlib, in two seconds.

Its packages are stood in for while the module is imported. A later ``import mmdet.models`` finds the same
classes; this module and its layer are then reached by ``import`` but are not attributes of their packages.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import ModuleType

from ccrop.compat.mmcv_ext import install_mmcv_ext

PACKAGES = ("mmdet.models", "mmdet.models.backbones", "mmdet.models.layers", "mmdet.utils")
NEEDED = (  # by the ResNet, of its packages: in which module
    ("mmdet.utils", "typing_utils", ("ConfigType", "OptConfigType", "OptMultiConfig")),
    ("mmdet.models.layers", "res_layer", ("ResLayer",)),
)


@contextmanager
def without_their_contents(packages: tuple[str, ...]) -> Iterator[None]:
    """Make packages importable without running their ``__init__``, parents first; those that ran already stay."""
    stand_ins = [ModuleType(name) for name in packages if name not in sys.modules]
    for package in stand_ins:
        parent, _, name = package.__name__.rpartition(".")
        package.__path__ = [str(Path(folder, name)) for folder in import_module(parent).__path__]
        sys.modules[package.__name__] = package
    try:
        yield
    finally:
        for package in stand_ins:
            del sys.modules[package.__name__]


install_mmcv_ext()
with without_their_contents(PACKAGES):
    for package, module, names in NEEDED:
        content = import_module(f"{package}.{module}")
        vars(import_module(package)).update({name: getattr(content, name) for name in names})
    from mmdet.models.backbones.resnet import BasicBlock, ResNet

__all__ = ["BasicBlock", "ResNet"]
