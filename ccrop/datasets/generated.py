"""Data sets that are generated: whole or not at all, and never over anything else."""

import json
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

RECIPE = "demo.json"  # what a generated set was made from


def generate(root: str | Path, recipe: dict[str, Any], files: str, fill: Callable[[Path], None]) -> None:
    """Make a data set in ``root``, which appears when it is complete; one made by the same recipe is kept.

    Args:
        recipe: all that the set depends on, with ``num_train`` and ``num_val``.
        files: pattern of these training and validation examples in the folder.
        fill: writes the set into an empty folder.

    Raises:
        FileExistsError: ``root`` exists and is something else.
    """
    root = Path(root).absolute()
    if _is_complete(root, recipe, files):
        return
    root.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=f"{root.name}.partial-", dir=root.parent) as work:
        draft = Path(work) / root.name
        draft.mkdir()
        fill(draft)
        (draft / RECIPE).write_text(json.dumps(recipe))
        draft.replace(root)


def _is_complete(root: Path, recipe: dict[str, Any], files: str) -> bool:
    """Whether ``root`` is the set; False if there is nothing yet."""
    if not root.exists() or (root.is_dir() and not any(root.iterdir())):
        return False
    try:
        found = json.loads((root / RECIPE).read_text())
    except (OSError, ValueError):
        found = "not a demo set"
    if found == recipe:
        if len(list(root.glob(files))) == recipe["num_train"] + recipe["num_val"]:
            return True
        found = "a demo set from which files are missing"
    raise FileExistsError(
        f"{root} exists and is {found}, not the demo set {recipe}: choose another folder, or move this one away"
    )
