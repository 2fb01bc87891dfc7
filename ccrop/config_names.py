"""Which file a config's name stands for."""

from pathlib import Path

PACKAGE = Path(__file__).parent


def config_file(name: str) -> str:
    """The path of a config: of the file if there is one, or of ccrop's own ``configs/NAME.py``, or ``NAME``.

    Any other name is returned unchanged.
    """
    file = name if name.endswith(".py") else f"{name}.py"
    folders = (PACKAGE, PACKAGE / "configs", *sorted(PACKAGE.glob("projects/*/configs")))
    candidates = (Path(name), *(folder / file for folder in folders))
    return next((str(path) for path in candidates if path.is_file()), name)
