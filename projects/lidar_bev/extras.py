"""The packages of the extra ``[lidar]``, which images do without."""

from importlib import import_module
from types import ModuleType


def extra(module: str, user: str) -> ModuleType:
    """Import a module of Open3D, pyarrow or spconv.

    Args:
        user: what needs it, for the message.

    Raises:
        ImportError: it is not installed.
    """
    try:
        return import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise ImportError(f"{user} needs {package}, which cannot be imported: pip install 'ccrop[lidar]'") from error
