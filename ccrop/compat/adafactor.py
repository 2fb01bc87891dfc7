"""MMEngine imports all of transformers, which takes a second, to register Adafactor: it starts without.

A config can still name the class: ``optimizer=dict(type=transformers.Adafactor, ...)``.
"""

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

IMPORTER, DONE = "mmengine.optim.optimizer.builder", "TRANSFORMERS_OPTIMIZERS"


class HiddenFromMMEngine(MetaPathFinder):
    """Makes transformers unavailable to MMEngine's list of optimizers, and only to it."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname == "transformers" and IMPORTER in sys.modules and not hasattr(sys.modules[IMPORTER], DONE):
            raise ImportError("not needed to register optimizers")
        return None


def install() -> None:
    """Hide it in this process."""
    if not any(isinstance(finder, HiddenFromMMEngine) for finder in sys.meta_path):
        sys.meta_path.insert(0, HiddenFromMMEngine())
